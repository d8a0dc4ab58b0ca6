/**
 * One link between two processes: the face that everybody else sees, and the part of it that is the
 * same over TLS and in memory.
 *
 * Owns: delivery in order, the end told exactly once, pings, content. Neighbours: a Transport carries
 * messages (tls-connection.ts, memory-connection.ts); content.ts moves large values.
 *
 * Invariants
 * 1. onClose is called exactly once, never from inside close() or send(), and no message comes after it.
 * 2. Nothing is delivered, and nothing is lost, while no owner listens (onMessage undefined).
 * 3. After close() nothing is sent but the `bye`, and nothing is delivered.
 * 4. What a side that does not read can make the other hold is bounded (BACKLOG_MAX). Reading is never
 *    stopped for that, since two sides that both stop would wait for each other forever.
 * 5. A message is not changed after it was sent or delivered: in memory both sides hold the same object.
 */
import { limits } from '../limits.ts';
import { ContentExchange, type ContentProvider } from './content.ts';
import type { Message, Problem } from './messages.ts';
import { PotluckError } from '../errors.ts';
import { wireCounters } from './counters.ts';
import { MalformedFrame } from './framing.ts';
import { RosterExchange, type LinkMembership } from './membership.ts';

/** Why a link ended. */
export type CloseReason =
  /** This side closed it. */
  | { kind: 'closed' }
  /** The other side closed it and said why. */
  | { kind: 'bye'; problem: Problem }
  /** The other side closed it without a word. */
  | { kind: 'ended' }
  /** It broke. */
  | { kind: 'lost'; cause: Error }
  /** What came was not a message of ours, or broke a rule of content. */
  | { kind: 'malformed'; cause: Error }
  /** The two programs are too far apart. */
  | { kind: 'version_gap'; problem: Problem };

/** One link between two processes; the same face over TLS and in memory. */
export interface Connection {
  /** SHA-256 (hex) of the other side's public key (SPKI); in memory the own one. */
  readonly peerKey: string;
  /** The other side's address, for people. */
  readonly remote: string;
  /** Queues a message; all of one event-loop turn leave in one write. Never throws; does nothing after the end. */
  send(message: Message): void;
  /** Bytes not yet handed to the operating system. */
  readonly backlogBytes: number;
  /** Until it is assigned, and while it is undefined, what comes is kept (and the other side is slowed down). */
  onMessage: ((message: Message) => void) | undefined;
  /** Called exactly once; at once after assigning it, if the link had ended before. */
  onClose: ((reason: CloseReason) => void) | undefined;
  /** The backlog fell under limits.linkBacklogBytes after it had been above. */
  onDrain?: (() => void) | undefined;
  /** Monotonic ms (performance.now) at which the last byte came. */
  lastHeardAt(): number;
  /** The last measured time there and back, in ms; undefined until the first idle ping was answered. */
  readonly roundTripMs: number | undefined;
  /** Ends the link; a problem is told to the other side first. What was sent before still leaves. */
  close(problem?: Problem): void;
  /** The content of that SHA-256 (hex) from the other side. Rejects with ContentError. */
  fetch(hash: string, sizeMax: number): Promise<Uint8Array>;
  /** Answers what the other side fetches; without it, or for undefined, the answer is "lacking". */
  serve(provider: ContentProvider): void;
}

/** What carries the messages of a link. Calls back the Receiver it was started with. */
export interface Transport {
  readonly peerKey: string;
  readonly remote: string;
  readonly backlogBytes: number;
  start(receiver: Receiver): void;
  send(message: Message): void;
  /** Stop or go on calling receiver.received (some that are under way may still come). */
  pause(): void;
  resume(): void;
  /** Sends what is queued, then ends. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface Receiver {
  /** Bytes came, whatever they mean. */
  heard(): void;
  received(message: Message): void;
  /** Some of the backlog has left. */
  progressed(): void;
  /** Nothing more will come. Without an error the other side ended it in order. */
  ended(error?: Error): void;
}

/** An idle link is pinged this often, so that silence means trouble: three fit into limits.silenceMs. */
const PING_MS = 5_000;

