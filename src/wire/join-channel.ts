/**
 * What somebody who joins and a tracker say to each other: a few messages of their own over TLS, in
 * the frames of every link ([version, kind, fields] in MessagePack), in strict turns.
 *
 * Owns: these frames, their bound, and the secret that binds what is signed to this one connection.
 * What is said and whether it is true: identity/join.ts and identity/joining.ts.
 *
 * Invariants
 * 1. `exporter` is a secret of this one TLS connection: what is signed together with it is worth nothing
 *    on any other, so a machine in the middle can neither pass it on nor keep it for later.
 * 2. More bytes than the bound, or anything that is not the message expected now, ends the channel.
 */
import type { TLSSocket } from 'node:tls';
import { limits } from '../limits.ts';
import { encodeInto, MalformedFrame } from './framing.ts';
import { joinSchemas, type Address, type JoinMessage, type JoinMessageOf } from './messages.ts';
import { MalformedData, Reader, Writer } from './msgpack.ts';
import { JOIN_PROTOCOL, shakeHands } from './tls-handshake.ts';
import { addressOf } from './tls-transport.ts';
import type { LinkIdentity } from './key-id.ts';
import { isCompatible, versionGap } from './version.ts';

const HEADER = 4;
const EXPORTER_BYTES = 32;
const EXPORTER_LABEL = 'EXPORTER-potluck-join-1';
const END_MS = 1_000;

/** The other side broke off, or said something that does not belong here. */
export class JoinBroken extends Error {
  override name = 'JoinBroken';
}

export class JoinChannel {
  /** 32 bytes that only the two ends of this connection have. */
  readonly exporter: Buffer;
  readonly remote: string;
  /** Without the port. */
  readonly address: string;
  readonly #socket: TLSSocket;
  readonly #bytesMax: number;
  #bytes: Buffer = Buffer.alloc(0);
  #ended: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param bytesMax of one message from the other side */
  constructor(socket: TLSSocket, bytesMax: number) {
    this.#socket = socket;
    this.#bytesMax = bytesMax;
    this.exporter = socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0));
    this.remote = addressOf(socket);
    this.address = this.remote.slice(0, this.remote.lastIndexOf(':'));
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', (cause) => this.#end(new JoinBroken(cause.message, { cause })));
    socket.on('close', () => this.#end(new JoinBroken('the connection was closed')));
  }

  send(message: JoinMessage): void {
    if (!this.#socket.writable) return;
    const writer = new Writer();
    encodeInto(writer, message);
    this.#socket.write(writer.take());
  }

  /**
   * The next message, which must be of one of these kinds.
   * @throws JoinBroken; PotluckError `version_gap`
   */
  async next<K extends JoinMessage['kind']>(...kinds: readonly K[]): Promise<JoinMessageOf<K>> {
    for (;;) {
      const message = this.#take();
      if (message !== undefined) {
        if ((kinds as readonly string[]).includes(message.kind)) return message as JoinMessageOf<K>;
        this.destroy();
        throw new JoinBroken(`the other side said "${message.kind}" when it was not its turn`);
      }
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** What was sent still leaves. */
  end(): void {
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), END_MS).unref();
  }

  /** Ends it at once; who waits for a message is told why. */
  destroy(why = 'the connection was closed'): void {
    this.#end(new JoinBroken(why));
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    if (this.#bytes.length + bytes.length > this.#bytesMax + HEADER) {
      this.destroy(`more than ${this.#bytesMax} bytes came`);
      return;
    }
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake?.();
  }

  #end(why: Error): void {
    this.#ended ??= why;
    this.#wake?.();
  }

  /** The first message of what came, if all of it is there. */
  #take(): JoinMessage | undefined {
    if (this.#bytes.length < HEADER) return undefined;
    const size = this.#bytes.readUInt32BE(0);
    if (size > this.#bytesMax) {
      this.destroy();
      throw new JoinBroken(`a message of ${size} bytes`);
    }
    if (this.#bytes.length < HEADER + size) return undefined;
    const body = this.#bytes.subarray(HEADER, HEADER + size);
    this.#bytes = this.#bytes.subarray(HEADER + size);
    try {
      return parse(body);
    } catch (error) {
      this.destroy();
      if (error instanceof MalformedData || error instanceof MalformedFrame) throw new JoinBroken(error.message, { cause: error });
      throw error;
    }
  }
}

function parse(body: Buffer): JoinMessage {
  const read = new Reader().read(body, 0, body.length);
  if (!Array.isArray(read) || read.length < 3) throw new MalformedFrame('a frame that is no [version, kind, fields]');
  const [version, kind, fields] = read as [unknown, unknown, unknown];
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 0) throw new MalformedFrame('a frame without a version');
  if (!isCompatible(version)) throw versionGap(version);
  if (typeof kind !== 'string' || !Object.hasOwn(joinSchemas, kind)) throw new MalformedFrame('a message that does not belong to joining');
  const parsed = joinSchemas[kind as JoinMessage['kind']].safeParse(fields);
  if (!parsed.success) throw new MalformedFrame(`a message "${kind}" of the wrong shape`);
  return { ...parsed.data, kind } as JoinMessage;
}

/** Reaches somebody who may be a tracker. Throws PotluckError `tracker_unreachable`. */
export async function dialToJoin({ host, port }: Address, identity: LinkIdentity, timeoutMs: number): Promise<JoinChannel> {
  const { socket } = await shakeHands({ host, port, identity, protocol: JOIN_PROTOCOL, timeoutMs, unreachable: 'tracker_unreachable' });
  return new JoinChannel(socket, limits.frameBytesMax);
}
