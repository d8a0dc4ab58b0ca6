/**
 * History: the ended tasks of a home, to be searched. Behind the journal by a
 * moment, and made from it; never the truth.
 *
 * Neighbours: index-worker.ts is the other thread, index-database.ts the SQL. The
 * caller owns the journal: after `start` it applies what came after `appliedSeq`,
 * and until `appliedSeq` has reached a row it answers for it from its own memory.
 *
 * Invariants:
 * 1. Rows are applied in the order given, without holes: after any failure nothing
 *    more is applied, and the next start takes up at `appliedSeq`.
 * 2. What fails here fails the callers of history and nobody else.
 */
import { Worker } from 'node:worker_threads';
import type { Batch, HistoryEntry, HistoryFilter, HistoryPage, HistoryQuery, HistoryRow, OpenedIndex, PrunedEntry, Reply, Request } from './index-messages.ts';
import { HistoryUnavailable } from './store-errors.ts';

export type { HistoryEntry, HistoryFilter, HistoryPage, HistoryQuery, HistoryRow, OpenedIndex, PrunedEntry } from './index-messages.ts';

/** Rows not yet handed to the thread; a second or less of its work. */
const QUEUE_ROWS_MAX = 20_000;
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;
/** Rows per transaction: large enough to be cheap, small enough that a search waits only some 50 ms. */
const BATCH_ROWS_MAX = 2000;

export interface HistoryIndexOptions {
  /** The database file. Its folder exists. */
  path: string;
  /** index-worker.ts as built. */
  worker: URL;
  /** Called when journal records up to `seq` are in the index. */
  onApplied?: (seq: number) => void;
}

type RequestBody = Request extends infer R ? (R extends Request ? Omit<R, 'call'> : never) : never;

/** The rows of one `apply`: they become visible together. */
interface Queued {
  rows: readonly HistoryRow[];
  pruned: readonly PrunedEntry[];
  bytes: number;
  appliedSeq: number;
}

interface Call {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

export class HistoryIndex {
  readonly #options: HistoryIndexOptions;
  #worker: Worker | undefined;
  #failure: HistoryUnavailable | undefined;
  readonly #calls = new Map<number, Call>();
  #lastCall = 0;
  #queue: Queued[] = [];
  #queuedRows = 0;
  #queuedBytes = 0;
  #applying = false;
  #appliedSeq = 0;
  /** The journal record that the refused offer reached; nothing beyond is taken before it is offered again. */
  #refusedSeq = Infinity;
  #settling: Call[] = [];

  constructor(options: HistoryIndexOptions) {
    this.#options = options;
  }

  /** Opens the index, or begins a new one if it is missing, damaged or of another schema. */
  async start(): Promise<OpenedIndex> {
    if (this.#worker !== undefined) throw new Error('the index is started once');
    this.#worker = new Worker(this.#options.worker, { workerData: { path: this.#options.path }, name: 'history' });
    this.#worker.on('message', (reply: Reply) => this.#receive(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', (status) => this.#fail(new Error(`its thread ended with status ${status}`)));
    const reply = await this.#reply(0);
    if (reply.kind !== 'opened') throw unexpected(reply);
    this.#appliedSeq = reply.opened.appliedSeq;
    return reply.opened;
  }

  /** Why history is unavailable, or undefined while it works. */
  get failure(): HistoryUnavailable | undefined {
    return this.#failure;
  }

  /** Journal records up to this one are in the index. */
  get appliedSeq(): number {
    return this.#appliedSeq;
  }

  /**
   * Queues rows, which now belong to the index; `appliedSeq` is the journal record
   * up to which they are complete.
   * False means that the queue is full and nothing was taken: offer the same again
   * after `settled`. Until then later offers are refused as well: a caller who
   * forgets has an index that stays behind until the next start, not one with holes.
   * Once history is unavailable, rows are let go: the next start asks for them.
   */
  apply(rows: readonly HistoryRow[], appliedSeq: number, pruned: readonly PrunedEntry[] = []): boolean {
    if (this.#failure !== undefined) return true;
    const bytes = rows.reduce((sum, row) => sum + row.record.length, 0);
    const fits = this.#queuedRows + rows.length + pruned.length <= QUEUE_ROWS_MAX && this.#queuedBytes + bytes <= QUEUE_BYTES_MAX;
    // Alone in the queue, an offer of any size is taken, or it never would be.
    if (appliedSeq > this.#refusedSeq || (!fits && this.#queue.length > 0)) {
      this.#refusedSeq = Math.min(this.#refusedSeq, appliedSeq);
      return false;
    }
    this.#refusedSeq = Infinity;
    this.#queue.push({ rows, pruned, bytes, appliedSeq });
    this.#queuedRows += rows.length + pruned.length;
    this.#queuedBytes += bytes;
    this.#pump();
    return true;
  }

  /** Resolves when everything queued is applied. Rejects with HistoryUnavailable. */
  settled(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#queue.length === 0 && !this.#applying) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#settling.push({ resolve: () => resolve(), reject });
    });
  }