/** Who is no member any more is told so within this time, or not at all. */
const LAST_WORD_MS = 300;

/** A link whose other side takes nothing is given up at this backlog: the largest value, twice. */
const BACKLOG_MAX = 2 * limits.valueBytesMax;

/** Nothing came for so long that the other side counts as gone. Ask only when what is there was read. */
export const isSilent = (connection: Connection): boolean => performance.now() - connection.lastHeardAt() > limits.silenceMs;

export class Link implements Connection, Receiver {
  onDrain: (() => void) | undefined;
  roundTripMs: number | undefined;
  readonly #transport: Transport;
  readonly #content: ContentExchange;
  readonly #membership: LinkMembership | undefined;
  readonly #rosters: RosterExchange | undefined;
  #forgetMembership: (() => void) | undefined;
  #onMessage: ((message: Message) => void) | undefined;
  #onClose: ((reason: CloseReason) => void) | undefined;
  /** What came while nobody listened. */
  #kept: Message[] = [];
  #reason: CloseReason | undefined;
  /** What still comes is of no interest: this side closed, or the other side said its last word. */
  #deaf = false;
  #ended = false;
  #told = false;
  #heardAt = performance.now();
  #sentAt = performance.now();
  #wasFull = false;
  #pings: ReturnType<typeof setInterval> | undefined;

