/**
 * An append-only log of byte records, kept in segments of bounded size. Knows
 * nothing of what the records mean.
 *
 * Neighbours: log-format.ts owns the bytes, log-scan.ts tells a torn end from
 * damage, files.ts is the disk. The caller owns the rhythm (one flush at a time)
 * and what becomes of old segments.
 *
 * Invariants:
 * 1. A record is durable once a `flush` that covers it has resolved; records are
 *    replayed in order, without holes, and unchanged, or not at all.
 * 2. A flush is one write and one sync, inside one segment.
 * 3. A segment is begun only when all records before it are durable.
 * 4. After anything failed, nothing more is written through this object.
 * 5. What `open` replays is durable when it resolves. It writes the last write's
 *    bytes again before it syncs: after a failed sync the system may hold bytes
 *    in memory that it believes to be on disk, and another sync would skip them.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { Files, OpenFile } from './files.ts';
import {
  decodeSegmentHeader,
  encodeRecord,
  encodeSegmentHeader,
  LOG_VERSION,
  readSegmentVersion,
  RECORD_BYTES_MAX,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from './log-format.ts';
import type { SegmentHeader } from './log-format.ts';
import { scanSegment } from './log-scan.ts';
import type { Position, Replay, SegmentEnd } from './log-scan.ts';
import { JournalDamaged, JournalFailed, JournalTooNew } from './store-errors.ts';

/** Large enough that a busy log turns over every few minutes, small enough to drop in useful steps. */
export const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;

/** A batch buffer that grew beyond this in a burst is given back after its flush. */
const BUFFER_KEPT_BYTES = 4 * 1024 * 1024;
const BUFFER_FIRST_BYTES = 64 * 1024;

const NAME = /^(\d{16})\.log$/;

export interface LogOptions {
  directory: string;
  /** A segment that has reached this size is followed by a new one. Default SEGMENT_BYTES_MAX. */
  segmentBytesMax?: number;
  /** 32 random bits for a new log; only tests have a reason to choose them. */
  salt?: number;
}

export interface OpenReport {
  records: number;
  /** Size of all segments after opening. */
  bytes: number;
  /** Bytes of an interrupted, never acknowledged write that were cut off the end. */
  cutBytes: number;
  segments: number;
}

export interface Segment {
  firstSeq: number;
  /** firstSeq - 1 while the segment is empty. */
  lastSeq: number;
  bytes: number;
}

/** What reading has found so far: where the log stands, and what was cut off its end. */
interface Found {
  position: Position | undefined;
  cutBytes: number;
}

interface StoredSegment extends Segment {
  path: string;
}

export class Log {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segmentBytesMax: number;
  #salt: number;
  #segments: StoredSegment[] = [];
  #active: OpenFile | undefined;
  #durableSeq = 0;
  #nextSeq = 1;
  /** Chain of the last durable record, and of the last buffered one. */
  #durableChain = 0;
  #chain = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #spare: Buffer = Buffer.alloc(0);
  #buffered = 0;
  #bufferedRecords = 0;
  #opened = false;
  #flushing = false;
  #failure: JournalFailed | undefined;

  constructor(files: Files, options: LogOptions) {
    this.#files = files;
    this.#directory = options.directory;
    this.#segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
    this.#salt = options.salt ?? randomInt(2 ** 32);
  }

