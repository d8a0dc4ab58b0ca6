/**
 * The frames between host and guest, as bytes. A frame is a 4-byte big-endian length, one
 * byte of kind, and the rest; nothing is ever split at newlines. guests/guest.py and
 * guests/guest.mjs hold the other end of each layout.
 *
 *   host to guest   S settings (JSON, once) · P program: hash length (1), hash, source
 *                   D drop: hash · J job: number, flags, lengths, then the parts
 *   guest to host   H ready (JSON, once) · R result · F failed (body is JSON), both with
 *                   number (4), run µs (8), drained ns (8), flags (1), body
 *
 * Invariant: a length over the cap is found before anything is kept for it.
 */
import { limits } from '../limits.ts';
import type { Job, JobError, JobErrorCode } from './types.ts';

/** The largest result, and the frame's head. */
export const FRAME_BYTES_MAX = limits.valueBytesMax + 1024;
/** Answers smaller than this are copied out, so that they do not keep a whole read alive. */
const COPY_BYTES_MAX = 16 * 1024;
const ANSWER_HEAD_BYTES = 21;
const JOB_HEAD_BYTES = 17;
const JOB_NEEDS_TOKEN = 1;
const JOB_HAS_KWARGS = 2;
const MARKED_STDOUT = 1;
const MARKED_STDERR = 2;
const LEFTOVERS = 4;

const KIND = { settings: 0x53, program: 0x50, drop: 0x44, job: 0x4a, ready: 0x48, result: 0x52, failed: 0x46 } as const;

export interface Settings {
  /** What the guest writes after a job's output, before the job's number. */
  mark: string;
  name: string;
  memoryMb: number | null;
  /** Descriptor 4 is the cgroup's count of processes: of how many beside the guest's own; null: there is no cgroup. */
  othersCounted: number | null;
  /** It is in a box, without the network and the user's own files. */
  boxed: boolean;
}

export interface Ready {
  kind: 'ready';
  version: string;
  pid: number;
}

interface AnswerHead {
  job: number;
  runUs: number;
  /** The system's monotonic clock when the guest found its output read. */
  drainedNs: bigint;
  marked: { stdout: boolean; stderr: boolean };
  leftovers: boolean;
}

export type Answer = AnswerHead & ({ kind: 'result'; result: Uint8Array } | { kind: 'failed'; error: JobError });
export type GuestFrame = Ready | Answer;

/** The guest broke the layout: nothing it sends can be believed any more. */
export class FrameError extends Error {}

export function settingsFrame(settings: Settings): Uint8Array {
  return frame(KIND.settings, [Buffer.from(JSON.stringify(settings))]);
}

export function programFrame(hash: string, source: Uint8Array): Uint8Array {
  const name = Buffer.from(hash, 'latin1');
  return frame(KIND.program, [Buffer.from([name.length]), name, source]);
}

export function dropFrame(hash: string): Uint8Array {
  return frame(KIND.drop, [Buffer.from(hash, 'latin1')]);
}

export function jobFrame(job: Job, needsToken: boolean): Uint8Array {
  const functionBytes = Buffer.byteLength(job.function);
  const size = 1 + JOB_HEAD_BYTES + job.programHash.length + functionBytes + job.args.length + (job.kwargs?.length ?? 0);
  const bytes = Buffer.allocUnsafe(4 + size);
  bytes.writeUInt32BE(size, 0);
  bytes[4] = KIND.job;
  bytes.writeUInt32BE(job.job, 5);
  bytes[9] = (needsToken ? JOB_NEEDS_TOKEN : 0) | (job.kwargs === null ? 0 : JOB_HAS_KWARGS);
  bytes.writeUInt16BE(job.programHash.length, 10);
  bytes.writeUInt16BE(functionBytes, 12);
  bytes.writeUInt32BE(job.args.length, 14);
  bytes.writeUInt32BE(job.kwargs?.length ?? 0, 18);
  let at = 5 + JOB_HEAD_BYTES;
  at += bytes.write(job.programHash, at, 'latin1');
  at += bytes.write(job.function, at, 'utf8');
  bytes.set(job.args, at);
  if (job.kwargs !== null) bytes.set(job.kwargs, at + job.args.length);
  return bytes;
}

