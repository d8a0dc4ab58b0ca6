/** The first word on a link that somebody else opened: who they are decides who takes the link. */
import { limits } from '../limits.ts';
import type { Connection, MessageOf } from '../wire/index.ts';

/** Waits for `hello`; closes the link when something else comes, or nothing. */
export function whenGreeted(connection: Connection, then: (hello: MessageOf<'hello'>) => void): void {
  const timer = setTimeout(() => connection.close({ code: 'link_lost', message: 'no hello came in time' }), limits.helloMs);
  connection.onClose = () => clearTimeout(timer);
  connection.onMessage = (message) => {
    clearTimeout(timer);
    if (message.kind !== 'hello') {
      connection.close({ code: 'link_lost', message: `a link opens with hello, not with "${message.kind}"` });
      return;
    }
    // What follows is kept by the connection until its owner listens.
    connection.onMessage = undefined;
    connection.onClose = undefined;
    then(message);
  };
}
