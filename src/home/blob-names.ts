/**
 * Which blobs the journal names, and up to which record: what tells needed blobs from others.
 *
 * Invariants
 * 1. A blob that a record in the journal names is not given away: dropping the records before a number frees
 *    those whose last naming lies there.
 * 2. Nor is one that somebody holds, because a record that names it is about to be written; nor, for some
 *    minutes, one that nobody has named yet: a client may still fetch it.
 */
import type { Value } from '../wire/messages.ts';
import type { HomeRecord } from './records.ts';

/** An answer too large for a message is a blob until its client has fetched it. */
const unnamedMsMax = 10 * 60_000;

export class BlobNames {
  /** The number of the last record that names it. */
  #named = new Map<string, number>();
  /** Named by no record: when it came, in ms of a monotonic clock. */
  readonly #unnamed = new Map<string, number>();
  readonly #holds = new Map<string, number>();

  /** Before a replay. */
  clear(): void {
    this.#named = new Map();
  }

  /** Takes in what a record names. Returns the bytes of values that no record named before. */
  add(record: HomeRecord, seq: number): number {
    switch (record.kind) {
      case 'accepted':
        return this.#accepted(record, seq);
      case 'ended':
        return this.#value(record.result, seq);
      case 'restated':
        return this.#accepted(record.accepted, seq);
      case 'retold':
        return this.#accepted(record.accepted, seq) + this.#value(record.ended.result, seq);
      default:
        return 0;
    }
  }

  has(hash: string): boolean {
    return this.#named.has(hash);
  }

  /** It was put on disk, and no record names it yet. */
  came(hash: string, nowMs: number): void {
    if (!this.#named.has(hash)) this.#unnamed.set(hash, nowMs);
  }

  /** Nobody takes these away before the hold ends. */
  hold(hashes: readonly string[]): () => void {
    for (const hash of hashes) this.#holds.set(hash, (this.#holds.get(hash) ?? 0) + 1);
    return () => {
      for (const hash of hashes) {
        const holds = (this.#holds.get(hash) ?? 1) - 1;
        if (holds === 0) this.#holds.delete(hash);
        else this.#holds.set(hash, holds);
      }
    };
  }

  /** The records before `seq` are gone. */
  dropBefore(seq: number, nowMs: number): void {
    for (const [hash, last] of this.#named) {
      if (last >= seq) continue;
      this.#named.delete(hash);
      this.#unnamed.set(hash, nowMs - unnamedMsMax);
    }
  }

  /**
   * Gives away some of those that nobody needs; the caller must have begun to remove all of them when it
   * returns to the event loop. `isKept`: somebody relies on it otherwise.
   */
  take(nowMs: number, isKept: (hash: string) => boolean, countMax: number): string[] {
    const taken: string[] = [];
    for (const [hash, since] of this.#unnamed) {
      if (taken.length === countMax) break;
      if (this.#named.has(hash)) this.#unnamed.delete(hash);
      else if (nowMs - since >= unnamedMsMax && !this.#holds.has(hash) && !isKept(hash)) taken.push(hash);
    }
    for (const hash of taken) this.#unnamed.delete(hash);
    return taken;
  }

  #accepted({ program, args, kwargs }: Extract<HomeRecord, { kind: 'accepted' }>, seq: number): number {
    this.#named.set(program, seq);
    return this.#value(args, seq) + this.#value(kwargs, seq);
  }

  #value(value: Value | undefined, seq: number): number {
    if (value === undefined || value instanceof Uint8Array) return 0;
    const isNew = !this.#named.has(value.hash);
    this.#named.set(value.hash, seq);
    return isNew ? value.size : 0;
  }
}
