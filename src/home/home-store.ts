/**
 * The disk under a home: lock, journal, blobs, index, in the order in which they must open and close.
 *
 * Neighbours: history-feed.ts fills the index; retention-state.ts and blob-names.ts say what may go;
 * compaction.ts has said again what must stay before it calls `dropOldest`.
 *
 * Invariants
 * 1. One process holds the store; the lock is taken first and let go last.
 * 2. The journal is replayed from its start; rows that the index lacks are made up on the way.
 * 3. Values and programs are on disk before a record names them.
 * 4. The index holds what the journal tells and nothing else: a row goes with the record it was made from. So
 *    one that is made again from the journal is the same.
 * 5. A blob goes after the last record that names it, never before.
 */
import { join } from 'node:path';
import { FingerprintGenerations } from '../lib/fingerprint-generations.ts';
import { Blobs } from '../store/blobs.ts';
import type { Files } from '../store/files.ts';
import { HistoryIndex } from '../store/index.ts';
import { StoreLock } from '../store/lock.ts';
import { Log } from '../store/log.ts';
import { realFiles } from '../store/real-files.ts';
import { HistoryUnavailable, JournalFailed } from '../store/store-errors.ts';
import type { OutcomeState } from '../wire/messages.ts';
import { BlobNames } from './blob-names.ts';
import { type History, HistoryFeed } from './history-feed.ts';
import { decodeGroup, decodeStory, encodeGroup, type Outline, outlineGroup } from './record-codec.ts';
import { groupsOf } from './record-groups.ts';
import type { HomeRecord, Past, PrunedTask, Story } from './records.ts';
import { count, defaultRetention, isCarried, type Retention, type SegmentFacts, Segments } from './retention-state.ts';

/** A disk with less room than this is full to a journal. */
const probeBytes = 1024 * 1024;
/** Reading old segments gives way to others after this time. */
const readMsMax = 5;
const removedAtOnceMax = 100;

export interface HomeStoreOptions {
  /** Folder of this home's store. */
  folder: string;
  /** The home's own key. */
  key: string;
  indexWorker: URL;
  /** The disk under journal and blobs, what history is searched in, and the bounds: only tests have a reason to choose them. */
  files?: Files;
  index?: History;
  segmentBytesMax?: number;
  retention?: Partial<Retention>;
}

export interface Reopened {
  /** Where the home's clock goes on. */
  lastAtMs: number;
  lastSeq: number;
  cutBytes: number;
}

export class HomeStore {
  readonly blobs: Blobs;
  readonly index: History;
  /** Ids of ended tasks, pruned ones included. */
  readonly endedIds = new FingerprintGenerations();
  readonly retention: Retention;
  readonly segments = new Segments();
  /** Told when a segment was begun: older ones may be past the retention now. */
  onRotated: () => void = () => {};
  readonly #o: HomeStoreOptions;
  readonly #files: Files;
  readonly #lock: StoreLock;
  readonly #feed: HistoryFeed;
  readonly #names = new BlobNames();
  #log: Log | undefined;
  /** Numbers of home records, which the log keeps in groups. */
  #appended = 0;
  #durable = 0;
  #pending: HomeRecord[] = [];
  /** Bytes of large values that the pending records are the first to name. */
  #pendingBlobBytes = 0;

