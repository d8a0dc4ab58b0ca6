/**
 * Reads one segment of the log and judges where and why it ends. Changes nothing;
 * log.ts acts on the verdict. Invariants are those of log-format.ts.
 *
 * Torn or damaged? Bytes that do not read as a record are what an interrupted
 * write left only if all of this holds:
 * - they are in the last segment (a segment is begun only when the one before is on disk);
 * - no record of a later write follows (invariant 2);
 * - the unreadable record lacks bytes: the file ends before it does, or the disk
 *   gives zeros where it never has zeros (invariant 1), to the end of the file or
 *   over a whole sector.
 * Anything else was on disk once and has changed since.
 */
import type { OpenFile } from './files.ts';
import {
  decodeRecordHeader,
  nextMark,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  recordHolds,
  SECTOR_BYTES,
  SEGMENT_HEADER_BYTES,
} from './log-format.ts';
import type { RecordHeader } from './log-format.ts';

/** Read ahead per disk access; also about what a replay holds in memory. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** Where reading stands: what the next record must continue. */
export interface Position {
  nextSeq: number;
  chain: number;
  salt: number;
}

export interface SegmentEnd extends Position {
  /** Offset after the last whole record. */
  at: number;
  /** Offset of the first record of the last write, or of the header if there is no record. */
  lastWriteAt: number;
  records: number;
  /** Set when bytes follow that are no record. */
  bad?: Verdict;
}

export interface Verdict {
  torn: boolean;
  reason: string;
}

/** Reading waits for what it returns; the record's bytes are lent until then. */
export type Replay = (record: Uint8Array, seq: number) => void | Promise<void>;

type Reads = Pick<OpenFile, 'read'>;

/** Calls `replay` for each whole record. */
export async function scanSegment(file: Reads, size: number, start: Position, replay: Replay): Promise<SegmentEnd> {
  const end: SegmentEnd = { ...start, at: SEGMENT_HEADER_BYTES, lastWriteAt: 0, records: 0 };
  const window = new Window(file, size);
  let index = -1;
  while (end.at < size) {
    if (!window.holds(end.at, RECORD_HEADER_BYTES)) await window.load(end.at, RECORD_HEADER_BYTES);
    const header = headerAt(window, end);
    if (header === undefined || !continues(header, end, index)) break;
    const recordBytes = header.payloadBytes + RECORD_OVERHEAD_BYTES;
    if (!window.holds(end.at, recordBytes)) await window.load(end.at, recordBytes);
    if (!window.holds(end.at, recordBytes)) break;
    const at = window.index(end.at);
    if (!recordHolds(window.bytes, at, header, end.chain)) break;
    const payloadAt = at + RECORD_HEADER_BYTES;
    const replayed = replay(window.bytes.subarray(payloadAt, payloadAt + header.payloadBytes), header.seq);
    if (replayed !== undefined) await replayed;
    index = header.index;
    if (index === 0) end.lastWriteAt = end.at;
    end.at += recordBytes;
    end.chain = header.chain;
    end.nextSeq = header.seq + 1;
    end.records += 1;
  }
  if (end.at < size) end.bad = judge(await file.read(end.at, size - end.at), end.at, end, index);
  return end;
}

function headerAt(window: Window, end: SegmentEnd): RecordHeader | undefined {
  if (!window.holds(end.at, RECORD_HEADER_BYTES)) return undefined;
  return decodeRecordHeader(window.bytes, window.index(end.at), end.salt);
}

function continues(header: RecordHeader, position: Position, indexBefore: number): boolean {
  return header.seq === position.nextSeq && (header.index === 0 || header.index === indexBefore + 1);
}

/** `tail`: the file from the first unreadable record on; `tailAt`: its offset in the file. */
function judge(tail: Buffer, tailAt: number, expected: Position, indexBefore: number): Verdict {
  if (tail.length < RECORD_HEADER_BYTES) return { torn: true, reason: 'the file ends inside a record' };
  const header = decodeRecordHeader(tail, 0, expected.salt);
  if (header === undefined) {
    if (laterWriteFollows(tail, 1, expected)) return damaged('a record has changed; later ones are whole');
    if (lacksBytes(tail, tailAt, 0, RECORD_HEADER_BYTES)) return { torn: true, reason: 'bytes of the last write are missing' };
    return damaged('a record is unreadable');
  }
  if (!continues(header, expected, indexBefore)) {
    return damaged(`record ${header.seq} stands where ${expected.nextSeq} should`);
  }
  const recordBytes = header.payloadBytes + RECORD_OVERHEAD_BYTES;
  if (recordBytes > tail.length) return { torn: true, reason: 'the file ends inside a record' };
  if (laterWriteFollows(tail, recordBytes, expected)) return damaged(`record ${header.seq} has changed; later ones are whole`);
  // A payload with a zero sector of its own proves nothing by zeros; its end mark still does.
  const from = header.holdsZeroSector ? recordBytes - 1 : 0;
  if (lacksBytes(tail, tailAt, from, recordBytes)) return { torn: true, reason: 'bytes of the last write are missing' };
  return damaged(`record ${header.seq} has changed`);
}

function damaged(reason: string): Verdict {
  return { torn: false, reason };
}

function laterWriteFollows(tail: Buffer, from: number, expected: Position): boolean {
  for (let at = nextMark(tail, from); at !== -1 && at + RECORD_HEADER_BYTES <= tail.length; at = nextMark(tail, at + 1)) {
    const header = decodeRecordHeader(tail, at, expected.salt);
    if (header !== undefined && header.seq - header.index > expected.nextSeq) return true;
  }
  return false;
}

/** Whether zeros that reach to the file's end, or fill the tail's part of a sector, take in bytes of [from, to). */
function lacksBytes(tail: Buffer, tailAt: number, from: number, to: number): boolean {
  if (isZero(tail, to - 1, tail.length)) return true;
  const first = Math.floor((tailAt + from) / SECTOR_BYTES) * SECTOR_BYTES - tailAt;
  for (let sector = first; sector < to; sector += SECTOR_BYTES) {
    // Of the sector in which the write began, the disk still has what stood before.
    if (isZero(tail, Math.max(sector, 0), Math.min(sector + SECTOR_BYTES, tail.length))) return true;
  }
  return false;
}

function isZero(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

/** The part of a file that is in memory. */
class Window {
  bytes: Buffer = Buffer.alloc(0);
  readonly #file: Reads;
  readonly #size: number;
  #at = 0;

  constructor(file: Reads, size: number) {
    this.#file = file;
    this.#size = size;
  }

  holds(at: number, length: number): boolean {
    return at >= this.#at && at + length <= this.#at + this.bytes.length;
  }

  index(at: number): number {
    return at - this.#at;
  }

  async load(at: number, length: number): Promise<void> {
    const wanted = Math.min(Math.max(length, CHUNK_BYTES), this.#size - at);
    this.bytes = await this.#file.read(at, wanted);
    this.#at = at;
  }
}
