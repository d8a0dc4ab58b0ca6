/** Somebody on the wire between two potlucks, who has no key: sees and changes what passes, sealed as it is. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { type Door, tcpTo } from './stranger.ts';

export interface Recording {
  /** What the dialler sent. */
  readonly there: Buffer;
  /** What came back. */
  readonly back: Buffer;
}

export class Tap {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #there: Buffer[] = [];
  readonly #back: Buffer[] = [];

  private constructor(to: Door, alter: (bytes: Buffer, at: number) => Buffer) {
    this.#server = createServer((near) => {
      const far = tcpTo(to);
      let passed = 0;
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
      }
      near.on('data', (bytes) => {
        this.#there.push(bytes);
        far.write(alter(bytes, passed));
        passed += bytes.length;
      });
      far.on('data', (bytes) => {
        this.#back.push(bytes);
        near.write(bytes);
      });
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
  }

  /** @param alter makes of what the dialler sends, from its byte `at` on, what goes on */
  static async before(door: Door, alter: (bytes: Buffer, at: number) => Buffer = (bytes) => bytes): Promise<Tap> {
    const tap = new Tap(door, alter);
    tap.#server.listen(0, '127.0.0.1');
    await once(tap.#server, 'listening');
    return tap;
  }

  get door(): Door {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  get recording(): Recording {
    return { there: Buffer.concat(this.#there), back: Buffer.concat(this.#back) };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Turns around one bit of what passes. */
export const flipping = (bit: number) => (bytes: Buffer, at: number): Buffer => {
  const place = (bit >> 3) - at;
  if (place < 0 || place >= bytes.length) return bytes;
  const changed = Buffer.from(bytes);
  changed[place]! ^= 1 << (bit & 7);
  return changed;
};
