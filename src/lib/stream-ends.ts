/**
 * The two ends of a stream of bytes, however long it is: its beginning, and what came last.
 *
 * Owns: putting a stream together from pieces that may come twice or with gaps between them, and serving
 * it again from any place. Who sends what to whom, and when, is the user's.
 *
 * Invariants
 * 1. `head` is the beginning of the stream without a gap; `tail` is its end without a gap.
 * 2. head + dropped + tail = size: every byte is kept or counted, none is both.
 * 3. Memory is bounded by the head and 1.5 windows, and grows only as the stream does.
 * 4. What is handed out is a copy: what was sent does not change when more comes.
 */

/** The first and the last bytes of a stream, and how many between them were dropped. */
export interface Ends {
  head: Uint8Array<ArrayBuffer>;
  tail: Uint8Array<ArrayBuffer>;
  dropped: number;
}

/** Bytes of a stream and how many of it are before them. */
export interface Piece {
  offset: number;
  data: Uint8Array;
}

/** Something that a stream can be read from again, as far as it is kept. */
export interface StreamSource {
  /** Bytes of the stream until now, kept or not. */
  readonly size: number;
  /** What is kept from that place on, in order: at most a piece of the beginning and one of the end, at most `bytesMax` of each. */
  from(offset: number, bytesMax?: number): Piece[];
}

export interface StreamEndsOptions {
  headBytes: number;
  tailBytes: number;
  /** Bytes of the end that `from` still serves; not less than tailBytes. */
  windowBytes: number;
}

const FIRST_BYTES = 256;

export class StreamEnds implements StreamSource {
  size = 0;
  readonly #o: StreamEndsOptions;
  readonly #head = new Bytes();
  /** A gap ended the head before it was full. */
  #headClosed = false;
  readonly #end = new Bytes();

  constructor(options: StreamEndsOptions) {
    this.#o = options;
  }

  /** Adds bytes that belong at `offset`. What was there before is not added again; what is missing before it counts as dropped. */
  add(data: Uint8Array, offset = this.size): void {
    if (offset > this.size) this.#skipTo(offset);
    let rest = data.subarray(Math.min(data.length, this.size - offset));
    this.size += rest.length;
    if (!this.#headClosed) {
      const first = rest.subarray(0, this.#o.headBytes - this.#head.length);
      this.#head.append(first, this.#o.headBytes);
      rest = rest.subarray(first.length);
    }
    const { windowBytes } = this.#o;
    const slack = windowBytes >> 1;
    if (rest.length > windowBytes) rest = this.#emptyEnd(rest.subarray(rest.length - windowBytes));
    if (this.#end.length + rest.length > windowBytes + slack) this.#end.keepLast(windowBytes - rest.length);
    this.#end.append(rest, windowBytes + slack);
  }

  from(offset: number, bytesMax = Infinity): Piece[] {
    const endAt = this.size - this.#end.length;
    const pieces = [
      { offset, data: this.#head.copy(offset, bytesMax) },
      { offset: Math.max(offset, endAt), data: this.#end.copy(Math.max(0, offset - endAt), bytesMax) },
    ];
    return pieces.filter(({ data }) => data.length > 0);
  }

  kept(): Ends {
    const tail = this.#end.copy(Math.max(0, this.#end.length - this.#o.tailBytes));
    const head = this.#head.copy(0);
    return { head, tail, dropped: this.size - head.length - tail.length };
  }

  /** Lets go of what is only in the window, when no more will come. */
  trim(): void {
    this.#end.keepLast(this.#o.tailBytes);
    this.#end.shrink();
    this.#head.shrink();
  }

  /** Bytes of memory that it takes. */
  get weight(): number {
    return this.#head.capacity + this.#end.capacity;
  }

  #skipTo(offset: number): void {
    this.size = offset;
    this.#headClosed = true;
    this.#end.clear();
  }

  #emptyEnd(rest: Uint8Array): Uint8Array {
    this.#end.clear();
    return rest;
  }
}

/** A stream of which the two ends are all that is left. */
export function sourceOf({ head, tail, dropped }: Ends): StreamSource {
  const tailAt = head.length + dropped;
  return {
    size: tailAt + tail.length,
    from: (offset, bytesMax = Infinity) =>
      [
        { offset, data: head.subarray(offset, offset + bytesMax) },
        { offset: Math.max(offset, tailAt), data: tail.subarray(Math.max(0, offset - tailAt), Math.max(0, offset - tailAt) + bytesMax) },
      ].filter(({ data }) => data.length > 0),
  };
}

/** Bytes in memory of its own, which doubles up to a bound: pieces would keep alive the large buffers that they came in. */
class Bytes {
  length = 0;
  #bytes = new Uint8Array(0);

  get capacity(): number {
    return this.#bytes.length;
  }

  append(data: Uint8Array, lengthMax: number): void {
    if (data.length === 0) return;
    const needed = this.length + data.length;
    if (needed > this.#bytes.length) this.#resize(Math.min(Math.max(FIRST_BYTES, 2 ** Math.ceil(Math.log2(needed))), lengthMax));
    this.#bytes.set(data, this.length);
    this.length = needed;
  }

  keepLast(count: number): void {
    if (count >= this.length) return;
    this.#bytes.copyWithin(0, this.length - count, this.length);
    this.length = count;
  }

  clear(): void {
    this.length = 0;
  }

  copy(from: number, bytesMax = Infinity): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(Math.min(from, this.length), Math.min(this.length, from + bytesMax));
  }

  shrink(): void {
    if (this.#bytes.length > this.length) this.#resize(this.length);
  }

  #resize(capacity: number): void {
    const bytes = new Uint8Array(capacity);
    bytes.set(this.#bytes.subarray(0, this.length));
    this.#bytes = bytes;
  }
}
