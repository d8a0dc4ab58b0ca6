/**
 * Large values by their hash: asked for by who needs them, sent in chunks by who has them.
 *
 *     receiver                    holder
 *     want {hash}            →
 *                            ←    chunk {hash, offset, size, data} …   at most limits.creditBytes ahead
 *     credit {hash, bytes}   →                                         as the receiver takes them
 *     credit {hash, 0}       →                                         stop: too large for me
 *                            ←    lacking {hash}                       not here, or stopped
 *
 * Owns: both ends of all transfers of one link. The link (connection.ts) carries the messages and
 * says when its backlog has shrunk.
 *
 * Invariants
 * 1. Chunks go onto the link only while little waits there (BULK_BACKLOG), so that every other
 *    message overtakes them; transfers take turns chunk by chunk.
 * 2. Memory is taken for a value only after its size was found to be within what the caller allows.
 * 3. A value is handed out only if its SHA-256 is the one that was asked for.
 * 4. Every fetch ends: with the value or with a ContentError, also when the link ends.
 * 5. One hash is under way at most once per direction; who asks meanwhile shares it.
 */
import { createHash, type Hash } from 'node:crypto';
import { limits } from '../limits.ts';
import { wireCounters } from './counters.ts';
import { MalformedFrame } from './framing.ts';
import type { MessageOf } from './messages.ts';

/** Gives the bytes of a hash, or undefined if they are not here. */
export type ContentProvider = (hash: string) => Promise<Uint8Array | undefined>;

export type ContentMessage = MessageOf<'want' | 'chunk' | 'credit' | 'lacking'>;

/** Why a fetch did not give the value. */
export class ContentError extends Error {
  override name = 'ContentError';
  readonly reason: 'lacking' | 'too_large' | 'damaged' | 'closed';

  constructor(reason: ContentError['reason'], hash: string) {
    super(`content ${hash.slice(0, 12)}…: ${contentErrorTexts[reason]}`);
    this.reason = reason;
  }
}

const contentErrorTexts = {
  lacking: 'the other side does not have it',
  too_large: 'it is larger than was allowed',
  damaged: 'its bytes are not those that its hash names',
  closed: 'the link ended',
} as const;

/** Unsent bytes of a link above which no chunk is added: a few chunks keep a socket busy. */
const BULK_BACKLOG = 4 * limits.chunkBytes;
/** Values held in memory for one link at a time; the rest of what it wants waits in line. */
const SERVED_MAX = 8;
/** Wants in line: far more than one link has tasks under way, and bounded. */
const WANTS_MAX = 10_000;
/** Credit goes back in such steps: seldom enough to cost nothing, often enough that the sender never stops. */
const CREDIT_STEP = limits.creditBytes / 4;

interface Waiter {
  sizeMax: number;
  resolve: (value: Uint8Array) => void;
  reject: (error: ContentError) => void;
}

/** A value on its way here. */
interface Incoming {
  hash: string;
  waiters: Waiter[];
  /** Set by the first chunk. */
  value: Uint8Array | undefined;
  digest: Hash;
  received: number;
  owedCredit: number;
  /** We said stop; until the holder answers, chunks are dropped. */
  stopped: boolean;
}

/** A value on its way out. */
interface Outgoing {
  hash: string;
  value: Uint8Array;
  sent: number;
  credit: number;
}

export interface ContentLink {
  send(message: ContentMessage): void;
  backlogBytes(): number;
}

export class ContentExchange {
  readonly #link: ContentLink;
  readonly #incoming = new Map<string, Incoming>();
  /** Loading or sending, by hash; undefined while the provider looks. */
  readonly #outgoing = new Map<string, Outgoing | undefined>();
  /** Wants that wait for their turn. */
  readonly #wants = new Set<string>();
  /** Those of #outgoing that have credit, in turn. */
  #turns: Outgoing[] = [];
  #provider: ContentProvider | undefined;
  #closed = false;

  constructor(link: ContentLink) {
    this.#link = link;
  }

  serve(provider: ContentProvider): void {
    this.#provider = provider;
  }

