/**
 * The port of a page: plain HTTP on loopback, HTTPS elsewhere, with plain HTTP on the same port led over to it.
 *
 * Owns: listening, which of the two a connection speaks (its first byte says so), and bounds on connections,
 * headers and bodies.
 *
 * Invariants
 * 1. Who opens a connection and says nothing is cut off, also before the first byte.
 * 2. Where there is a certificate, nothing but a redirect is ever said in plain.
 */
import { getRequestListener } from '@hono/node-server';
import { createServer as createPlain, type Server as HttpServer } from 'node:http';
import { createServer as createSecure, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, createServer as createNet, type Server, type Socket } from 'node:net';
import { PotluckError } from '../errors.ts';
import { nextFree, portsTried } from '../lib/ports.ts';
import { limits } from '../limits.ts';

export interface DoorOptions {
  host: string;
  port: number;
  portTyped: boolean;
  /** For HTTPS: a private key and its certificate, as PEM. */
  tls?: { key: string; cert: string } | undefined;
}

type Answer = (request: Request) => Promise<Response> | Response;

const bounds = { maxHeaderSize: limits.pageHeaderBytesMax, headersTimeout: limits.pageHeadersMs, requestTimeout: limits.pageBodyMs, connectionsCheckingInterval: 1_000 };
/** The first byte of a TLS handshake; no method of HTTP begins with it. */
const handshake = 0x16;

export class Door {
  readonly port: number;
  readonly #outer: Server;
  readonly #inner: readonly (HttpServer | HttpsServer)[];
  readonly #fresh: ReadonlySet<Socket>;

  private constructor(outer: Server, inner: readonly (HttpServer | HttpsServer)[], fresh: ReadonlySet<Socket>) {
    this.#outer = outer;
    this.#inner = inner;
    this.#fresh = fresh;
    this.port = (outer.address() as AddressInfo).port;
  }

  /**
   * @param plainly answers what comes in plain where there is a certificate
   * @throws PotluckError `port_in_use`, `address_unusable`
   */
  static async open(options: DoorOptions, answer: Answer, plainly: Answer): Promise<Door> {
    const listener = (of: Answer) => getRequestListener(async (request) => of(request), { overrideGlobalObjects: false, hostname: '127.0.0.1' });
    if (options.tls === undefined) {
      const server = createPlain(bounds, listener(answer));
      await listen(server, options);
      return new Door(server, [server], new Set());
    }
    const secure = createSecure({ ...bounds, ...options.tls, minVersion: 'TLSv1.2', handshakeTimeout: limits.pageHeadersMs }, listener(answer));
    const plain = createPlain(bounds, listener(plainly));
    // They listen nowhere themselves; without this their timeouts would never run.
    for (const inner of [secure, plain]) inner.emit('listening');
    const fresh = new Set<Socket>();
    const outer = createNet((socket) => tellApart(socket, fresh, secure, plain));
    await listen(outer, options);
    return new Door(outer, [secure, plain], fresh);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#outer.close(() => resolve());
      for (const socket of this.#fresh) socket.destroy();
      for (const inner of this.#inner) {
        inner.closeAllConnections();
        // Stops its timer; that it listens nowhere is no error here.
        if (inner !== this.#outer) inner.close(() => undefined);
      }
    });
  }
}

function tellApart(socket: Socket, fresh: Set<Socket>, secure: HttpsServer, plain: HttpServer): void {
  fresh.add(socket);
  const late = setTimeout(() => socket.destroy(), limits.pageHeadersMs);
  const gone = () => {
    clearTimeout(late);
    fresh.delete(socket);
  };
  socket.once('close', gone);
  socket.on('error', () => socket.destroy());
  socket.once('data', (first: Buffer) => {
    gone();
    socket.pause();
    socket.unshift(first);
    (first[0] === handshake ? secure : plain).emit('connection', socket);
    setImmediate(() => socket.resume());
  });
}

async function listen(server: Server, { host, port, portTyped }: DoorOptions): Promise<void> {
  server.maxConnections = limits.pageConnectionsMax;
  for (let at = port; ; at += 1) {
    const error = await tryListen(server, host, at);
    if (error === undefined) return;
    if (error.code !== 'EADDRINUSE') throw new PotluckError('address_unusable', `the page cannot listen on ${host}:${at}`, { why: error.message });
    if (portTyped || at >= port + portsTried) throw await pagePortTaken(host, at);
  }
}

function tryListen(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => {
      server.off('listening', done);
      resolve(error);
    };
    const done = () => {
      server.off('error', failed);
      resolve(undefined);
    };
    server.once('error', failed);
    server.once('listening', done);
    server.listen({ host, port, exclusive: true });
  });
}

async function pagePortTaken(host: string, port: number): Promise<PotluckError> {
  const airplay = process.platform === 'darwin' && port === 5000 ? ' (on macOS the AirPlay receiver keeps 5000)' : '';
  const free = await nextFree(host, port);
  return new PotluckError('port_in_use', `port ${port} of ${host} is taken`, {
    why: `another program listens there${airplay}`,
    fix: free === undefined ? 'use another port with --web-port' : `use --web-port ${free}, which is free, or leave it out and the next free one is taken`,
  });
}
