/**
 * The part of MessagePack that potluck speaks: nil, booleans, numbers, strings, bytes, arrays, and
 * maps with string keys. Nothing else, in either direction.
 *
 * Owns: bytes to plain data and back. Frames and versions are in framing.ts, shapes in messages.ts.
 * A reader of our own, because the bounds must hold while reading, not after, and because what it
 * returns is kept for long: a general decoder hands out slices of the buffer it read from.
 *
 * Invariants
 * 1. Nothing is allocated for a length that the remaining bytes cannot fill.
 * 2. Nesting is bounded (limits.depthMax); keys that touch prototypes are refused; extension types,
 *    which could build objects, are refused.
 * 3. Strings and bytes that are handed out share no memory with the buffer that was read.
 * 4. A property whose value is undefined is not written.
 */
import { limits } from '../limits.ts';

/** The bytes are not the MessagePack that potluck speaks. */
export class MalformedData extends Error {
  override name = 'MalformedData';
}

// --- writing -------------------------------------------------------------------------------

/** Strings up to this length are tried as ASCII, byte by byte: cheaper than a call out of JavaScript. */
const SHORT_STRING = 65;
/** Small enough to come from Node's pool: most writes are a few hundred bytes. */
const FIRST_BUFFER = 2 * 1024;

/** Collects encoded data in one growing buffer, until it is taken. */
export class Writer {
  bytes: Buffer = Buffer.alloc(0);
  length = 0;

  /** What was written; the writer starts anew with a buffer of its own. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.alloc(0);
    this.length = 0;
    return taken;
  }

  room(size: number): void {
    const needed = this.length + size;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(FIRST_BUFFER, needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  value(value: unknown): void {
    switch (typeof value) {
      case 'string':
        this.string(value);
        return;
      case 'number':
        this.number(value);
        return;
      case 'boolean':
        this.byte(value ? 0xc3 : 0xc2);
        return;
      case 'object':
        if (value === null) this.byte(0xc0);
        else if (value instanceof Uint8Array) this.binary(value);
        else if (Array.isArray(value)) this.array(value);
        else this.map(value);
        return;
      default:
        throw new TypeError(`a ${typeof value} cannot travel in a message`);
    }
  }

  byte(byte: number): void {
    this.room(1);
    this.bytes[this.length++] = byte;
  }

  /** A length or an unsigned number: the marker, then the number in `width` bytes. */
  sized(marker: number, value: number, width: 1 | 2 | 4): void {
    this.room(5);
    this.bytes[this.length++] = marker;
    for (let shift = (width - 1) * 8; shift >= 0; shift -= 8) this.bytes[this.length++] = (value >>> shift) & 0xff;
  }

  number(value: number): void {
    if (Number.isInteger(value)) {
      if (value >= 0) {
        if (value < 0x80) return this.byte(value);
        if (value <= 0xff) return this.sized(0xcc, value, 1);
        if (value <= 0xffff) return this.sized(0xcd, value, 2);
        if (value <= 0xffffffff) return this.sized(0xce, value, 4);
      } else if (value >= -0x80000000) {
        if (value >= -32) return this.byte(value & 0xff);
        return this.sized(0xd2, value, 4);
      }
    }
    this.room(9);
    this.bytes[this.length] = 0xcb;
    this.bytes.writeDoubleBE(value, this.length + 1);
    this.length += 9;
  }

  string(text: string): void {
    if (text.length < SHORT_STRING && this.ascii(text)) return;
    const size = Buffer.byteLength(text);
    this.room(size + 5);
    if (size < 32) this.byte(0xa0 | size);
    else if (size <= 0xff) this.sized(0xd9, size, 1);
    else if (size <= 0xffff) this.sized(0xda, size, 2);
    else this.sized(0xdb, size, 4);
    this.length += this.bytes.write(text, this.length);
  }