  constructor(options: HomeStoreOptions) {
    this.#o = options;
    this.#files = options.files ?? realFiles;
    this.#lock = new StoreLock(options.folder);
    this.retention = { ...defaultRetention, ...options.retention };
    this.blobs = new Blobs(this.#files, join(options.folder, 'blobs'), (hash) => this.#names.came(hash, performance.now()));
    this.index = options.index ?? new HistoryIndex({ path: join(options.folder, 'history.db'), worker: options.indexWorker });
    this.#feed = new HistoryFeed(this.index, options.key);
  }

  /** Takes the store for this process. Throws StoreInUse. */
  lock(): void {
    this.#lock.acquire();
  }

  /** Throws JournalDamaged, JournalTooNew. The store is locked. */
  async open(replay: (record: HomeRecord, seq: number) => Story | undefined): Promise<Reopened> {
    await this.blobs.start();
    await this.#feed.start();
    const reopened = await this.replay(replay);
    // What a process that was killed in a compaction had not come to.
    await this.#dropFromIndex();
    for (const hash of await this.blobs.hashes()) if (!this.#names.has(hash)) await this.blobs.remove(hash);
    return reopened;
  }

  /** Opens the journal (again) and relives it. */
  async replay(relive: (record: HomeRecord, seq: number) => Story | undefined): Promise<Reopened> {
    const log = new Log(this.#files, { directory: join(this.#o.folder, 'journal'), ...(this.#o.segmentBytesMax === undefined ? {} : { segmentBytesMax: this.#o.segmentBytesMax }) });
    let lastAtMs = 0;
    let lastSeq = 0;
    this.segments.clear();
    this.#names.clear();
    let segmentCount = -1;
    let facts: SegmentFacts | undefined;
    const report = await log.open((bytes, logSeq) => {
      let isFirst = true;
      decodeGroup(bytes, (record, seq) => {
        if (segmentCount !== log.segmentCount || facts === undefined) facts = this.segments.at(logSeq, seq);
        segmentCount = log.segmentCount;
        if (isFirst && !isCarried(record)) facts.bytes += bytes.length;
        isFirst = false;
        lastAtMs = Math.max(lastAtMs, record.at);
        lastSeq = seq;
        const blobBytes = this.#names.add(record, seq);
        if (!isCarried(record)) facts.bytes += blobBytes;
        count(facts, record, seq);
        this.#relived(record, relive(record, seq), seq);
      });
    });
    this.#appended = lastSeq;
    this.#durable = lastSeq;
    this.#pending = [];
    this.#pendingBlobBytes = 0;
    this.#log = log;
    return { lastAtMs, lastSeq, cutBytes: report.cutBytes };
  }

  #relived(record: HomeRecord, story: Story | undefined, seq: number): void {
    if (record.kind === 'pruned') {
      for (const { id } of record.tasks) this.endedIds.add(id, seq);
      if (seq > this.#feed.handedSeq) this.#feed.addPruned(record.tasks, seq);
    } else if (story !== undefined) {
      this.endedIds.add(story.accepted.id, seq);
      if (seq > this.#feed.handedSeq) this.#feed.add(story, seq);
    }
  }

  /** Buffers the record and returns its number; what one flush takes is encoded together. */
  append(record: HomeRecord): number {
    this.#pending.push(record);
    this.#appended += 1;
    const blobBytes = this.#names.add(record, this.#appended);
    if (!isCarried(record)) this.#pendingBlobBytes += blobBytes;
    return this.#appended;
  }

  async flush(): Promise<number> {
    const log = this.#opened;
    const records = this.#pending;
    const last = this.#appended;
    const first = last - records.length + 1;
    let bytes = this.#pendingBlobBytes;
    this.#pending = [];
    this.#pendingBlobBytes = 0;
    let seq = first;
    for (const group of groupsOf(records)) {
      const encoded = encodeGroup(group, seq);
      if (!isCarried(group[0]!)) bytes += encoded.length;
      log.append(encoded);
      seq += group.length;
    }
    await log.flush();
    this.#durable = last;
    this.#account(log, records, first, bytes);
    return last;
  }

  /** A flush lies in one segment, the newest. */
  #account(log: Log, records: readonly HomeRecord[], first: number, bytes: number): void {
    const active = log.segments().at(-1);
    if (active === undefined || records.length === 0) return;
    const before = this.segments.all.length;
    const facts = this.segments.at(active.firstSeq, first);
    facts.bytes += bytes;
    for (let at = 0; at < records.length; at += 1) count(facts, records[at]!, first + at);
    if (before > 0 && this.segments.all.length > before) this.onRotated();
  }

  /** Whether the disk takes a write of some size again; nothing of it stays. Throws JournalFailed. */
  async probe(): Promise<void> {
    const path = join(this.#o.folder, 'probe');
    try {
      const file = await this.#files.open(path);
      try {
        await file.write(0, Buffer.alloc(probeBytes));
        await file.sync();
      } finally {
        await file.close();
        await this.#files.remove(path);
      }
    } catch (error) {
      throw new JournalFailed(this.#o.folder, error);
    }
  }

  get appendedSeq(): number {
    return this.#appended;
  }

  get durableSeq(): number {
    return this.#durable;
  }

  /** The index follows by some seconds: whoever asks for history calls `settleHistory` first. */
  addToHistory(story: Story, seq: number): void {
    this.endedIds.add(story.accepted.id, seq);
    this.#feed.add(story, seq);
  }

  /** What is left of these tasks takes the place of their rows. */
  addPruned(tasks: readonly PrunedTask[], seq: number): void {
    for (const { id } of tasks) this.endedIds.add(id, seq);
    this.#feed.addPruned(tasks, seq);
  }

  /** Resolves when the index knows every outcome that was added. Throws HistoryUnavailable. */
  settleHistory(): Promise<void> {
    return this.#feed.settle();
  }

  /** What the index knows of an ended task; undefined when there is none of that id. Throws HistoryUnavailable. */
  async past(id: string): Promise<Past | undefined> {
    if (!this.endedIds.has(id)) return undefined;
    await this.settleHistory();
    const row = await this.index.get(id);
    if (row !== undefined) return decodeStory(row.record);
    const pruned = await this.index.getPruned(id);
    return pruned === undefined ? undefined : { id, digest: pruned.digest, state: pruned.state as OutcomeState, endedWall: pruned.endedAt };
  }

  // --- compaction ------------------------------------------------------------------------------

  /** What compaction must know of an old segment's records, in order. What `each` throws or the disk fails passes through. */
  async outline(segment: SegmentFacts, each: (outline: Outline) => void | Promise<void>): Promise<void> {
    let since = performance.now();
    await this.#opened.reread(segment.name, async (bytes) => {
      const outlines: Outline[] = [];
      outlineGroup(bytes, (outline) => outlines.push(outline));
      for (const outline of outlines) {
        const handled = each(outline);
        if (handled !== undefined) await handled;
      }
      if (performance.now() - since < readMsMax) return;
      await new Promise((resolve) => setImmediate(resolve));
      since = performance.now();
    });
  }

  /**
   * Drops the oldest segments, then what was known only from them.
   * Throws JournalFailed. The caller has made durable what of them must stay.
   */
  async dropOldest(segments: number): Promise<void> {
    const next = this.segments.all[segments];
    if (next === undefined) throw new RangeError('the newest segment is not dropped');
    await this.#opened.dropSegmentsBefore(next.name);
    this.segments.drop(segments);
    this.endedIds.dropBefore(this.segments.firstSeq);
    this.#names.dropBefore(this.segments.firstSeq, performance.now());
    await this.#dropFromIndex();
  }

  /** Rows of dropped records; while history is unavailable they stay until the next start. */
  async #dropFromIndex(): Promise<void> {
    try {
      await this.settleHistory();
      await this.index.dropBefore(this.segments.firstSeq);
    } catch (error) {
      if (!(error instanceof HistoryUnavailable)) throw error;
    }
  }

  /** Removes blobs that nobody needs. `isKept`: whether somebody relies on one without a record that names it. */
  async sweep(isKept: (hash: string) => boolean): Promise<void> {
    for (;;) {
      const taken = this.#names.take(performance.now(), isKept, removedAtOnceMax);
      if (taken.length === 0) return;
      await Promise.all(taken.map((hash) => this.blobs.remove(hash)));
    }
  }

  /** Keeps these blobs until the returned function is called. */
  holdBlobs(hashes: readonly string[]): () => void {
    return this.#names.hold(hashes);
  }

  /** After a failed flush: the handle is never flushed again. */
  async abandonLog(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    await log?.close();
  }

  async close(): Promise<void> {
    await this.#log?.close();
    await this.#feed.stop();
    this.#lock.release();
  }

  get #opened(): Log {
    if (this.#log === undefined) throw new Error('the journal is not open');
    return this.#log;
  }
}
