/**
 * Whoever talks to a port of potluck without being a potluck: TLS of its own making, wrong in one way at
 * a time, and everything that it was given in answer.
 */
import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net';
import * as tls from 'node:tls';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { MEMBER_PROTOCOL } from '../../src/wire/tls-handshake.ts';

export interface Door {
  readonly host: string;
  readonly port: number;
}

/** What an attempt came to. */
export interface Heard {
  /** Plain bytes; over TLS what TLS carried. */
  readonly bytes: Buffer;
  readonly error: string | undefined;
}

/** TLS as a member speaks it, but for `options`. */
export const tlsTo = (door: Door, as: LinkIdentity | undefined, options: tls.ConnectionOptions = {}): tls.TLSSocket =>
  tls.connect({
    ...door,
    ...(as === undefined ? {} : { key: as.keyPem, cert: as.certPem }),
    // Whether they can prove something is not what these tests are about.
    rejectUnauthorized: false,
    ALPNProtocols: [MEMBER_PROTOCOL],
    ...options,
  });

/** A plain connection on which errors are no news. */
export function tcpTo(door: Door, options: Partial<NetConnectOpts> = {}): Socket {
  const socket = connectTcp({ ...door, ...options } as NetConnectOpts);
  socket.on('error', () => undefined);
  return socket;
}

/** Says this as soon as it is connected, and listens until the other side ends it. */
export function everythingFrom(socket: Socket, say?: Buffer | string): Promise<Heard> {
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    let error: string | undefined;
    socket.once(socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect', () => say !== undefined && socket.write(say));
    socket.on('data', (data: Buffer) => heard.push(data));
    socket.on('error', (cause: NodeJS.ErrnoException) => (error = cause.code ?? cause.message));
    socket.on('close', () => resolve({ bytes: Buffer.concat(heard), error }));
  });
}
