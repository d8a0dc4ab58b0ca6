/**
 * What each segment of a home's journal holds, and which of the oldest are past the retention.
 *
 * Owns: the sums that retention is judged by. What must be said again before a segment goes: compaction.ts.
 *
 * Invariants
 * 1. The same records give the same sums, in life as in replay.
 * 2. What a compaction wrote counts for nothing here: so dropping a segment always brings the sums down, and
 *    a journal full of waiting tasks is not written again and again.
 * 3. The segment that is being written is never past the retention.
 */
import { limits } from '../limits.ts';
import type { HomeRecord } from './records.ts';

export interface Retention {
  endedTasksMax: number;
  endedAgeMsMax: number;
  journalBytesMax: number;
  prunedAgeMsMax: number;
  prunedTasksMax: number;
}

export const defaultRetention: Retention = limits;

export interface SegmentFacts {
  /** The log's number of its first record, which names it. */
  readonly name: number;
  /** Numbers of home records. `lastSeq` is `firstSeq` - 1 while there are none. */
  readonly firstSeq: number;
  lastSeq: number;
  /** Tasks whose outcome was recorded here. */
  ended: number;
  /** Entries for pruned tasks. */
  pruned: number;
  /** Without what compaction wrote, with large values named here for the first time. */
  bytes: number;
  /** The home's clock at its last record. */
  lastAt: number;
}

const written = new Set<HomeRecord['kind']>(['restated', 'retold', 'pruned']);

/** Written only by compaction. */
export const isCarried = (record: HomeRecord): boolean => written.has(record.kind);

export class Segments {
  /** Oldest first. */
  readonly #facts: SegmentFacts[] = [];

  /** Begins a segment, unless it is the one that is being written. */
  at(name: number, nextSeq: number): SegmentFacts {
    const newest = this.#facts.at(-1);
    if (newest?.name === name) return newest;
    const facts = { name, firstSeq: nextSeq, lastSeq: nextSeq - 1, ended: 0, pruned: 0, bytes: 0, lastAt: 0 };
    this.#facts.push(facts);
    return facts;
  }

  /** Before a replay. */
  clear(): void {
    this.#facts.length = 0;
  }

  get all(): readonly SegmentFacts[] {
    return this.#facts;
  }

  /** The number of the oldest home record that is still in the journal. */
  get firstSeq(): number {
    return this.#facts[0]?.firstSeq ?? 0;
  }

  get pruned(): number {
    return this.#facts.reduce((sum, { pruned }) => sum + pruned, 0);
  }

  /** Forgets the oldest. */
  drop(count: number): void {
    this.#facts.splice(0, count);
  }

  /** The oldest segments that hold nothing within the retention, at most `countMax`. */
  past(retention: Retention, nowMs: number, countMax: number): SegmentFacts[] {
    let ended = this.#facts.reduce((sum, facts) => sum + facts.ended, 0);
    let bytes = this.#facts.reduce((sum, facts) => sum + facts.bytes, 0);
    const past: SegmentFacts[] = [];
    for (const facts of this.#facts.slice(0, -1)) {
      const isSurplus = facts.ended > 0 && ended - facts.ended >= retention.endedTasksMax;
      const isOld = facts.lastAt + retention.endedAgeMsMax < nowMs;
      if (past.length === countMax || !(isSurplus || isOld || bytes > retention.journalBytesMax)) break;
      ended -= facts.ended;
      bytes -= facts.bytes;
      past.push(facts);
    }
    return past;
  }
}

export function count(facts: SegmentFacts, record: HomeRecord, seq: number): void {
  facts.lastSeq = seq;
  facts.lastAt = Math.max(facts.lastAt, record.at);
  if (record.kind === 'ended') facts.ended += 1;
  if (record.kind === 'pruned') facts.pruned += record.tasks.length;
}
