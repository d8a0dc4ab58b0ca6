/**
 * History of a simulated home: what src/store/index.ts promises, in memory. Rows are applied a moment later, in
 * order; what was not applied when the process ends is gone, and is asked for again at the next start.
 */
import type { History } from '../../src/home/history-feed.ts';
import type { HistoryRow, OpenedIndex, PrunedEntry } from '../../src/store/index.ts';
import type { Life, World } from './world.ts';

/** What outlives the process. */
export class IndexFile {
  rows = new Map<string, HistoryRow>();
  pruned = new Map<string, PrunedEntry>();
  appliedSeq = 0;

  /** It is damaged or deleted: made anew from the journal. */
  lose(): void {
    this.rows = new Map();
    this.pruned = new Map();
    this.appliedSeq = 0;
  }
}

interface Offer {
  rows: readonly HistoryRow[];
  pruned: readonly PrunedEntry[];
  seq: number;
}

const queueMax = 200;
const applyMs = 3;

export class SimIndex implements History {
  readonly #file: IndexFile;
  readonly #world: World;
  readonly #life: Life;
  #queue: Offer[] = [];
  #queued = 0;
  #refusedSeq = Infinity;
  #settling: (() => void)[] = [];

  constructor(file: IndexFile, world: World, life: Life) {
    this.#file = file;
    this.#world = world;
    this.#life = life;
  }

  async start(): Promise<OpenedIndex> {
    return { appliedSeq: this.#file.appliedSeq, rebuilt: this.#file.appliedSeq === 0 };
  }

  apply(rows: readonly HistoryRow[], seq: number, pruned: readonly PrunedEntry[] = []): boolean {
    if (seq > this.#refusedSeq || (this.#queue.length > 0 && this.#queued + rows.length > queueMax)) {
      this.#refusedSeq = Math.min(this.#refusedSeq, seq);
      return false;
    }
    this.#refusedSeq = Infinity;
    this.#queue.push({ rows, pruned, seq });
    this.#queued += rows.length;
    if (this.#queue.length === 1) this.#world.later(applyMs, this.#life, () => this.#apply());
    return true;
  }

  settled(): Promise<void> {
    return this.#queue.length === 0 ? Promise.resolve() : new Promise((resolve) => this.#settling.push(resolve));
  }

  async get(id: string): Promise<HistoryRow | undefined> {
    return this.#file.rows.get(id);
  }

  async getPruned(id: string): Promise<PrunedEntry | undefined> {
    return this.#file.pruned.get(id);
  }

  async query(): Promise<{ rows: HistoryRow[]; total: number }> {
    return { rows: [...this.#file.rows.values()], total: this.#file.rows.size };
  }

  async count(): Promise<number> {
    return this.#file.rows.size;
  }

  async dropBefore(beforeSeq: number): Promise<number> {
    const { rows, pruned } = this.#file;
    const before = rows.size + pruned.size;
    for (const of of [rows, pruned]) for (const [id, { seq }] of of) if (seq < beforeSeq) of.delete(id);
    return before - rows.size - pruned.size;
  }

  async stop(): Promise<void> {}

  #apply(): void {
    const file = this.#file;
    for (const { rows, pruned, seq } of this.#queue.splice(0)) {
      for (const row of rows) file.rows.set(row.id, { ...row, record: Uint8Array.from(row.record) });
      for (const entry of pruned) {
        file.pruned.set(entry.id, entry);
        if ((file.rows.get(entry.id)?.seq ?? Infinity) < entry.seq) file.rows.delete(entry.id);
      }
      file.appliedSeq = Math.max(file.appliedSeq, seq);
    }
    this.#queued = 0;
    for (const resolve of this.#settling.splice(0)) resolve();
  }
}
