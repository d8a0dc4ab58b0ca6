/**
 * How a link opens: both sides say `hello`, at once and before anything else.
 *
 * Owns: that exchange and its time limit. What a hello must say to be accepted (roles, names, what a
 * runner holds) is decided by who called.
 */
import { isErrorCode, PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { CloseReason, Connection } from './connection.ts';
import { wireCounters } from './counters.ts';
import type { MessageBody, MessageOf, Problem } from './messages.ts';

/**
 * Sends our hello and waits for theirs. Afterwards the link holds back what follows until its owner
 * assigns onMessage. Throws PotluckError: what the other side said in its `bye` (`not_a_member`,
 * `version_gap`, …), or `link_lost`; the link is closed then.
 */
export function greet(connection: Connection, hello: MessageBody<'hello'>): Promise<MessageOf<'hello'>> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer);
      connection.onMessage = undefined;
      connection.onClose = undefined;
    };
    const giveUp = (error: PotluckError) => {
      settle();
      connection.close(error.toProblem());
      reject(error);
    };
    const timer = setTimeout(() => giveUp(lost(connection, `no hello within ${limits.helloMs} ms`)), limits.helloMs);
    connection.onClose = (reason) => {
      settle();
      reject(errorOf(connection, reason));
    };
    connection.onMessage = (message) => {
      if (message.kind === 'hello') {
        settle();
        resolve(message);
      } else if (message.kind !== 'bye') {
        wireCounters.malformed++;
        giveUp(lost(connection, `it began with "${message.kind}" instead of a hello`));
      }
    };
    connection.send({ kind: 'hello', ...hello });
  });
}

/** The error for a link that ended: what the other side said, if it said something. */
export function errorOf(connection: Connection, reason: CloseReason): PotluckError {
  switch (reason.kind) {
    case 'bye':
    case 'version_gap':
      return errorFromProblem(reason.problem);
    case 'lost':
    case 'malformed':
      return lost(connection, reason.cause.message, reason.cause);
    case 'ended':
      return lost(connection, 'the other side closed it');
    case 'closed':
      return lost(connection, 'it was closed on this side');
  }
}

const lost = (connection: Connection, why: string, cause?: unknown): PotluckError =>
  new PotluckError('link_lost', `the link to ${connection.remote} was lost`, { why, fix: 'check that the other side runs', cause });

/** An error that travelled, for who throws it again; a code that only a newer version knows becomes `link_lost`. */
export function errorFromProblem(problem: Problem): PotluckError {
  return new PotluckError(isErrorCode(problem.code) ? problem.code : 'link_lost', problem.message, { fix: problem.hint });
}