  /** Writes a short string if it is ASCII; leaves no trace of it otherwise. */
  ascii(text: string): boolean {
    const size = text.length;
    this.room(size + 2);
    const { bytes } = this;
    let at = this.length;
    if (size < 32) {
      bytes[at++] = 0xa0 | size;
    } else {
      bytes[at++] = 0xd9;
      bytes[at++] = size;
    }
    for (let i = 0; i < size; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at++] = code;
    }
    this.length = at;
    return true;
  }

  binary(data: Uint8Array): void {
    const size = data.length;
    this.room(size + 5);
    if (size <= 0xff) this.sized(0xc4, size, 1);
    else if (size <= 0xffff) this.sized(0xc5, size, 2);
    else this.sized(0xc6, size, 4);
    this.bytes.set(data, this.length);
    this.length += size;
  }

  /** In the place of a value: the same as in the row before. MessagePack itself never uses this byte. */
  same(): void {
    this.byte(SAME);
  }

  array(items: readonly unknown[]): void {
    if (items.length < 16) this.byte(0x90 | items.length);
    else if (items.length <= 0xffff) this.sized(0xdc, items.length, 2);
    else this.sized(0xdd, items.length, 4);
    for (const item of items) this.value(item);
  }

  /** A map of the object's own properties, without those undefined and without `except`. */
  map(object: object, except?: string): void {
    const properties = object as Record<string, unknown>;
    const keys = Object.keys(properties);
    let count = 0;
    for (const key of keys) if (properties[key] !== undefined && key !== except) count++;
    if (count < 16) this.byte(0x80 | count);
    else if (count <= 0xffff) this.sized(0xde, count, 2);
    else this.sized(0xdf, count, 4);
    for (const key of keys) {
      const value = properties[key];
      if (value === undefined || key === except) continue;
      this.string(key);
      this.value(value);
    }
  }
}

/** Stands for "as in the row before" where rows are written one after another (framing.ts, record-codec.ts). */
const SAME = 0xc1;

// --- reading -------------------------------------------------------------------------------

const refusedKeys = new Set(['__proto__', 'constructor', 'prototype']);

/** Keys come again and again: remembered by their bytes, so that each is made into a string once. */
const KEY_LENGTH_MAX = 32;
const KEY_SLOTS = 512;
const keyBytes: (Uint8Array | undefined)[] = Array.from({ length: KEY_SLOTS }, () => undefined);
const keyTexts: string[] = Array.from({ length: KEY_SLOTS }, () => '');

/** Reads one value that must fill the given bytes to their end. Throws MalformedData. */
export class Reader {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;

  read(bytes: Buffer, start: number, end: number): unknown {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    try {
      const value = this.value(0);
      if (this.at !== this.end) throw new MalformedData('bytes after the end of the value');
      return value;
    } finally {
      this.bytes = empty;
    }
  }

  /** Begins to read values one by one; `isAtEnd` tells when there are no more. */
  open(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  /** The next value, or the one of the row before where it is the same. */
  valueOr(before: unknown): unknown {
    if (this.at < this.end && this.bytes[this.at] === SAME) {
      this.at += 1;
      return before;
    }
    return this.value(0);
  }

  value(depth: number): unknown {
    const marker = this.uint(1);
    if (marker < 0x80) return marker;
    if (marker < 0x90) return this.map(marker & 0x0f, depth);
    if (marker < 0xa0) return this.array(marker & 0x0f, depth);
    if (marker < 0xc0) return this.string(marker & 0x1f);
    if (marker >= 0xe0) return marker - 0x100;
    switch (marker) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.binary(this.uint(1));
      case 0xc5:
        return this.binary(this.uint(2));
      case 0xc6:
        return this.binary(this.uint(4));
      case 0xca:
        return this.bytes.readFloatBE(this.skip(4));
      case 0xcb:
        return this.bytes.readDoubleBE(this.skip(8));
      case 0xcc:
        return this.uint(1);
      case 0xcd:
        return this.uint(2);
      case 0xce:
        return this.uint(4);
      case 0xcf:
        return this.wide(this.bytes.readBigUInt64BE(this.skip(8)));
      case 0xd0:
        return this.bytes.readInt8(this.skip(1));
      case 0xd1:
        return this.bytes.readInt16BE(this.skip(2));
      case 0xd2:
        return this.bytes.readInt32BE(this.skip(4));
      case 0xd3:
        return this.wide(this.bytes.readBigInt64BE(this.skip(8)));
      case 0xd9:
        return this.string(this.uint(1));
      case 0xda:
        return this.string(this.uint(2));
      case 0xdb:
        return this.string(this.uint(4));
      case 0xdc:
        return this.array(this.uint(2), depth);
      case 0xdd:
        return this.array(this.uint(4), depth);
      case 0xde:
        return this.map(this.uint(2), depth);
      case 0xdf:
        return this.map(this.uint(4), depth);
      default:
        throw new MalformedData(`the type 0x${marker.toString(16)} is not spoken here`);
    }
  }