  fetch(hash: string, sizeMax: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new ContentError('closed', hash));
        return;
      }
      const waiter: Waiter = { sizeMax, resolve, reject };
      const under = this.#incoming.get(hash);
      if (under === undefined) this.#want(hash, [waiter]);
      else if (under.value !== undefined && under.value.length > sizeMax) reject(new ContentError('too_large', hash));
      else under.waiters.push(waiter);
    });
  }

  /** Takes a message of a transfer. Throws MalformedFrame if it breaks the rules above. */
  handle(message: ContentMessage): void {
    if (this.#closed) return;
    switch (message.kind) {
      case 'want':
        this.#wanted(message.hash);
        return;
      case 'credit':
        this.#credited(message);
        return;
      case 'chunk':
        this.#take(message);
        return;
      case 'lacking':
        this.#lacks(message.hash);
    }
  }

  /** Puts chunks on the link while its backlog is small. */
  pump(): void {
    while (this.#turns.length > 0 && !this.#closed && this.#link.backlogBytes() < BULK_BACKLOG) {
      const out = this.#turns.shift()!;
      this.#sendChunk(out);
      if (out.sent === out.value.length) this.#finished(out.hash);
      else if (out.credit > 0) this.#turns.push(out);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const incoming of this.#incoming.values()) rejectAll(incoming.waiters, 'closed', incoming.hash);
    this.#incoming.clear();
    this.#outgoing.clear();
    this.#wants.clear();
    this.#turns = [];
  }

  // --- receiving -------------------------------------------------------------------------

  #want(hash: string, waiters: Waiter[]): void {
    this.#incoming.set(hash, { hash, waiters, value: undefined, digest: createHash('sha256'), received: 0, owedCredit: 0, stopped: false });
    this.#link.send({ kind: 'want', hash });
  }

  #take(chunk: MessageOf<'chunk'>): void {
    const incoming = this.#incoming.get(chunk.hash);
    if (incoming === undefined || incoming.stopped) {
      wireCounters.strayChunks++;
      return;
    }
    const value = incoming.value ?? this.#begin(incoming, chunk.size);
    if (value === undefined) return;
    const { data, offset } = chunk;
    const end = offset + data.length;
    if (offset !== incoming.received || chunk.size !== value.length || end > value.length || (data.length === 0 && value.length > 0)) {
      throw new MalformedFrame('a chunk out of place');
    }
    value.set(data, offset);
    incoming.digest.update(data);
    incoming.received = end;
    if (end === value.length) this.#complete(incoming, value);
    else this.#giveCredit(incoming, data.length);
  }

  /** The first chunk told the size: refuses it to those who allow less, takes memory for the others. */
  #begin(incoming: Incoming, size: number): Uint8Array | undefined {
    const tooSmall = incoming.waiters.filter((waiter) => waiter.sizeMax < size);
    incoming.waiters = incoming.waiters.filter((waiter) => waiter.sizeMax >= size);
    if (incoming.waiters.length === 0) {
      incoming.stopped = true;
      this.#link.send({ kind: 'credit', hash: incoming.hash, bytes: 0 });
    } else {
      incoming.value = new Uint8Array(size);
    }
    rejectAll(tooSmall, 'too_large', incoming.hash);
    return incoming.value;
  }

  #complete(incoming: Incoming, value: Uint8Array): void {
    this.#incoming.delete(incoming.hash);
    if (incoming.digest.digest('hex') !== incoming.hash) rejectAll(incoming.waiters, 'damaged', incoming.hash);
    else for (const waiter of incoming.waiters) waiter.resolve(value);
  }

  #giveCredit(incoming: Incoming, bytes: number): void {
    incoming.owedCredit += bytes;
    if (incoming.owedCredit < CREDIT_STEP) return;
    this.#link.send({ kind: 'credit', hash: incoming.hash, bytes: incoming.owedCredit });
    incoming.owedCredit = 0;
  }

  #lacks(hash: string): void {
    const incoming = this.#incoming.get(hash);
    if (incoming === undefined) return;
    this.#incoming.delete(hash);
    // Who asked after the stop still wants it.
    if (incoming.stopped && incoming.waiters.length > 0) this.#want(hash, incoming.waiters);
    else rejectAll(incoming.waiters, 'lacking', hash);
  }

  // --- sending ---------------------------------------------------------------------------

  #wanted(hash: string): void {
    if (this.#outgoing.has(hash) || this.#wants.has(hash)) throw new MalformedFrame('content wanted twice at once');
    if (this.#wants.size >= WANTS_MAX) throw new MalformedFrame('too much content wanted at once');
    this.#wants.add(hash);
    this.#serveNext();
  }

  #serveNext(): void {
    for (const hash of this.#wants) {
      if (this.#outgoing.size >= SERVED_MAX) return;
      this.#wants.delete(hash);
      this.#outgoing.set(hash, undefined);
      void this.#load(hash);
    }
  }

  async #load(hash: string): Promise<void> {
    const value = await this.#provided(hash);
    if (this.#closed || !this.#outgoing.has(hash)) return;
    if (value === undefined) {
      this.#link.send({ kind: 'lacking', hash });
      this.#finished(hash);
      return;
    }
    const out: Outgoing = { hash, value, sent: 0, credit: limits.creditBytes };
    this.#outgoing.set(hash, out);
    this.#turns.push(out);
    this.pump();
  }

  async #provided(hash: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#provider?.(hash);
    } catch {
      // For the other side it is not here; the provider's owner is who knows and reports why.
      return undefined;
    }
  }

  #sendChunk(out: Outgoing): void {
    const size = Math.min(limits.chunkBytes, out.value.length - out.sent, out.credit);
    const data = out.value.subarray(out.sent, out.sent + size);
    this.#link.send({ kind: 'chunk', hash: out.hash, offset: out.sent, size: out.value.length, data });
    out.sent += size;
    out.credit -= size;
  }

  #credited({ hash, bytes }: MessageOf<'credit'>): void {
    const out = this.#outgoing.get(hash);
    if (bytes === 0) {
      this.#stop(hash);
      return;
    }
    // The last credit of a transfer may arrive after its last chunk left.
    if (out === undefined) return;
    if (out.credit + bytes > limits.creditBytes) throw new MalformedFrame('more credit than was used');
    if (out.credit === 0) this.#turns.push(out);
    out.credit += bytes;
    this.pump();
  }

  /** The receiver does not want it any more; the answer tells it that no more chunks come. */
  #stop(hash: string): void {
    this.#turns = this.#turns.filter((out) => out.hash !== hash);
    this.#link.send({ kind: 'lacking', hash });
    this.#finished(hash);
  }

  #finished(hash: string): void {
    this.#outgoing.delete(hash);
    this.#serveNext();
  }
}

function rejectAll(waiters: Waiter[], reason: ContentError['reason'], hash: string): void {
  for (const waiter of waiters) waiter.reject(new ContentError(reason, hash));
}