  /**
   * Replays every record and makes the log ready to append. A record's bytes are only
   * lent for the call of `replay`; if that returns a promise, reading waits for it.
   * Throws JournalDamaged or JournalTooNew, having changed nothing, and
   * JournalFailed if the disk does. What `replay` throws passes through.
   */
  async open(replay: Replay): Promise<OpenReport> {
    if (this.#opened) throw new Error('a log object is opened once');
    this.#opened = true;
    await this.#io(() => this.#files.makeDirectory(this.#directory));
    const names = (await this.#io(() => this.#files.list(this.#directory))).filter((name) => NAME.test(name)).toSorted();
    let found: Found = { position: undefined, cutBytes: 0 };
    for (const [at, name] of names.entries()) {
      found = await this.#openSegment(name, at === names.length - 1, found, replay);
    }
    await this.#io(() => this.#begin(found.position));
    const records = this.#segments.reduce((sum, segment) => sum + segment.lastSeq - segment.firstSeq + 1, 0);
    return { records, bytes: this.bytes, cutBytes: found.cutBytes, segments: this.#segments.length };
  }

  /** Buffers a record in memory and returns its number. Throws JournalFailed once a flush has failed. */
  append(record: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#active === undefined) throw new Error('the log is not open');
    if (record.length > RECORD_BYTES_MAX) throw new RangeError(`a record has at most ${RECORD_BYTES_MAX} bytes`);
    const end = this.#buffered + record.length + RECORD_OVERHEAD_BYTES;
    if (end > this.#buffer.length) this.#buffer = grown(this.#buffer, this.#buffered, end);
    const seq = this.#nextSeq;
    const place = { seq, index: this.#bufferedRecords, chain: this.#chain, salt: this.#salt };
    this.#chain = encodeRecord(this.#buffer, this.#buffered, place, record);
    this.#buffered = end;
    this.#bufferedRecords += 1;
    this.#nextSeq += 1;
    return seq;
  }

  /**
   * Makes all buffered records durable and resolves with the number of the last
   * durable one. One at a time; records appended meanwhile go with the next.
   * Rejects with JournalFailed; then the records it covered may or may not be
   * found by the next open.
   */
  async flush(): Promise<number> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#active === undefined) throw new Error('the log is not open');
    if (this.#flushing) throw new Error('one flush at a time');
    if (this.#bufferedRecords === 0) return this.#durableSeq;
    this.#flushing = true;
    const batch = this.#buffer;
    const bytes = batch.subarray(0, this.#buffered);
    const seq = this.#nextSeq - 1;
    const chain = this.#chain;
    this.#buffer = this.#spare;
    this.#buffered = 0;
    this.#bufferedRecords = 0;
    try {
      await this.#io(() => this.#writeBatch(bytes, seq));
    } finally {
      this.#flushing = false;
    }
    this.#durableSeq = seq;
    this.#durableChain = chain;
    this.#spare = batch.length <= BUFFER_KEPT_BYTES ? batch : Buffer.alloc(0);
    return seq;
  }

  /** Number of the last durable record; 0 before the first. */
  get durableSeq(): number {
    return this.#durableSeq;
  }

  /** Size of all segments on disk. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /** While `open` replays: how many segments are behind the record that is being replayed. */
  get segmentCount(): number {
    return this.#segments.length;
  }

  /**
   * Reads the records of one segment again; never those of the active one, which is still written.
   * Throws JournalDamaged. What the disk or `replay` throws passes through, and the log goes on.
   */
  async reread(firstSeq: number, replay: Replay): Promise<void> {
    const segment = this.#segments.slice(0, -1).find((candidate) => candidate.firstSeq === firstSeq);
    if (segment === undefined) throw new RangeError(`no old segment starts at record ${firstSeq}`);
    const file = await this.#files.open(segment.path);
    try {
      const start = startOf(segment.path, firstSeq, await file.read(0, SEGMENT_HEADER_BYTES), undefined);
      const end = await scanSegment(file, segment.bytes, start, replay);
      if (end.bad !== undefined) throw new JournalDamaged(segment.path, end.at, end.bad.reason);
      if (end.nextSeq !== segment.lastSeq + 1) throw new JournalDamaged(segment.path, end.at, `record ${end.nextSeq} and what follows it are missing`);
    } finally {
      await file.close();
    }
  }

  /** Oldest first; the last one is being written. */
  segments(): readonly Readonly<Segment>[] {
    return this.#segments.map(({ firstSeq, lastSeq, bytes }) => ({ firstSeq, lastSeq, bytes }));
  }

  /** Removes the old segments all of whose records are numbered below `seq`; never the active one. */
  async dropSegmentsBefore(seq: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    for (let oldest = this.#segments[0]; this.#segments.length > 1 && oldest !== undefined && oldest.lastSeq < seq; oldest = this.#segments[0]) {
      this.#segments.shift();
      const { path } = oldest;
      // Each removal on its own: were they forgotten out of order, a gap would stop the next start.
      await this.#io(async () => {
        await this.#files.remove(path);
        await this.#files.syncDirectory(this.#directory);
      });
    }
  }

  /** Waits for nothing and flushes nothing: call it after the last flush has ended. */
  async close(): Promise<void> {
    if (this.#flushing) throw new Error('a flush is under way');
    const file = this.#active;
    this.#active = undefined;
    await file?.close();
  }

  /** Replays one segment that must continue what was found before it. */
  async #openSegment(name: string, last: boolean, before: Found, replay: Replay): Promise<Found> {
    const path = join(this.#directory, name);
    const file = await this.#io(() => this.#files.open(path));
    try {
      const size = await this.#io(() => file.size());
      const head = await this.#io(() => file.read(0, SEGMENT_HEADER_BYTES));
      if (last && isTornHeader(head, size) && seqOf(name) === (before.position?.nextSeq ?? 1)) {
        await this.#io(() => this.#files.remove(path));
        return { position: before.position, cutBytes: size };
      }
      const start = startOf(path, seqOf(name), head, before.position);
      const end = await scanSegment(readsOf(file, this.#directory), size, start, replay);
      if (end.bad !== undefined && !(last && end.bad.torn)) throw new JournalDamaged(path, end.at, end.bad.reason);
      if (last) await this.#io(() => confirm(file, size, end));
      this.#segments.push({ path, firstSeq: start.nextSeq, lastSeq: end.nextSeq - 1, bytes: end.at });
      return { position: end, cutBytes: size - end.at };
    } finally {
      await file.close();
    }
  }

  /** Takes up writing after what was replayed; a new log gets its first segment. */
  async #begin(position: Position | undefined): Promise<void> {
    const { nextSeq, chain, salt } = position ?? { nextSeq: 1, chain: this.#salt, salt: this.#salt };
    this.#salt = salt;
    this.#nextSeq = nextSeq;
    this.#durableSeq = nextSeq - 1;
    this.#chain = chain;
    this.#durableChain = chain;
    const last = this.#segments.at(-1);
    if (last === undefined) {
      await this.#beginSegment();
      return;
    }
    this.#active = await this.#files.open(last.path);
    await this.#files.syncDirectory(this.#directory);
  }

  async #writeBatch(bytes: Buffer, lastSeq: number): Promise<void> {
    if ((this.#segments.at(-1)?.bytes ?? 0) >= this.#segmentBytesMax) await this.#beginSegment();
    const segment = this.#segments.at(-1);
    const file = this.#active;
    if (segment === undefined || file === undefined) throw new Error('the log was closed during a flush');
    await file.write(segment.bytes, bytes);
    await file.sync();
    segment.bytes += bytes.length;
    segment.lastSeq = lastSeq;
  }

  async #beginSegment(): Promise<void> {
    const firstSeq = this.#durableSeq + 1;
    const path = join(this.#directory, nameOf(firstSeq));
    const file = await this.#files.open(path);
    const old = this.#active;
    this.#active = file;
    await old?.close();
    await file.write(0, encodeSegmentHeader({ firstSeq, chainStart: this.#durableChain, salt: this.#salt }));
    await file.sync();
    await this.#files.syncDirectory(this.#directory);
    this.#segments.push({ path, firstSeq, lastSeq: firstSeq - 1, bytes: SEGMENT_HEADER_BYTES });
  }

  /** Runs disk work; its failure is the end of this object (invariant 4). */
  async #io<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failure ??= new JournalFailed(this.#directory, error);
      throw this.#failure;
    }
  }
}

/** A header write that did not get through. Records are written only after the header is durable. */
function isTornHeader(head: Buffer, size: number): boolean {
  if (size < SEGMENT_HEADER_BYTES) return true;
  return size === SEGMENT_HEADER_BYTES && head[SEGMENT_HEADER_BYTES - 1] === 0;
}

/** Where the records of a segment start, checked against the segment before it. */
function startOf(path: string, namedSeq: number, head: Buffer, before: Position | undefined): Position {
  const version = readSegmentVersion(head);
  if (version !== undefined && version > LOG_VERSION) throw new JournalTooNew(path, version, LOG_VERSION);
  const header: SegmentHeader | undefined = decodeSegmentHeader(head);
  if (header === undefined) throw new JournalDamaged(path, 0, 'the header is unreadable');
  const { firstSeq, chainStart, salt } = header;
  if (firstSeq !== namedSeq) throw new JournalDamaged(path, 0, `the header says that it starts at record ${firstSeq}`);
  if (before !== undefined) {
    if (firstSeq !== before.nextSeq) throw new JournalDamaged(path, 0, `record ${before.nextSeq} and what follows it are missing`);
    if (chainStart !== before.chain || salt !== before.salt) throw new JournalDamaged(path, 0, 'it does not continue the segment before it');
  }
  return { nextSeq: firstSeq, chain: chainStart, salt };
}

/** Cuts a torn end and makes the rest durable (invariant 5). */
async function confirm(file: OpenFile, size: number, end: SegmentEnd): Promise<void> {
  if (end.at < size) await file.truncate(end.at);
  await file.write(end.lastWriteAt, await file.read(end.lastWriteAt, end.at - end.lastWriteAt));
  await file.sync();
}

/** The same file, whose failing reads are the journal's failure and not the replayer's. */
function readsOf(file: OpenFile, directory: string): Pick<OpenFile, 'read'> {
  return {
    read: (at, length) => file.read(at, length).catch((error: unknown) => {
      throw new JournalFailed(directory, error);
    }),
  };
}

function grown(buffer: Buffer, used: number, needed: number): Buffer {
  const larger = Buffer.allocUnsafe(Math.max(needed, buffer.length * 2, BUFFER_FIRST_BYTES));
  buffer.copy(larger, 0, 0, used);
  return larger;
}

function nameOf(firstSeq: number): string {
  return `${String(firstSeq).padStart(16, '0')}.log`;
}

function seqOf(name: string): number {
  return Number(NAME.exec(name)?.[1]);
}
