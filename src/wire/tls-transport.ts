/**
 * Carries the messages of one link over a TLS socket whose other side is already known.
 *
 * Owns: the socket, from the moment it is a link. Who may have a link is decided in
 * tls-connection.ts; what messages mean, in connection.ts.
 */
import type { TLSSocket } from 'node:tls';
import type { Receiver, Transport } from './connection.ts';
import { PotluckError } from '../errors.ts';
import { Decoder, FrameWriter, MalformedFrame } from './framing.ts';
import type { Message } from './messages.ts';

/** Frames are written at the end of the turn, or when this many bytes are together: a write larger than that gains nothing. */
const WRITE_BYTES = 256 * 1024;
/** The other side has this long to end its half; then the socket is destroyed. */
const END_MS = 2_000;

export class TlsTransport implements Transport {
  readonly peerKey: string;
  readonly remote: string;
  readonly #socket: TLSSocket;
  readonly #onFirstMessage: (() => void) | undefined;
  readonly #decoder = new Decoder();
  readonly #writer = new FrameWriter();
  #flushing = false;
  #heardMessage = false;
  #receiver: Receiver | undefined;
  #error: Error | undefined;
  #endTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: TLSSocket, peerKey: string, onFirstMessage?: () => void) {
    this.#socket = socket;
    this.peerKey = peerKey;
    this.remote = addressOf(socket);
    this.#onFirstMessage = onFirstMessage;
  }

  get backlogBytes(): number {
    return this.#writer.length + this.#socket.writableLength;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => this.#read(receiver, chunk));
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      clearTimeout(this.#endTimer);
      receiver.ended(this.#error);
    });
    if (socket.destroyed) process.nextTick(() => receiver.ended(this.#error));
  }

  send(message: Message): void {
    this.#writer.add(message);
    if (this.#writer.length >= WRITE_BYTES) this.#flush();
    else if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => {
        this.#flushing = false;
        this.#flush();
      });
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#flush();
    this.#socket.end();
    this.#endTimer ??= setTimeout(() => this.#socket.destroy(), END_MS);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    if (this.#writer.length === 0 || !this.#socket.writable) return;
    this.#socket.write(this.#writer.take(), (error) => {
      if (!error) this.#receiver?.progressed();
    });
  }

  #read(receiver: Receiver, chunk: Buffer): void {
    receiver.heard();
    try {
      this.#decoder.push(chunk, (message) => this.#received(receiver, message));
    } catch (error) {
      if (!(error instanceof MalformedFrame) && !(error instanceof PotluckError && error.code === 'version_gap')) throw error;
      this.#socket.removeAllListeners('data');
      this.#socket.resume();
      receiver.ended(error);
    }
  }

  #received(receiver: Receiver, message: Message): void {
    if (!this.#heardMessage) {
      this.#heardMessage = true;
      this.#onFirstMessage?.();
    }
    receiver.received(message);
  }
}

/** "127.0.0.1:51234", "[::1]:51234"; an IPv4 address in IPv6 clothes is shown plain. */
export function addressOf(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  const address = (socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '');
  return `${address.includes(':') ? `[${address}]` : address}:${socket.remotePort ?? 0}`;
}
