/**
 * Messages to bytes and back: a frame is a 4-byte big-endian length and a body, the MessagePack of
 * [protocol version, kind, fields], or of several messages of one kind as rows (FrameWriter).
 *
 * Owns: the frame and its limits. The values inside are read and written by msgpack.ts, their shapes
 * are in messages.ts, the sockets in tls-connection.ts.
 *
 * Invariants
 * 1. A length above limits.frameBytesMax is refused before anything is allocated for it.
 * 2. What a decoder delivers has passed its schema; fields that the schema does not know are gone.
 * 3. What the rows of one frame stand for is bounded, not only what they take: "the same" is a byte.
 * 4. A kind that only a newer version knows is counted and skipped. Everything else that is not a
 *    message throws, and the decoder is of no further use.
 */
import type { z } from 'zod';
import { limits } from '../limits.ts';
import { wireCounters } from './counters.ts';
import { messageSchemas, type Message, type MessageKind } from './messages.ts';
import { MalformedData, Reader, Writer } from './msgpack.ts';
import { fieldIsQuickly, isQuickly } from './quick-checks.ts';
import { isCompatible, protocolVersion, versionGap } from './version.ts';

/** What came over a link is not a frame of ours. */
export class MalformedFrame extends Error {
  override name = 'MalformedFrame';
}

/** A message larger than a frame may be: a fault of whoever built it, values that large go by content. */
export class OversizedMessage extends Error {
  override name = 'OversizedMessage';
}

const HEADER = 4;
const kindPattern = /^[a-z][a-z_]{0,39}$/;

/** Appends the frame of a message to the writer. Throws OversizedMessage and then has written nothing. */
export function encodeInto(writer: Writer, message: { readonly kind: string }, version: number = protocolVersion): void {
  const start = writer.length;
  try {
    writer.room(HEADER);
    writer.length += HEADER;
    writer.byte(0x93);
    writer.number(version);
    writer.string(message.kind);
    writer.map(message, 'kind');
  } catch (error) {
    writer.length = start;
    throw error;
  }
  const size = writer.length - start - HEADER;
  if (size > limits.frameBytesMax) {
    writer.length = start;
    throw new OversizedMessage(`a message "${message.kind}" of ${size} bytes is above the ${limits.frameBytesMax} of a frame`);
  }
  writer.bytes.writeUInt32BE(size, start);
}

/** One message as one frame. */
export function encode(message: Message, version: number = protocolVersion): Buffer {
  const writer = new Writer();
  encodeInto(writer, message, version);
  return writer.take();
}

/** Rows join a frame until it has this size: a frame is decoded in one go, and others wait for it. */
const BATCH_BYTES = 32 * 1024;
const COUNT_BYTES = 5;
/** A row can be as small as a byte per field, so rows are counted, too. */
const ROWS_MAX = 4096;

/** What rows would take if each were written whole, so that few bytes cannot be made into much work. */
class RowsWeight {
  /** Of each field, in the row at hand. */
  readonly #bytes: number[] = [];
  #row = 0;
  #rows = 0;

  clear(): void {
    this.#bytes.length = 0;
    this.#row = 0;
    this.#rows = 0;
  }

  /** The field has this size from this row on. */
  set(at: number, bytes: number): void {
    this.#row += bytes - (this.#bytes[at] ?? 0);
    this.#bytes[at] = bytes;
  }

  /** Counts the row at hand; false if that is too much. */
  add(): boolean {
    this.#rows += this.#row;
    return this.#rows <= limits.rowsBytesMax;
  }
}

/**
 * The frames of one write. Messages of one kind that follow each other share a frame: the names of their
 * fields are written once, and a value that equals the one before costs one byte.
 *
 *     [version, kind, keys, count] value … value      (4 elements, then count × keys values)
 */
