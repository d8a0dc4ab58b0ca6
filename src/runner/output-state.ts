/**
 * What one attempt has printed and how much of it its home was told.
 *
 * Owns: how much is told when. Neighbours: stream-ends.ts keeps the bytes; runner-state.ts says whether the
 * home can be told anything. The home merges by offset, so saying something twice does no harm.
 *
 * Invariants
 * 1. What is told is in order within a stream. What is left out (the home's link is slow, or the attempt
 *    prints faster than anybody reads) shows as a gap between offsets, and the head is never left out.
 * 2. After `rest` the home has the last limits.outputTailBytes of each stream without a gap: a gap ends
 *    where the kept end begins, which is at least that long, and what comes after it is told in order.
 * 3. Nothing that happens to a home or a follower holds up the task: it prints into memory of fixed size.
 */
import { StreamEnds } from '../lib/stream-ends.ts';
import { limits } from '../limits.ts';

/** Many small prints of this time travel together; a person sees no difference. */
const TELL_EVERY_MS = 10;
/** So much is told without waiting for more. */
const TELL_BYTES = limits.inlineBytesMax;

export type Stream = 'stdout' | 'stderr';
const streams = ['stdout', 'stderr'] as const;

export interface Print {
  stream: Stream;
  offset: number;
  data: Uint8Array;
}

interface Told {
  readonly ends: StreamEnds;
  /** Up to here the home was told, or what it was not told is gone. */
  at: number;
}

export class AttemptOutput {
  readonly #streams: { [S in Stream]?: Told } = {};
  #toldAt = -Infinity;
  #allowance = limits.outputAheadBytes;

  add(stream: Stream, data: Uint8Array): void {
    this.#streams[stream] ??= { ends: new StreamEnds({ headBytes: limits.outputHeadBytes, tailBytes: limits.outputTailBytes, windowBytes: limits.outputAheadBytes }), at: 0 };
    this.#streams[stream].ends.add(data);
  }

  /** The home may have none of it: it is told from the beginning again. */
  again(): void {
    for (const told of this.#all()) told.at = 0;
    this.#toldAt = -Infinity;
  }

  /** When the home should be told what it was not told yet; Infinity when there is nothing. */
  dueAt(): number {
    const untold = this.#all().reduce((sum, { ends, at }) => sum + ends.size - at, 0);
    if (untold === 0) return Infinity;
    return untold >= TELL_BYTES && this.#allowance >= TELL_BYTES ? -Infinity : this.#toldAt + TELL_EVERY_MS;
  }

  /** What is due, within the rate. */
  due(nowMs: number): Print[] {
    this.#allowance = Math.min(limits.outputAheadBytes, this.#allowance + Math.min(nowMs - this.#toldAt, limits.outputAheadBytes) * limits.outputToldBytesPerMs);
    this.#toldAt = nowMs;
    const prints: Print[] = [];
    for (const stream of streams) {
      const told = this.#streams[stream];
      if (told === undefined) continue;
      const next = pieces(stream, told, this.#allowance);
      this.#allowance -= next.reduce((sum, { data }) => sum + data.length, 0);
      prints.push(...next);
    }
    return prints;
  }

  /** Everything that is left to tell. When that is more than the rate allows, the middle of it is left out. */
  rest(): Print[] {
    return streams.flatMap((stream) => {
      const told = this.#streams[stream];
      if (told === undefined) return [];
      const { ends } = told;
      if (ends.size - told.at <= this.#allowance) return pieces(stream, told, Infinity);
      const head = told.at < limits.outputHeadBytes ? pieces(stream, told, limits.outputHeadBytes - told.at) : [];
      told.at = Math.max(told.at, ends.size - limits.outputTailBytes);
      return [...head, ...pieces(stream, told, Infinity)];
    });
  }

  /** The attempt is over and its home cannot be told at once: only what a record keeps is kept. */
  trim(): void {
    for (const { ends } of this.#all()) ends.trim();
  }

  /** Of the two ends of both streams. */
  get keptBytes(): number {
    return this.#all().reduce((sum, { ends }) => sum + Math.min(ends.size, limits.outputHeadBytes + limits.outputTailBytes), 0);
  }

  #all(): Told[] {
    return streams.map((stream) => this.#streams[stream]).filter((told) => told !== undefined);
  }
}

function pieces(stream: Stream, told: Told, bytesMax: number): Print[] {
  const prints: Print[] = [];
  let room = bytesMax;
  for (const { offset, data } of told.ends.from(told.at, bytesMax)) {
    for (let at = 0; at < data.length && room > 0; ) {
      const part = data.subarray(at, at + Math.min(room, limits.inlineBytesMax));
      prints.push({ stream, offset: offset + at, data: part });
      at += part.length;
      room -= part.length;
      told.at = offset + at;
    }
  }
  return prints;
}
