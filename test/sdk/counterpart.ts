/**
 * The other side of the SDK in tests: speaks a home's half of the protocol over real links, in memory or
 * TLS, runs nothing, and does only what the test tells it.
 */
import { createHash } from 'node:crypto';
import type { Dialled } from '../../src/sdk/line.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { greet } from '../../src/wire/hello.ts';
import { connectInMemory } from '../../src/wire/memory-connection.ts';
import type { Message, MessageKind, MessageOf } from '../../src/wire/messages.ts';
import { listen, type Listener } from '../../src/wire/tls-connection.ts';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import { PotluckError } from '../../src/errors.ts';
import { trusting } from '../helpers/members.ts';

export class Counterpart {
  /** Everything received, over all links. */
  readonly received: Message[] = [];
  /** What this home keeps. */
  readonly kept = new Map<string, MessageOf<'submit'>>();
  readonly contents = new Map<string, Uint8Array>();
  link: Connection | undefined;
  dials = 0;
  /** While set, dialling fails so. */
  unreachable: PotluckError | undefined;
  accepts = true;
  incarnation = 'first';
  onSubmit: (message: MessageOf<'submit'>) => void = () => undefined;
  onCancel: (id: string) => void = () => undefined;
  onWatch: (message: MessageOf<'watch'>) => void = () => undefined;
  onAsk: (message: MessageOf<'ask'>) => void = () => undefined;
  #waiters: (() => void)[] = [];

  readonly dial = async (): Promise<Dialled> => {
    this.dials += 1;
    if (this.unreachable !== undefined) throw this.unreachable;
    const [client, home] = connectInMemory('0'.repeat(64));
    this.#attach(home);
    return { connection: client, incarnation: this.incarnation };
  };

  /** Takes links over TLS, as a member of the pool of that folder. */
  async listen(homeFolder: string, port = 0): Promise<Listener> {
    const { identity } = await openHomeFolder(homeFolder);
    return listen({
      host: '127.0.0.1',
      port,
      identity,
      members: trusting((key) => key === identity.keyId),
      onConnection: (connection) => {
        this.dials += 1;
        greet(connection, { version: '0.0.0', incarnation: this.incarnation, as: 'home', name: 'p1' }).then(
          () => this.#attach(connection),
          () => undefined, // a link that ends before it is greeted is nothing to a test
        );
      },
    });
  }

  #attach(link: Connection): void {
    this.link = link;
    link.serve(async (hash) => this.contents.get(hash));
    link.onClose = () => undefined;
    link.onMessage = (message) => this.#handle(message);
  }

  #handle(message: Message): void {
    this.received.push(message);
    if (message.kind === 'submit') {
      this.onSubmit(message);
      if (this.accepts) this.accept(message);
    }
    if (message.kind === 'cancel') this.onCancel(message.id);
    if (message.kind === 'watch') this.onWatch(message);
    if (message.kind === 'ask') this.onAsk(message);
    for (const wake of this.#waiters.splice(0)) wake();
  }

  accept(message: MessageOf<'submit'>): void {
    this.kept.set(message.id, message);
    this.send({ kind: 'accepted', ids: [message.id] });
  }

  send(message: Message): void {
    this.link?.send(message);
  }

  done(id: string, json: string, extra: Partial<MessageOf<'outcome'>> = {}): void {
    this.send({ kind: 'outcome', id, state: 'done', peer: 'p1', attempt: 1, queued_ms: 1, run_ms: 2, receipt: null, result: Buffer.from(json), ...extra });
  }

  /** Holds content and gives the reference to it. */
  hold(bytes: Uint8Array): { hash: string; size: number } {
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.contents.set(hash, bytes);
    return { hash, size: bytes.length };
  }

  /** Breaks the link as a lost cable would, from this side. */
  drop(): void {
    this.link?.close();
    this.link = undefined;
  }

  of<K extends MessageKind>(kind: K): MessageOf<K>[] {
    return this.received.filter((message): message is MessageOf<K> => message.kind === kind);
  }

  /** Resolves when the condition holds; looks after every message. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }
}