export class FrameWriter {
  readonly #writer = new Writer();
  /** The last message, and where its frame begins; a frame of rows has a count. */
  #last: Message | undefined;
  /** Its fields, worked out when a message of the same kind follows, and their values. */
  #keys: string[] | undefined;
  #values: unknown[] = [];
  /** Of the message that is being added. */
  #nextValues: unknown[] = [];
  readonly #weight = new RowsWeight();
  #start = 0;
  #countAt = 0;
  #count = 0;

  get length(): number {
    return this.#writer.length;
  }

  /** Throws OversizedMessage and then has written nothing. */
  add(message: Message): void {
    const last = this.#last;
    if (last !== undefined && last.kind === message.kind) {
      const keys = (this.#keys ??= keysOf(last));
      if (valuesInto(this.#nextValues, message, keys) && (this.#count > 0 ? this.#addRow(message) : this.#beginRows(message, keys))) return;
    }
    this.#start = this.#writer.length;
    encodeInto(this.#writer, message);
    this.#last = message;
    this.#keys = undefined;
    this.#count = 0;
  }

  take(): Buffer {
    this.#last = undefined;
    this.#keys = undefined;
    this.#values.length = 0;
    this.#nextValues.length = 0;
    this.#count = 0;
    return this.#writer.take();
  }

  #beginRows(message: Message, keys: readonly string[]): boolean {
    const writer = this.#writer;
    const start = writer.length;
    writer.room(HEADER);
    writer.length += HEADER;
    writer.byte(0x94);
    writer.number(protocolVersion);
    writer.string(message.kind);
    writer.array(keys);
    this.#countAt = writer.length;
    writer.room(COUNT_BYTES);
    writer.length += COUNT_BYTES;
    this.#weight.clear();
    for (const [at, value] of this.#nextValues.entries()) this.#write(at, value);
    return this.#close(start, start, message, 1);
  }

  #addRow(message: Message): boolean {
    const writer = this.#writer;
    const end = writer.length;
    if (end - this.#start > BATCH_BYTES || this.#count >= ROWS_MAX) return false;
    const last = this.#values;
    const next = this.#nextValues;
    for (let at = 0; at < next.length; at += 1) {
      const value = next[at];
      if (value === last[at]) writer.same();
      else this.#write(at, value);
    }
    return this.#close(this.#start, end, message, this.#count + 1);
  }

  #write(at: number, value: unknown): void {
    const from = this.#writer.length;
    this.#writer.value(value);
    this.#weight.set(at, this.#writer.length - from);
  }

  /** Writes size and count; takes the row back if the frame became too large, or would stand for too much. */
  #close(start: number, before: number, message: Message, count: number): boolean {
    const writer = this.#writer;
    const size = writer.length - start - HEADER;
    if (size > limits.frameBytesMax || !this.#weight.add()) {
      writer.length = before;
      return false;
    }
    writer.bytes.writeUInt32BE(size, start);
    writer.bytes[this.#countAt] = 0xce;
    writer.bytes.writeUInt32BE(count, this.#countAt + 1);
    this.#start = start;
    this.#count = count;
    this.#last = message;
    [this.#values, this.#nextValues] = [this.#nextValues, this.#values];
    return true;
  }
}

const fieldOf = (message: Message, key: string): unknown => (message as unknown as Record<string, unknown>)[key];
const keysOf = (message: Message): string[] => Object.keys(message).filter((key) => key !== 'kind' && fieldOf(message, key) !== undefined);

/** Reads the values, if it has just these fields, in this order. */
function valuesInto(values: unknown[], message: Message, keys: readonly string[]): boolean {
  values.length = 0;
  for (const key in message) {
    if (key === 'kind') continue;
    const value = fieldOf(message, key);
    if (value === undefined) continue;
    if (keys[values.length] !== key) return false;
    values.push(value);
  }
  return values.length === keys.length;
}

/** Makes messages of the bytes of one link, however they are cut. */
export class Decoder {
  readonly #reader = new Reader();
  /** The length of the frame that is under way, byte by byte. */
  readonly #header = Buffer.alloc(HEADER);
  #headerBytes = 0;
  /** Its body, once the length is known and the body did not come in one piece. */
  #body: Buffer | undefined;
  #bodyBytes = 0;

  /**
   * Takes the next bytes and delivers every message that they complete, in order.
   * Throws MalformedFrame, and PotluckError `version_gap` if the sender is too old or too new.
   */
  push(chunk: Buffer, deliver: (message: Message) => void): void {
    let at = 0;
    if (this.#headerBytes > 0 || this.#body !== undefined) at = this.#continue(chunk, deliver);
    while (chunk.length - at >= HEADER) {
      const size = checkedSize(chunk.readUInt32BE(at));
      const start = at + HEADER;
      if (chunk.length - start < size) {
        this.#startBody(size);
        at = start;
        break;
      }
      at = start + size;
      this.#decode(chunk, start, at, deliver);
    }
    this.#keep(chunk, at);
  }

  /** Completes the frame that an earlier chunk began; returns how many bytes that took. */
  #continue(chunk: Buffer, deliver: (message: Message) => void): number {
    let at = 0;
    if (this.#body === undefined) {
      at = chunk.copy(this.#header, this.#headerBytes, 0, HEADER - this.#headerBytes);
      this.#headerBytes += at;
      if (this.#headerBytes < HEADER) return at;
      this.#startBody(checkedSize(this.#header.readUInt32BE(0)));
    }
    const body = this.#body!;
    const taken = chunk.copy(body, this.#bodyBytes, at, at + body.length - this.#bodyBytes);
    this.#bodyBytes += taken;
    if (this.#bodyBytes === body.length) {
      this.#body = undefined;
      this.#decode(body, 0, body.length, deliver);
    }
    return at + taken;
  }

  #startBody(size: number): void {
    this.#headerBytes = 0;
    this.#body = Buffer.allocUnsafeSlow(size);
    this.#bodyBytes = 0;
  }

  /** Copies what is left of a chunk: the start of a body or of a header. */
  #keep(chunk: Buffer, at: number): void {
    if (at >= chunk.length) return;
    if (this.#body !== undefined) this.#bodyBytes += chunk.copy(this.#body, this.#bodyBytes, at);
    else this.#headerBytes += chunk.copy(this.#header, this.#headerBytes, at);
  }

  #decode(bytes: Buffer, start: number, end: number, deliver: (message: Message) => void): void {
    if (bytes[start] === 0x94) {
      this.#decodeRows(bytes, start, end, deliver);
      return;
    }
    const message = toMessage(this.#read(bytes, start, end));
    if (message === undefined) wireCounters.unknownKinds++;
    else deliver(message);
  }

  /** The first row is checked as a whole; of the others, what differs from the row before. */
  #decodeRows(bytes: Buffer, start: number, end: number, deliver: (message: Message) => void): void {
    const rows: Message[] = [];
    try {
      const reader = this.#reader;
      reader.open(bytes, start + 1, end);
      const kind = checkedKind(reader.value(0), reader.value(0));
      const keys = checkedKeys(reader.value(0));
      const count = reader.value(0);
      if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > ROWS_MAX) throw new MalformedFrame('rows without a count, or too many');
      if (kind === undefined) {
        wireCounters.unknownKinds += count;
        return;
      }
      const values: unknown[] = [];
      const weight = new RowsWeight();
      for (let row = 0; row < count; row += 1) {
        rows.push(row === 0 ? firstRow(reader, kind, keys, values, weight) : nextRow(reader, kind, keys, values, rows[row - 1]!, weight));
        if (!weight.add()) throw new MalformedFrame(`rows that stand for more than ${limits.rowsBytesMax} bytes`);
      }
      if (!reader.isAtEnd) throw new MalformedFrame('bytes after the last row');
    } catch (error) {
      if (error instanceof MalformedData) throw new MalformedFrame(`rows that are not MessagePack: ${error.message}`, { cause: error });
      throw error;
    }
    for (const message of rows) deliver(message);
  }

  #read(bytes: Buffer, start: number, end: number): unknown {
    try {
      return this.#reader.read(bytes, start, end);
    } catch (error) {
      if (error instanceof MalformedData) throw new MalformedFrame(`a frame that is not MessagePack: ${error.message}`, { cause: error });
      throw error;
    }
  }
}

/** No body is empty, and none is larger than a frame may be. */
function checkedSize(size: number): number {
  if (size === 0 || size > limits.frameBytesMax) throw new MalformedFrame(`a frame of ${size} bytes; at most ${limits.frameBytesMax} are allowed`);
  return size;
}

/** The message in a body; undefined if it is of a kind that only a newer version knows. */
function toMessage(body: unknown): Message | undefined {
  if (!Array.isArray(body) || body.length < 3) throw new MalformedFrame('a frame that is no [version, kind, fields]');
  const [version, kind, fields] = body as [unknown, unknown, unknown];
  const known = checkedKind(version, kind);
  return known === undefined ? undefined : toShape(known, fields);
}

/** The kind, if it is ours; undefined if only a newer version knows it. */
function checkedKind(version: unknown, kind: unknown): MessageKind | undefined {
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 0) throw new MalformedFrame('a frame without a version');
  if (!isCompatible(version)) throw versionGap(version);
  if (typeof kind !== 'string' || !kindPattern.test(kind)) throw new MalformedFrame('a frame without a kind');
  if (Object.hasOwn(messageSchemas, kind)) return kind as MessageKind;
  if (version > protocolVersion) return undefined;
  throw new MalformedFrame(`a message of the unknown kind "${kind}"`);
}

const KEYS_MAX = 64;

function checkedKeys(keys: unknown): string[] {
  const good = Array.isArray(keys) && keys.length <= KEYS_MAX && new Set(keys).size === keys.length && keys.every((key) => typeof key === 'string' && /^[a-zA-Z][a-zA-Z_]{0,39}$/.test(key) && key !== 'kind' && !(key in Object.prototype));
  if (!good) throw new MalformedFrame('rows without names of fields');
  return keys as string[];
}

/** `values` remembers what was read, for the rows that follow. */
function firstRow(reader: Reader, kind: MessageKind, keys: readonly string[], values: unknown[], weight: RowsWeight): Message {
  const fields: Record<string, unknown> = {};
  for (const [at, key] of keys.entries()) {
    const from = reader.at;
    values.push((fields[key] = reader.value(0)));
    weight.set(at, reader.at - from);
  }
  return toShape(kind, fields);
}

function nextRow(reader: Reader, kind: MessageKind, keys: readonly string[], values: unknown[], before: Message, weight: RowsWeight): Message {
  const message = { ...before } as unknown as Record<string, unknown>;
  const { shape } = messageSchemas[kind] as unknown as { shape: Record<string, z.ZodType | undefined> };
  for (let at = 0; at < keys.length; at += 1) {
    const from = reader.at;
    const read = reader.valueOr(values[at]);
    if (read === values[at]) continue;
    weight.set(at, reader.at - from);
    values[at] = read;
    const key = keys[at]!;
    if (fieldIsQuickly(kind, key, read)) {
      message[key] = read;
      continue;
    }
    const schema = shape[key];
    if (schema === undefined) continue;
    const parsed = schema.safeParse(read);
    if (!parsed.success) throw new MalformedFrame(`a message "${kind}" of the wrong shape at "${key}": ${parsed.error.issues[0]?.message ?? 'unknown'}`);
    message[key] = parsed.data;
  }
  return message as unknown as Message;
}

function toShape(kind: MessageKind, fields: unknown): Message {
  if (isQuickly(kind, fields)) {
    fields['kind'] = kind;
    return fields as unknown as Message;
  }
  const parsed = messageSchemas[kind].safeParse(fields);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new MalformedFrame(`a message "${kind}" of the wrong shape at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unknown'}`);
  }
  const message = parsed.data as { kind?: MessageKind };
  message.kind = kind;
  return message as Message;
}