function frame(kind: number, parts: Uint8Array[]): Uint8Array {
  const size = parts.reduce((sum, part) => sum + part.length, 1);
  const bytes = Buffer.allocUnsafe(4 + size);
  bytes.writeUInt32BE(size, 0);
  bytes[4] = kind;
  let at = 5;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Reads what a guest sends, in pieces of any size. */
export class FrameReader {
  private readonly onFrame: (frame: GuestFrame) => void;
  private rest: Buffer | null = null;
  /** A frame larger than one read is gathered here, so that its bytes are moved once. */
  private large: Buffer | null = null;
  private largeAt = 0;

  constructor(onFrame: (frame: GuestFrame) => void) {
    this.onFrame = onFrame;
  }

  /** @throws FrameError when the bytes are not a guest's frames. */
  push(chunk: Buffer): void {
    let bytes = this.fillLarge(chunk);
    if (bytes === null) return;
    if (this.rest !== null) {
      bytes = Buffer.concat([this.rest, bytes]);
      this.rest = null;
    }
    let at = 0;
    while (bytes.length - at >= 4) {
      const size = bytes.readUInt32BE(at);
      if (size === 0 || size > FRAME_BYTES_MAX) throw new FrameError(`a frame of ${size} bytes`);
      const end = at + 4 + size;
      if (end > bytes.length) {
        if (size > COPY_BYTES_MAX) {
          this.large = Buffer.allocUnsafe(size);
          this.largeAt = bytes.copy(this.large, 0, at + 4);
          return;
        }
        break;
      }
      this.onFrame(parse(bytes, at + 4, end));
      at = end;
    }
    if (at < bytes.length) this.rest = bytes.subarray(at);
  }

  /** What follows the large frame in progress; null when the chunk did not complete it. */
  private fillLarge(chunk: Buffer): Buffer | null {
    const large = this.large;
    if (large === null) return chunk;
    const taken = chunk.copy(large, this.largeAt);
    this.largeAt += taken;
    if (this.largeAt < large.length) return null;
    this.large = null;
    this.onFrame(parse(large, 0, large.length));
    return chunk.subarray(taken);
  }
}

function parse(bytes: Buffer, from: number, end: number): GuestFrame {
  const kind = bytes[from];
  if (kind === KIND.ready) return parseReady(bytes.toString('utf8', from + 1, end));
  if (kind !== KIND.result && kind !== KIND.failed) throw new FrameError(`a frame of kind ${kind}`);
  const at = from + 1;
  if (end - at < ANSWER_HEAD_BYTES) throw new FrameError('an answer cut short');
  const flags = bytes[at + 20] ?? 0;
  const body = bytes.subarray(at + ANSWER_HEAD_BYTES, end);
  const head: AnswerHead = {
    job: bytes.readUInt32BE(at),
    runUs: bytes.readUInt32BE(at + 4) * 0x1_0000_0000 + bytes.readUInt32BE(at + 8),
    drainedNs: bytes.readBigUInt64BE(at + 12),
    marked: { stdout: (flags & MARKED_STDOUT) !== 0, stderr: (flags & MARKED_STDERR) !== 0 },
    leftovers: (flags & LEFTOVERS) !== 0,
  };
  if (kind === KIND.failed) return { ...head, kind: 'failed', error: parseError(body.toString('utf8')) };
  return { ...head, kind: 'result', result: body.length < COPY_BYTES_MAX ? Buffer.from(body) : body };
}

function parseReady(text: string): Ready {
  const { version, pid } = parseObject(text);
  if (typeof version === 'string' && typeof pid === 'number') return { kind: 'ready', version, pid };
  throw new FrameError('a greeting that is none');
}

function parseError(text: string): JobError {
  const { code, type, message, traceback, hint } = parseObject(text);
  const known = CODES.find((each) => each === code);
  if (known === undefined || typeof type !== 'string' || typeof message !== 'string') throw new FrameError('a failure that is none');
  return {
    code: known,
    type,
    message,
    ...(typeof traceback === 'string' ? { traceback } : {}),
    ...(typeof hint === 'string' ? { hint } : {}),
  };
}

const CODES: JobErrorCode[] = [
  'exception',
  'syntax_error',
  'function_missing',
  'module_missing',
  'bad_arguments',
  'result_not_json',
  'result_too_large',
  'exited',
  'out_of_memory',
];

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (error) {
    throw new FrameError('a body that is not JSON', { cause: error });
  }
  throw new FrameError('a body that is no object');
}
