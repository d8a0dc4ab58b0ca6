/**
 * The bytes of the log: how a segment opens and how a record is laid out.
 * log-scan.ts reads them back and judges damage; log.ts writes them.
 *
 * Numbers are little-endian. Invariants that the judging of a torn end cites:
 * 1. A segment header and a record header begin and end with a byte that is not
 *    zero, and a record ends with one. So zeros that reach over one of these
 *    places were never written by us: the disk has not got those bytes.
 * 2. A record says how far it is from the first record of the same write
 *    (`index`). A write starts only after the one before it is on disk. So a
 *    record of a later write proves that everything before it was once durable.
 * 3. A record's header has a check of its own, so its length can be believed
 *    without its payload. The check is seeded with the log's salt, which no
 *    author of a payload knows: a payload cannot contain a header.
 * 4. The chain of a record covers all records before it: a record lost, doubled,
 *    moved or changed breaks it.
 */
import { crc32 } from 'node:zlib';

export const LOG_VERSION = 1;

/** Smallest unit a disk writes whole; a hole in a torn write is at least one of these, aligned. */
export const SECTOR_BYTES = 512;

/** Larger values belong in blobs; this only bounds what a reader allocates. */
export const RECORD_BYTES_MAX = 16 * 1024 * 1024;

export const SEGMENT_HEADER_BYTES = 40;
export const RECORD_HEADER_BYTES = 25;
/** Header and end mark: what a record takes beside its payload. */
export const RECORD_OVERHEAD_BYTES = RECORD_HEADER_BYTES + 1;

const MAGIC = Buffer.from('POTLUCKJ', 'latin1');
const MARK = 0xc5;
const HOLDS_ZERO_SECTOR = 1;
const ZERO_SECTOR = Buffer.alloc(SECTOR_BYTES);

export interface SegmentHeader {
  firstSeq: number;
  /** The chain of the record before `firstSeq`; for the first segment ever, the salt. */
  chainStart: number;
  salt: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES, MARK);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(LOG_VERSION, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  bytes.writeUIntLE(header.firstSeq, 16, 6);
  bytes.writeUInt16LE(0, 22);
  bytes.writeUInt32LE(header.chainStart, 24);
  bytes.writeUInt32LE(header.salt, 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 32)), 32);
  return bytes;
}

/**
 * The version a segment says it has, or undefined if that cannot be believed.
 * These first 16 bytes stay as they are in every later version.
 */
export function readSegmentVersion(bytes: Buffer): number | undefined {
  if (bytes.length < 16 || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (crc32(bytes.subarray(0, 12)) !== bytes.readUInt32LE(12)) return undefined;
  return bytes.readUInt32LE(8);
}

export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || readSegmentVersion(bytes) !== LOG_VERSION) return undefined;
  if (crc32(bytes.subarray(0, 32)) !== bytes.readUInt32LE(32)) return undefined;
  for (let at = 36; at < SEGMENT_HEADER_BYTES; at += 1) if (bytes[at] !== MARK) return undefined;
  return {
    firstSeq: bytes.readUIntLE(16, 6),
    chainStart: bytes.readUInt32LE(24),
    salt: bytes.readUInt32LE(28),
  };
}

/** Where a record stands in the log. */
export interface RecordPlace {
  seq: number;
  /** 0 for the first record of a write, 1 for the next, … */
  index: number;
  /** The chain of the record before it. */
  chain: number;
  salt: number;
}

/** Writes one record into `target` at `at`, which has room for it. Returns the record's chain. */
export function encodeRecord(target: Buffer, at: number, place: RecordPlace, payload: Uint8Array): number {
  target[at] = MARK;
  target[at + 1] = holdsZeroSector(payload) ? HOLDS_ZERO_SECTOR : 0;
  target.writeUIntLE(place.seq, at + 2, 6);
  target.writeUInt32LE(payload.length, at + 8);
  target.writeUInt32LE(place.index, at + 12);
  target.set(payload, at + RECORD_HEADER_BYTES);
  const end = at + RECORD_HEADER_BYTES + payload.length;
  target[end] = MARK;
  const chain = crc32(target.subarray(at + RECORD_HEADER_BYTES, end), crc32(target.subarray(at, at + 16), place.chain));
  target.writeUInt32LE(chain, at + 16);
  target.writeUInt32LE(crc32(target.subarray(at, at + 20), place.salt), at + 20);
  target[at + 24] = MARK;
  return chain;
}

export interface RecordHeader {
  seq: number;
  index: number;
  payloadBytes: number;
  chain: number;
  /** The payload has a run of zeros as long as a sector of its own. */
  holdsZeroSector: boolean;
}

/** The header at `at`, or undefined if what stands there is none. Needs RECORD_HEADER_BYTES. */
export function decodeRecordHeader(bytes: Buffer, at: number, salt: number): RecordHeader | undefined {
  if (bytes[at] !== MARK || bytes[at + 24] !== MARK) return undefined;
  if (crc32(bytes.subarray(at, at + 20), salt) !== bytes.readUInt32LE(at + 20)) return undefined;
  const payloadBytes = bytes.readUInt32LE(at + 8);
  if (payloadBytes > RECORD_BYTES_MAX) return undefined;
  return {
    seq: bytes.readUIntLE(at + 2, 6),
    index: bytes.readUInt32LE(at + 12),
    payloadBytes,
    chain: bytes.readUInt32LE(at + 16),
    holdsZeroSector: bytes[at + 1] === HOLDS_ZERO_SECTOR,
  };
}

/** Whether the whole record at `at` is what was written there after a record with chain `chainBefore`. */
export function recordHolds(bytes: Buffer, at: number, header: RecordHeader, chainBefore: number): boolean {
  const payloadAt = at + RECORD_HEADER_BYTES;
  const end = payloadAt + header.payloadBytes;
  if (bytes[end] !== MARK) return false;
  return crc32(bytes.subarray(payloadAt, end), crc32(bytes.subarray(at, at + 16), chainBefore)) === header.chain;
}

/** Offset of the next byte from `at` on that could start a record header, or -1. */
export function nextMark(bytes: Buffer, at: number): number {
  return bytes.indexOf(MARK, at);
}

function holdsZeroSector(payload: Uint8Array): boolean {
  if (payload.length < SECTOR_BYTES) return false;
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).includes(ZERO_SECTOR);
}