  /** Moves past `size` bytes that must be there; returns where they start. */
  skip(size: number): number {
    const start = this.at;
    if (size > this.end - start) throw new MalformedData('the value ends too early');
    this.at = start + size;
    return start;
  }

  uint(width: 1 | 2 | 4): number {
    const start = this.skip(width);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 0x100 + this.bytes[start + i]!;
    return value;
  }

  /** No number of ours is beyond what a double holds exactly, so such a one is an error, not a bigint. */
  wide(value: bigint): number {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new MalformedData('a number too large to be exact');
    return number;
  }

  string(size: number): string {
    const start = this.skip(size);
    return this.bytes.toString('utf8', start, this.at);
  }

  binary(size: number): Uint8Array {
    const start = this.skip(size);
    if (size > SMALL) return Uint8Array.prototype.slice.call(this.bytes, start, this.at);
    if (SLAB - slabAt < size) {
      slab = new ArrayBuffer(SLAB);
      slabAt = 0;
    }
    const copy = new Uint8Array(slab, slabAt, size);
    slabAt += size;
    for (let i = 0; i < size; i++) copy[i] = this.bytes[start + i]!;
    return copy;
  }

  array(count: number, depth: number): unknown[] {
    if (depth >= limits.depthMax) throw new MalformedData('nested too deeply');
    if (count > this.end - this.at) throw new MalformedData('an array longer than its bytes');
    const items: unknown[] = [];
    for (let i = 0; i < count; i++) items.push(this.value(depth + 1));
    return items;
  }

  map(count: number, depth: number): Record<string, unknown> {
    if (depth >= limits.depthMax) throw new MalformedData('nested too deeply');
    if (count * 2 > this.end - this.at) throw new MalformedData('a map longer than its bytes');
    const object: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const key = this.key();
      object[key] = this.value(depth + 1);
    }
    return object;
  }

  key(): string {
    const marker = this.uint(1);
    let size: number;
    if (marker >= 0xa0 && marker < 0xc0) size = marker & 0x1f;
    else if (marker === 0xd9) size = this.uint(1);
    else throw new MalformedData('a key that is not a short string');
    if (size > KEY_LENGTH_MAX || size === 0) return checkedKey(this.string(size));
    const start = this.skip(size);
    const { bytes } = this;
    const slot = (size * 131 + bytes[start]! * 31 + bytes[start + size - 1]! * 7 + bytes[start + (size >> 1)]!) % KEY_SLOTS;
    const known = keyBytes[slot];
    if (known !== undefined && sameBytes(known, bytes, start, size)) return keyTexts[slot]!;
    const text = checkedKey(bytes.toString('utf8', start, start + size));
    keyBytes[slot] = Uint8Array.prototype.slice.call(bytes, start, start + size);
    keyTexts[slot] = text;
    return text;
  }
}

/** Small values share slabs, because an allocation of its own costs each far more than its bytes. */
const SLAB = 8 * 1024;
const SMALL = 256;
let slab = new ArrayBuffer(SLAB);
let slabAt = 0;

const empty = Buffer.alloc(0);

function checkedKey(key: string): string {
  if (refusedKeys.has(key)) throw new MalformedData(`the key ${key} is refused`);
  return key;
}

function sameBytes(known: Uint8Array, bytes: Uint8Array, start: number, size: number): boolean {
  if (known.length !== size) return false;
  for (let i = 0; i < size; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