  /** @param membership of a link between processes: who its other side may be, and the exchange of rosters */
  constructor(transport: Transport, membership?: LinkMembership) {
    this.#transport = transport;
    this.#membership = membership;
    this.#rosters = membership && new RosterExchange(membership, (message) => this.send(message), () => this.ended(new MalformedFrame('a roster that the pool did not sign')));
    this.#content = new ContentExchange({
      send: (message) => this.send(message),
      backlogBytes: () => transport.backlogBytes,
    });
  }

  /** Begins to listen to the transport. */
  start(): this {
    this.#pings = setInterval(() => this.#pingIfIdle(), PING_MS);
    this.#pings.unref();
    this.#forgetMembership = this.#membership?.onChange(() => this.#membersChanged());
    this.#transport.pause();
    this.#transport.start(this);
    return this;
  }

  get peerKey(): string {
    return this.#transport.peerKey;
  }

  get remote(): string {
    return this.#transport.remote;
  }

  get backlogBytes(): number {
    return this.#transport.backlogBytes;
  }

  get onMessage(): ((message: Message) => void) | undefined {
    return this.#onMessage;
  }

  set onMessage(handler: ((message: Message) => void) | undefined) {
    this.#onMessage = handler;
    if (handler === undefined) this.#transport.pause();
    else if (this.#kept.length > 0) queueMicrotask(() => this.#deliverKept());
    else this.#transport.resume();
  }

  get onClose(): ((reason: CloseReason) => void) | undefined {
    return this.#onClose;
  }

  set onClose(handler: ((reason: CloseReason) => void) | undefined) {
    this.#onClose = handler;
    if (handler !== undefined && this.#ended && !this.#told) queueMicrotask(() => this.#tellClose());
  }

  lastHeardAt(): number {
    return this.#heardAt;
  }

  send(message: Message): void {
    if (this.#reason !== undefined) return;
    this.#sentAt = performance.now();
    try {
      this.#transport.send(message.kind === 'hello' && this.#rosters !== undefined ? this.#rosters.withNumber(message) : message);
    } catch (error) {
      this.#fail({ kind: 'lost', cause: error instanceof Error ? error : new Error(String(error)) });
      return;
    }
    const backlog = this.#transport.backlogBytes;
    if (backlog >= limits.linkBacklogBytes) this.#wasFull = true;
    if (backlog > BACKLOG_MAX) this.#fail({ kind: 'lost', cause: new Error(`the other side left ${backlog} bytes untaken`) });
  }

  close(problem?: Problem): void {
    if (this.#reason !== undefined) return;
    if (problem !== undefined) this.send({ kind: 'bye', error: problem });
    this.#reason ??= { kind: 'closed' };
    this.#leave();
  }

  fetch(hash: string, sizeMax: number): Promise<Uint8Array> {
    return this.#content.fetch(hash, sizeMax);
  }

  serve(provider: ContentProvider): void {
    this.#content.serve(provider);
  }

  // --- Receiver --------------------------------------------------------------------------

  heard(): void {
    this.#heardAt = performance.now();
  }

  received(message: Message): void {
    if (this.#reason !== undefined) return;
    try {
      if (this.#handle(message)) return;
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.ended(error);
      return;
    }
    if (this.#onMessage === undefined || this.#kept.length > 0) this.#kept.push(message);
    else this.#deliver(message);
  }

  progressed(): void {
    this.#content.pump();
    if (!this.#wasFull || this.#transport.backlogBytes >= limits.linkBacklogBytes) return;
    this.#wasFull = false;
    this.onDrain?.();
  }

  ended(error?: Error): void {
    if (error instanceof MalformedFrame) {
      wireCounters.malformed++;
      this.#fail({ kind: 'malformed', cause: error });
    } else if (error instanceof PotluckError && error.code === 'version_gap') {
      if (this.#reason === undefined) {
        this.send({ kind: 'bye', error: error.toProblem() });
        this.#reason ??= { kind: 'version_gap', problem: error.toProblem() };
        this.#leave();
      }
    } else {
      this.#reason ??= error === undefined ? { kind: 'ended' } : { kind: 'lost', cause: error };
      this.#transport.destroy();
      this.#finish();
    }
  }

  // --- inside ----------------------------------------------------------------------------

  /** What the link handles itself; true if that was all. */
  #handle(message: Message): boolean {
    switch (message.kind) {
      case 'ping':
        this.send({ kind: 'pong', t: message.t });
        return true;
      case 'pong':
        this.roundTripMs = Math.max(0, performance.now() - message.t);
        return true;
      case 'want':
      case 'chunk':
      case 'credit':
      case 'lacking':
        this.#content.handle(message);
        return true;
      case 'roster':
        this.#rosters?.received(message, this.remote);
        return true;
      case 'hello':
        this.#rosters?.greeted(message);
        return false;
      default:
        return false;
    }
  }

  #deliver(message: Message): void {
    if (message.kind === 'bye') {
      this.#reason ??= { kind: 'bye', problem: message.error };
      this.#leave();
    }
    this.#onMessage?.(message);
  }

  /** Sends what is queued and ends; what comes until then is read, so that the end is seen, and dropped. */
  #leave(): void {
    this.#deaf = true;
    this.#transport.resume();
    this.#transport.end();
  }

  #deliverKept(): void {
    while (this.#kept.length > 0 && this.#onMessage !== undefined) {
      if (this.#deaf) this.#kept.length = 0;
      else this.#deliver(this.#kept.shift()!);
    }
    if (this.#ended) this.#tellClose();
    else if (this.#onMessage !== undefined) this.#transport.resume();
  }

  #membersChanged(): void {
    // Who is put out is told by the roster, too: all processes of its folder learn it so.
    this.#rosters?.changed();
    const problem = this.#membership?.problemOf(this.peerKey);
    if (problem !== undefined) this.#expel(problem);
  }

  /** The other side is told why, and has nothing to say any more: what it sends is dropped from here on. */
  #expel(problem: Problem): void {
    this.close(problem);
    setTimeout(() => this.#transport.destroy(), LAST_WORD_MS).unref();
  }

  #pingIfIdle(): void {
    const now = performance.now();
    if (now - this.#sentAt >= PING_MS - 100) this.send({ kind: 'ping', t: now });
  }

  #fail(reason: CloseReason): void {
    this.#reason ??= reason;
    this.#deaf = true;
    this.#transport.destroy();
    queueMicrotask(() => this.#finish());
  }

  #finish(): void {
    this.#ended = true;
    clearInterval(this.#pings);
    this.#forgetMembership?.();
    this.#content.close();
    this.#tellClose();
  }

  #tellClose(): void {
    if (this.#told || this.#onClose === undefined || this.#reason === undefined) return;
    // What had come before the end is delivered before the end is told.
    if (this.#kept.length > 0 && !this.#deaf) return;
    this.#told = true;
    this.#onClose(this.#reason);
  }
}
