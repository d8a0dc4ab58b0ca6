/**
 * A peer that lies: a real key of a member, our own wire, and a runner that does with its attempts what the
 * test says.
 *
 * Owns: its listener, its link to the tracker, the links of homes that came.
 */
import { thisMachine } from '../../src/main/machine.ts';
import { version } from '../../src/version.ts';
import { dial, greet, listen, type Connection, type Listener, type Message, type MessageBody, type MessageOf, type PeerSelf } from '../../src/wire/index.ts';
import { until } from '../e2e/until.ts';
import { trusting } from '../helpers/members.ts';
import type { PoolOfKeys } from './pool-of-keys.ts';

export type Attempt = MessageOf<'attempt'>;

const HEARTBEAT_MS = 500;

export class HostilePeer {
  readonly name: string;
  /** Every attempt that it was given, in order. */
  readonly attempts: Attempt[] = [];
  /** What it does with a new one. */
  onAttempt: (attempt: Attempt, home: Connection) => void = () => undefined;
  /** Links on which a home greeted it, also those that ended. */
  readonly homes: Connection[] = [];
  readonly heard: Message[] = [];
  readonly #pool: PoolOfKeys;
  readonly #member: string;
  #listener: Listener | undefined;
  #tracker: Connection | undefined;
  #beat: NodeJS.Timeout | undefined;

  constructor(pool: PoolOfKeys, member: string, name: string) {
    this.#pool = pool;
    this.#member = member;
    this.name = name;
  }

  get #identity() {
    return this.#pool.member(this.#member).identity;
  }

  /** Listens, and registers as a peer with slots that takes everybody's tasks; `lies` replace what it says of itself. */
  async start(slots: number, lies: Partial<PeerSelf> = {}): Promise<void> {
    this.#listener = await listen({ host: '127.0.0.1', port: 0, identity: this.#identity, members: trusting(() => true), onConnection: (link) => this.#greeted(link) });
    await this.register(slots, lies);
    this.#beat = setInterval(() => this.tellLoad({ slots }), HEARTBEAT_MS);
  }

  /** A new link to the tracker. Resolves when that has answered. @throws what the tracker said */
  async register(slots: number, lies: Partial<PeerSelf> = {}): Promise<void> {
    const self: PeerSelf = {
      peer: this.name,
      incarnation: 'hostile',
      addresses: [{ host: '127.0.0.1', port: this.#listener?.port ?? 1 }],
      machine: thisMachine(),
      slots,
      languages: { python: '3.11.7', javascript: '20.0.0' },
      memoryMb: 1_000_000,
      isolation: 2,
      accepts: 'members',
      version,
      ...lies,
    };
    const link = await this.dial(this.#pool.trackerPort);
    try {
      await greet(link, { version, incarnation: self.incarnation, as: 'peer', name: this.name, self });
    } catch (error) {
      link.close();
      throw error;
    }
    link.onMessage = (message) => this.heard.push(message);
    this.#tracker?.close();
    this.#tracker = link;
  }

  /** A link with its member's key, to whoever answers there. */
  dial(port: number): Promise<Connection> {
    return dial({ host: '127.0.0.1', port, identity: this.#identity, members: trusting(() => true), timeoutMs: 5_000 });
  }

  tellLoad(more: Partial<MessageBody<'load'>>): void {
    this.tellTracker({ kind: 'load', cpu_load: 0, running: 0, slots: 1, queued: 0, draining: false, ...more });
  }

  tellTracker(message: Message): void {
    this.#tracker?.send(message);
  }

  /** The next attempt, if it matches. */
  given(which: (attempt: Attempt) => boolean = () => true): Promise<Attempt> {
    return until('the hostile peer was given an attempt', () => this.attempts.find(which));
  }

  stop(): void {
    clearInterval(this.#beat);
    void this.#listener?.close();
    this.#listener = undefined;
    for (const home of this.homes) home.close();
    this.#tracker?.close();
  }

  #greeted(link: Connection): void {
    link.onMessage = (message) => {
      this.heard.push(message);
      if (message.kind === 'hello') {
        this.homes.push(link);
        link.send({ kind: 'hello', version, incarnation: 'hostile', as: 'runner', name: this.name, held: [] });
      } else if (message.kind === 'attempt') {
        this.attempts.push(message);
        this.onAttempt(message, link);
      }
    };
  }
}

/** How a runner says that it is done. */
export const done = ({ id, attempt, key }: Attempt, more: Partial<MessageOf<'attempt_ended'>> = {}): MessageOf<'attempt_ended'> => ({
  kind: 'attempt_ended',
  id,
  attempt,
  key,
  outcome: 'done',
  runUs: 1,
  result: Buffer.from('"a lie"'),
  ...more,
});
