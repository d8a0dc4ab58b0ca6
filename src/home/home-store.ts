/**
 * The disk under a home: lock, journal, blobs, index, in the order in which they must open and close.
 *
 * Invariants
 * 1. One process holds the store; the lock is taken first and let go last.
 * 2. The journal is replayed from its start; rows that the index lacks are made up on the way.
 * 3. Values and programs are on disk before a record names them.
 */
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Fingerprints } from '../lib/fingerprints.ts';
import { Blobs } from '../store/blobs.ts';
import { HistoryIndex, type HistoryRow } from '../store/index.ts';
import { StoreLock } from '../store/lock.ts';
import { Log } from '../store/log.ts';
import { realFiles } from '../store/real-files.ts';
import { HistoryUnavailable, JournalFailed } from '../store/store-errors.ts';
import { decodeGroup, decodeStory, encodeGroup, encodeStory } from './record-codec.ts';
import type { HomeRecord, Story } from './records.ts';

/** A disk with less room than this is full to a journal. */
const probeBytes = 1024 * 1024;
/** Records in one record of the log: with the largest inline values still below its limit. */
const groupMax = 64;
const historyGapMs = 1_000;
const quietMs = 200;
const historyLagMsMax = 5_000;
/** Fewer than the index takes at once. */
const gatheredMax = 20_000;

export interface HomeStoreOptions {
  /** Folder of this home's store. */
  folder: string;
  indexWorker: URL;
}

export interface Reopened {
  /** Where the home's clock goes on. */
  lastAtMs: number;
  lastSeq: number;
  cutBytes: number;
}

export class HomeStore {
  readonly blobs: Blobs;
  readonly index: HistoryIndex;
  /** Ids of ended tasks. */
  readonly endedIds = new Fingerprints();
  readonly #o: HomeStoreOptions;
  readonly #lock: StoreLock;
  #log: Log | undefined;
  #indexed = 0;
  readonly #offers: { rows: HistoryRow[]; seq: number }[] = [];
  #offering = false;
  readonly #gathered: { story: Story; seq: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #gatheredAt = 0;
  /** Numbers of home records, which the log keeps in groups. */
  #appended = 0;
  #durable = 0;
  #pending: HomeRecord[] = [];

  constructor(options: HomeStoreOptions) {
    this.#o = options;
    this.#lock = new StoreLock(options.folder);
    this.blobs = new Blobs(realFiles, join(options.folder, 'blobs'));
    this.index = new HistoryIndex({ path: join(options.folder, 'history.db'), worker: options.indexWorker });
  }

  /** Takes the store for this process. Throws StoreInUse. */
  lock(): void {
    this.#lock.acquire();
  }

  unlock(): void {
    this.#lock.release();
  }

  /** Throws JournalDamaged, JournalTooNew. The store is locked. */
  async open(replay: (record: HomeRecord, seq: number) => Story | undefined): Promise<Reopened> {
    await this.blobs.start();
    const opened = await this.index.start();
    this.#indexed = opened.appliedSeq;
    return this.replay(replay);
  }

