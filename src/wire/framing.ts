/**
 * Messages to bytes and back: a frame is a 4-byte big-endian length and a body, the MessagePack of
 * [protocol version, kind, fields].
 *
 * Owns: the frame and its limits. The values inside are read and written by msgpack.ts, their shapes
 * are in messages.ts, the sockets in tls-connection.ts.
 *
 * Invariants
 * 1. A length above limits.frameBytesMax is refused before anything is allocated for it.
 * 2. What a decoder delivers has passed its schema; fields that the schema does not know are gone.
 * 3. A kind that only a newer version knows is counted and skipped. Everything else that is not a
 *    message throws, and the decoder is of no further use.
 */
import { limits } from '../limits.ts';
import { wireCounters } from './counters.ts';
import { messageSchemas, type Message, type MessageKind } from './messages.ts';
import { MalformedData, Reader, Writer } from './msgpack.ts';
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
export function encodeInto(writer: Writer, message: Message, version: number = protocolVersion): void {
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
    const message = toMessage(this.#read(bytes, start, end));
    if (message === undefined) wireCounters.unknownKinds++;
    else deliver(message);
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
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 0) throw new MalformedFrame('a frame without a version');
  if (!isCompatible(version)) throw versionGap(version);
  if (typeof kind !== 'string' || !kindPattern.test(kind)) throw new MalformedFrame('a frame without a kind');
  if (!Object.hasOwn(messageSchemas, kind)) {
    if (version > protocolVersion) return undefined;
    throw new MalformedFrame(`a message of the unknown kind "${kind}"`);
  }
  return toShape(kind as MessageKind, fields);
}

function toShape(kind: MessageKind, fields: unknown): Message {
  const parsed = messageSchemas[kind].safeParse(fields);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new MalformedFrame(`a message "${kind}" of the wrong shape at "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unknown'}`);
  }
  const message = parsed.data as { kind?: MessageKind };
  message.kind = kind;
  return message as Message;
}