  async get(id: string): Promise<HistoryRow | undefined> {
    const reply = await this.#ask({ kind: 'get', id });
    if (reply.kind !== 'got') throw unexpected(reply);
    return reply.row;
  }

  async getPruned(id: string): Promise<PrunedEntry | undefined> {
    const reply = await this.#ask({ kind: 'get_pruned', id });
    if (reply.kind !== 'got_pruned') throw unexpected(reply);
    return reply.entry;
  }

  /** Newest first, by the time of acceptance. */
  async query(query: HistoryQuery): Promise<HistoryPage> {
    const reply = await this.#ask({ kind: 'query', query });
    if (reply.kind !== 'page') throw unexpected(reply);
    return reply.page;
  }

  /** How many rows match. */
  async count(filter: HistoryFilter): Promise<number> {
    const reply = await this.#ask({ kind: 'count', filter });
    if (reply.kind !== 'counted') throw unexpected(reply);
    return reply.rows;
  }

  /**
   * Deletes what was made from journal records numbered below `beforeSeq`, in steps between which others get
   * their turn. Resolves with the number of rows.
   */
  async dropBefore(beforeSeq: number): Promise<number> {
    for (let total = 0; ; ) {
      const reply = await this.#ask({ kind: 'drop', beforeSeq });
      if (reply.kind !== 'dropped') throw unexpected(reply);
      if (reply.rows === 0) return total;
      total += reply.rows;
    }
  }

  /** Applies what is queued and ends the thread. Also fine after a failure. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    try {
      if (this.#failure === undefined) {
        await this.settled();
        await this.#ask({ kind: 'stop' });
        this.#fail(new Error('it was stopped'));
      }
    } finally {
      await worker.terminate();
    }
  }

  /** One batch is under way at a time; what comes meanwhile makes the next one. */
  #pump(): void {
    if (this.#applying || this.#failure !== undefined) return;
    if (this.#queue.length === 0) {
      for (const waiting of this.#settling.splice(0)) waiting.resolve({ call: 0, kind: 'applied' });
      return;
    }
    const batch = this.#takeBatch();
    this.#applying = true;
    const applied = this.#ask({ kind: 'apply', batch }, [batch.records.buffer as ArrayBuffer]);
    applied.then(
      () => {
        this.#applying = false;
        this.#appliedSeq = batch.appliedSeq;
        this.#options.onApplied?.(batch.appliedSeq);
        this.#pump();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** The records are copied into one buffer: a row's record is often a view of a much larger one. */
  #takeBatch(): Batch {
    const taken: Queued[] = [];
    let rows = 0;
    let bytes = 0;
    for (let next = this.#queue[0]; next !== undefined && (rows === 0 || rows + next.rows.length + next.pruned.length <= BATCH_ROWS_MAX); next = this.#queue[0]) {
      taken.push(next);
      this.#queue.shift();
      rows += next.rows.length + next.pruned.length;
      bytes += next.bytes;
    }
    this.#queuedRows -= rows;
    this.#queuedBytes -= bytes;
    const records = new Uint8Array(bytes);
    const entries: HistoryEntry[] = [];
    const ends: number[] = [];
    let end = 0;
    for (const { record, ...entry } of taken.flatMap((queued) => queued.rows)) {
      records.set(record, end);
      end += record.length;
      entries.push(entry);
      ends.push(end);
    }
    return { entries, records, ends, pruned: taken.flatMap((queued) => queued.pruned), appliedSeq: taken.at(-1)?.appliedSeq ?? this.#appliedSeq };
  }

  #ask(body: RequestBody, transfer: ArrayBuffer[] = []): Promise<Reply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#worker === undefined) return Promise.reject(new Error('the index is not started'));
    this.#lastCall += 1;
    const call = this.#lastCall;
    const reply = this.#reply(call);
    this.#worker.postMessage({ call, ...body } as Request, transfer);
    return reply;
  }

  #reply(call: number): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
    });
  }

  #receive(reply: Reply): void {
    if (reply.kind === 'broken') {
      this.#fail(new Error(reply.message));
      return;
    }
    const call = this.#calls.get(reply.call);
    this.#calls.delete(reply.call);
    call?.resolve(reply);
  }

  /** The first cause stays; everybody who waits learns it (invariant 2). */
  #fail(cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = cause instanceof HistoryUnavailable ? cause : new HistoryUnavailable(cause);
    const waiting = [...this.#calls.values(), ...this.#settling];
    this.#calls.clear();
    this.#settling = [];
    this.#queue = [];
    this.#queuedRows = 0;
    this.#queuedBytes = 0;
    for (const call of waiting) call.reject(this.#failure);
  }
}

function unexpected(reply: Reply): Error {
  return new Error(`the history's thread answered ${reply.kind}`);
}