  /** Opens the journal (again) and relives it. */
  async replay(relive: (record: HomeRecord, seq: number) => Story | undefined): Promise<Reopened> {
    const log = new Log(realFiles, { directory: join(this.#o.folder, 'journal') });
    let lastAtMs = 0;
    let lastSeq = 0;
    const report = await log.open((bytes) =>
      decodeGroup(bytes, (record, seq) => {
        lastAtMs = Math.max(lastAtMs, record.at);
        lastSeq = seq;
        const story = relive(record, seq);
        if (story === undefined) return;
        this.endedIds.add(story.accepted.id);
        if (seq > this.#indexed) this.addToHistory(story, seq);
      }),
    );
    this.#appended = lastSeq;
    this.#durable = lastSeq;
    this.#pending = [];
    this.#log = log;
    return { lastAtMs, lastSeq, cutBytes: report.cutBytes };
  }

  /** Buffers the record and returns its number; what one flush takes is encoded together. */
  append(record: HomeRecord): number {
    this.#pending.push(record);
    return (this.#appended += 1);
  }

  async flush(): Promise<number> {
    const records = this.#pending;
    const last = this.#appended;
    const first = last - records.length + 1;
    this.#pending = [];
    for (let at = 0; at < records.length; at += groupMax) this.#opened.append(encodeGroup(records.slice(at, at + groupMax), first + at));
    await this.#opened.flush();
    this.#durable = last;
    return last;
  }

  /** Whether the disk takes a write of some size again; nothing of it stays. */
  async probe(): Promise<void> {
    const path = join(this.#o.folder, 'probe');
    const file = await open(path, 'w', 0o600);
    try {
      await file.write(Buffer.alloc(probeBytes));
      await file.sync();
    } catch (error) {
      throw new JournalFailed(this.#o.folder, error);
    } finally {
      await file.close();
      await unlink(path);
    }
  }

  get durableSeq(): number {
    return this.#durable;
  }

  /**
   * The index follows by a second, or by a few while outcomes keep coming, in large batches: a burst of tasks
   * need not pay for history while it lasts. Whoever asks for history calls `settleHistory` first.
   */
  addToHistory(story: Story, seq: number): void {
    this.endedIds.add(story.accepted.id);
    this.#gathered.push({ story, seq });
    this.#gatheredAt = performance.now();
    if (this.#gathered.length >= gatheredMax) this.#handOver();
    else this.#timer ??= setTimeout(() => this.#handOverWhenQuiet(performance.now()), historyGapMs);
  }

  #handOverWhenQuiet(since: number): void {
    const now = performance.now();
    if (now - this.#gatheredAt >= quietMs || now - since >= historyLagMsMax) this.#handOver();
    else this.#timer = setTimeout(() => this.#handOverWhenQuiet(since), quietMs);
  }

  /** Resolves when the index knows every outcome that was added. Throws HistoryUnavailable. */
  async settleHistory(): Promise<void> {
    this.#handOver();
    while (this.#offers.length > 0) await this.index.settled();
    await this.index.settled();
  }

  /** An ended task's story from the index; undefined when there is none. */
  async endedStory(id: string): Promise<Story | undefined> {
    if (!this.endedIds.has(id)) return undefined;
    await this.settleHistory();
    const row = await this.index.get(id);
    return row === undefined ? undefined : decodeStory(row.record);
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const entries = this.#gathered.splice(0);
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#offers.push({ rows: entries.map(({ story, seq }) => rowOf(story, seq)), seq: last.seq });
    this.#indexed = Math.max(this.#indexed, last.seq);
    void this.#offer();
  }

  /** Hands rows to the index in order; while its queue is full they wait here. */
  async #offer(): Promise<void> {
    if (this.#offering) return;
    this.#offering = true;
    try {
      for (let next = this.#offers[0]; next !== undefined; next = this.#offers[0]) {
        if (this.index.apply(next.rows, next.seq)) this.#offers.shift();
        else await this.index.settled();
      }
    } catch (error) {
      // History is unavailable; its callers are told so, and the next start makes up for it.
      if (!(error instanceof HistoryUnavailable)) throw error;
      this.#offers.length = 0;
    } finally {
      this.#offering = false;
    }
  }

  /** After a failed flush: the handle is never flushed again. */
  async abandonLog(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    await log?.close();
  }

  async close(): Promise<void> {
    await this.#log?.close();
    this.#handOver();
    while (this.#offering) await this.index.settled();
    await this.index.stop();
    this.#lock.release();
  }

  get #opened(): Log {
    if (this.#log === undefined) throw new Error('the journal is not open');
    return this.#log;
  }
}

function rowOf(story: Story, seq: number): HistoryRow {
  const { accepted, ended, queuedMs } = story;
  return {
    id: accepted.id,
    state: ended.state,
    peer: ended.peer,
    attempt: ended.attempt,
    language: accepted.language,
    function: accepted.function,
    program: accepted.program,
    acceptedAt: accepted.wall,
    endedAt: ended.wall,
    queuedMs,
    runMs: ended.runMs,
    error: ended.error === undefined ? null : `${ended.error.code}: ${ended.error.message}`,
    seq,
    record: encodeStory(story),
  };
}
