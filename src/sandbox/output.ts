/**
 * Whose output is it? Descriptors 1 and 2 of a worker are two streams that all its jobs
 * share, one after another, and that the host reads beside the answers.
 *
 * The guest helps: after a job that wrote something the host had not read yet, it writes a
 * mark (a secret, then the job's number) and says so in the answer. A job that wrote
 * nothing pays nothing. This file owns the cutting of one stream at those marks.
 *
 * Invariants
 *  1. With one job outstanding, what arrives is that job's, and is passed on at once.
 *  2. With several, what arrives waits until every answer sent before it was read: that is
 *     two turns of the event loop, since the next turn polls the answers again.
 *  3. Bytes before a job's mark are never a later job's; bytes that were read before the
 *     guest found a job's output drained are never a later job's.
 *  4. A mark never reaches the user, also when it arrives in two pieces.
 */

/** The mark's number: 8 hexadecimal digits. */
const NUMBER_BYTES = 8;

/**
 * Bytes are noticed here a little after they were read, and a next job cannot have been
 * started and heard of within this time.
 */
const NOTICE_NS = 20_000n;

interface Piece {
  bytes: Buffer;
  readNs: bigint;
  /** The job whose mark followed these bytes; Infinity when none has yet. */
  before: number;
}

export interface OutputOptions {
  mark: Buffer;
  /** The job in progress as far as answers tell, and how many are fed and unanswered. */
  current: () => { job: number; outstanding: number };
  emit: (job: number, data: Uint8Array) => void;
  /** A mark came: an answer may have waited for it. */
  onMark: (job: number) => void;
  monotonicNs: () => bigint;
}

export class OutputStream {
  /** The last job whose mark came. */
  marked = 0;
  private readonly options: OutputOptions;
  private pieces: Piece[] = [];
  /** The end of what arrived, while it may be the beginning of a mark. */
  private held: Buffer | null = null;
  private settling = false;

  constructor(options: OutputOptions) {
    this.options = options;
  }

  push(chunk: Buffer): void {
    let bytes = this.held === null ? chunk : Buffer.concat([this.held, chunk]);
    this.held = null;
    const readNs = this.options.monotonicNs();
    const { mark } = this.options;
    for (;;) {
      const found = bytes.indexOf(mark);
      if (found < 0) break;
      const end = found + mark.length + NUMBER_BYTES;
      if (end > bytes.length) break;
      this.cut(bytes.subarray(0, found), readNs, Number.parseInt(bytes.toString('latin1', end - NUMBER_BYTES, end), 16));
      bytes = bytes.subarray(end);
    }
    const keep = beginningOfMark(bytes, mark);
    if (keep > 0) {
      this.held = Buffer.from(bytes.subarray(bytes.length - keep));
      bytes = bytes.subarray(0, bytes.length - keep);
    }
    if (bytes.length > 0) this.add(bytes, readNs);
  }

  /** Passes on what is `job`'s, before its answer. `marked`: its mark was announced. */
  release(job: number, drainedNs: bigint, marked: boolean): void {
    while (this.pieces.length > 0) {
      const piece = this.pieces[0];
      if (piece === undefined) break;
      const its = piece.before <= job || (!marked && piece.before === Infinity && piece.readNs < drainedNs + NOTICE_NS);
      if (!its) break;
      this.pieces.shift();
      this.options.emit(job, piece.bytes);
    }
  }

  /** Passes on everything, as `job`'s: the worker ended, or a mark did not come in time. */
  releaseAll(job: number): void {
    const pieces = this.pieces;
    this.pieces = [];
    for (const piece of pieces) this.options.emit(job, piece.bytes);
    if (this.held !== null && !this.held.includes(this.options.mark)) this.options.emit(job, this.held);
    this.held = null;
  }

  private cut(bytes: Buffer, readNs: bigint, job: number): void {
    if (bytes.length > 0) this.pieces.push({ bytes, readNs, before: job });
    for (const piece of this.pieces) piece.before = Math.min(piece.before, job);
    const { job: current } = this.options.current();
    if (current === job) this.release(job, readNs, true);
    this.marked = job;
    this.options.onMark(job);
  }

  private add(bytes: Buffer, readNs: bigint): void {
    const { job, outstanding } = this.options.current();
    if (outstanding <= 1 && this.pieces.length === 0) {
      this.options.emit(job, bytes);
      return;
    }
    this.pieces.push({ bytes, readNs, before: Infinity });
    if (this.settling) return;
    this.settleSoon();
  }

  private settleSoon(): void {
    this.settling = true;
    setImmediate(() => {
      const untilNs = this.options.monotonicNs();
      setImmediate(() => this.settle(untilNs));
    });
  }

  /** Answers sent before `untilNs` have been read by now: what remains from then is the current job's. */
  private settle(untilNs: bigint): void {
    this.settling = false;
    const { job } = this.options.current();
    const settled = this.pieces.filter((piece) => piece.readNs <= untilNs);
    this.pieces = this.pieces.slice(settled.length);
    for (const piece of settled) this.options.emit(job, piece.bytes);
    if (this.pieces.length > 0) this.settleSoon();
  }
}

/** How many of the last bytes may be the beginning of a mark that is still arriving. */
function beginningOfMark(bytes: Buffer, mark: Buffer): number {
  const whole = mark.length + NUMBER_BYTES;
  const first = mark[0] ?? 0;
  const start = Math.max(0, bytes.length - whole + 1);
  for (let at = bytes.indexOf(first, start); at >= 0; at = bytes.indexOf(first, at + 1)) {
    const size = Math.min(mark.length, bytes.length - at);
    if (bytes.compare(mark, 0, size, at, at + size) === 0) return bytes.length - at;
  }
  return 0;
}
