/**
 * Links over TLS: who may have one, and how one is made from either side.
 *
 * Owns: limits before the handshake, who gets in by which protocol, what those who do not are told.
 * The handshake itself is tls-handshake.ts; a link, once made, is connection.ts over tls-transport.ts; who
 * speaks the protocol of joining is handed over as a join-channel.ts.
 *
 * Invariants
 * 1. Who is no member gets nothing but one sentence (`bye`), or the protocol of joining if it asked for that.
 * 2. Whoever has not completed a handshake and said something costs a bounded amount, for a bounded time;
 *    members and newcomers share these bounds.
 * 3. Plain text gets no byte in answer.
 */
import { createServer as createNetServer, type AddressInfo, type Server, type Socket } from 'node:net';
import * as tls from 'node:tls';
import { causeText, PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import { Link, type Connection } from './connection.ts';
import { wireCounters } from './counters.ts';
import { encode } from './framing.ts';
import { JoinChannel } from './join-channel.ts';
import type { LinkIdentity } from './key-id.ts';
import { HOW_TO_JOIN, type LinkMembership } from './membership.ts';
import type { Problem } from './messages.ts';
import { JOIN_PROTOCOL, MEMBER_PROTOCOL, proven, shakeHands, tlsOptions } from './tls-handshake.ts';
import { addressOf, TlsTransport } from './tls-transport.ts';

/** The first byte of every TLS connection: a record that holds a handshake. */
const TLS_HANDSHAKE = 0x16;
/** What a refused stranger is told has this long to leave. */
const REFUSAL_MS = 1_000;

export interface ListenOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  identity: LinkIdentity;
  /** Who may have a link, now and while it is up. */
  members: LinkMembership;
  onConnection: (connection: Connection) => void;
  /** Somebody wants to become a member; only a tracker takes such. It has `helloMs` to be done. */
  onNewcomer?: (channel: JoinChannel) => void;
  /** Somebody was turned away: who, and why in a few words. */
  onRefused?: (remote: string, why: string) => void;
  /** The time from the first packet to the first message; limits.helloMs unless given. */
  helloMs?: number;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Takes no more; those that are not links yet are dropped. Links stay with their owners. */
  close(): Promise<void>;
}

export interface DialOptions {
  host: string;
  port: number;
  identity: LinkIdentity;
  /** The key that must answer; without it any member's will do. */
  expectKey?: string;
  /** Who must answer is one of these, and stays one while the link is up. Without them only `expectKey` counts. */
  members?: LinkMembership;
  timeoutMs: number;
  /** The code of the error when nobody answers. */
  unreachable?: 'peer_unreachable' | 'tracker_unreachable';
}

// --- listening -----------------------------------------------------------------------------

/** Throws PotluckError `port_in_use`, `address_unusable`. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const door = new Door(options);
  await door.open();
  return door;
}

/** Somebody who has connected and not said anything as a member yet. */
interface Newcomer {
  raw: Socket;
  address: string;
  /** performance.now() */
  cameAt: number;
  timer: ReturnType<typeof setTimeout>;
}

class Door implements Listener {
  readonly host: string;
  readonly #options: ListenOptions;
  readonly #net: Server;
  readonly #tls: tls.Server;
  /** By remote address and port, in the order in which they came. */
  readonly #newcomers = new Map<string, Newcomer>();
  readonly #perAddress = new Map<string, number>();

  constructor(options: ListenOptions) {
    this.host = options.host;
    this.#options = options;
    this.#net = createNetServer({ noDelay: true }, (raw) => this.#arrive(raw));
    this.#tls = tls.createServer(
      {
        ...tlsOptions(options.identity),
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: options.onNewcomer === undefined ? [MEMBER_PROTOCOL] : [MEMBER_PROTOCOL, JOIN_PROTOCOL],
      },
      (socket) => this.#shakenHands(socket),
    );
    this.#tls.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      // Who hangs up was not turned away.
      if (error.code !== 'ECONNRESET') this.#refused(socket, `handshake failed: ${error.message}`);
      socket.destroy();
    });
  }

  get port(): number {
    return (this.#net.address() as AddressInfo | null)?.port ?? this.#options.port;
  }

  open(): Promise<void> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#net.once('error', (error) => reject(listenError(host, port, error)));
      this.#net.listen({ host, port, exclusive: true }, () => {
        this.#net.removeAllListeners('error');
        // A connection that could not be accepted (too many open files) leaves the others alone.
        this.#net.on('error', (error) => this.#options.onRefused?.('unknown', causeText(error)));
        resolve();
      });
    });
  }

  close(): Promise<void> {
    this.#net.close();
    for (const newcomer of this.#newcomers.values()) newcomer.raw.destroy();
    return Promise.resolve();
  }

  /** Before the first byte: counts, sets the timer, and lets nothing but TLS through. */
  #arrive(raw: Socket): void {
    const address = raw.remoteAddress ?? 'unknown';
    const others = this.#perAddress.get(address) ?? 0;
    // Its error is followed by 'close', which is what counts here.
    raw.on('error', () => {});
    if (others >= limits.connectionsPerAddressMax || !this.#hasRoom()) {
      this.#refused(raw, 'too many at once');
      raw.destroy();
      return;
    }
    const remote = addressOf(raw);
    const { helloMs = limits.helloMs } = this.#options;
    const timer = setTimeout(() => raw.destroy(new Error(`said nothing for ${helloMs} ms`)), helloMs);
    this.#newcomers.set(remote, { raw, address, cameAt: performance.now(), timer });
    this.#perAddress.set(address, others + 1);
    raw.once('close', () => this.#welcomed(remote));
    raw.once('data', (bytes: Buffer) => {
      raw.pause();
      if (bytes[0] !== TLS_HANDSHAKE) {
        this.#refused(raw, 'plain text');
        raw.destroy();
        return;
      }
      raw.unshift(bytes);
      this.#tls.emit('connection', raw);
    });
  }

  /** Where all places are taken, whoever takes longer over it than a member would goes: else the slow could keep everybody out. */
  #hasRoom(): boolean {
    if (this.#newcomers.size < limits.connectionsBeforeHelloMax) return true;
    const [[remote, oldest]] = this.#newcomers as unknown as [[string, Newcomer]];
    if (performance.now() - oldest.cameAt < limits.newcomerGraceMs) return false;
    this.#refused(oldest.raw, 'too slow while others wait');
    oldest.raw.destroy();
    this.#welcomed(remote);
    return true;
  }

  /** No newcomer any more: it has said something, or it is gone. */
  #welcomed(remote: string): void {
    const newcomer = this.#newcomers.get(remote);
    if (newcomer === undefined) return;
    clearTimeout(newcomer.timer);
    this.#newcomers.delete(remote);
    const left = (this.#perAddress.get(newcomer.address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(newcomer.address);
    else this.#perAddress.set(newcomer.address, left);
  }

  #shakenHands(socket: tls.TLSSocket): void {
    const proof = proven(socket);
    if ('why' in proof) {
      this.#refused(socket, proof.why);
      socket.on('error', () => undefined); // it is being destroyed; how that ends is nothing to anybody
      socket.destroy();
      return;
    }
    const { members, onNewcomer } = this.#options;
    if (proof.protocol === JOIN_PROTOCOL) {
      onNewcomer?.(new JoinChannel(socket, limits.joinFrameBytesMax));
      return;
    }
    const problem = members.problemOf(proof.keyId);
    if (problem !== undefined) {
      this.#refused(socket, `${problem.code === 'revoked' ? 'revoked' : 'unknown'} key ${proof.keyId.slice(0, 12)}…`);
      sendAway(socket, problem);
      return;
    }
    const remote = addressOf(socket);
    const transport = new TlsTransport(socket, proof.keyId, () => this.#welcomed(remote));
    this.#options.onConnection(new Link(transport, members).start());
  }

  #refused(socket: Socket, why: string): void {
    wireCounters.refused++;
    this.#options.onRefused?.(addressOf(socket), why);
  }
}

/** Tells somebody who is no member just that, so that a person can read it, and ends. */
function sendAway(socket: tls.TLSSocket, problem: Problem): void {
  socket.on('error', () => socket.destroy());
  socket.resume();
  socket.end(encode({ kind: 'bye', error: problem }));
  setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
}

function listenError(host: string, port: number, error: NodeJS.ErrnoException): PotluckError {
  if (error.code === 'EADDRINUSE') {
    return new PotluckError('port_in_use', `port ${port} of ${host} is taken`, {
      why: 'another program listens there',
      fix: 'use another port, or stop that program',
      cause: error,
    });
  }
  return new PotluckError('address_unusable', `cannot listen on ${host}:${port}`, {
    why: causeText(error),
    fix: 'use an address of this machine and a port above 1023',
    cause: error,
  });
}

// --- dialling ------------------------------------------------------------------------------

/** Throws PotluckError `peer_unreachable` (or as asked), `not_a_member` if another key answers. */
export async function dial(options: DialOptions): Promise<Connection> {
  const { socket, keyId } = await shakeHands({ ...options, protocol: MEMBER_PROTOCOL });
  const refusal = refusalOf(keyId, options);
  if (refusal === undefined) return new Link(new TlsTransport(socket, keyId), options.members).start();
  socket.on('error', () => undefined); // of a connection that is not wanted any more
  socket.destroy();
  throw refusal;
}

/** Why the one who answered is not wanted. */
function refusalOf(keyId: string, { host, port, identity, expectKey, members }: DialOptions): PotluckError | undefined {
  const expected = expectKey === undefined ? members !== undefined : keyId === expectKey;
  if (expected && members?.trusts(keyId) !== false) return undefined;
  const problem = expected ? members?.problemOf(keyId) : undefined;
  if (problem?.code === 'revoked') {
    const who = keyId === identity.keyId ? 'this machine' : `who answers at ${host}:${port}`;
    return new PotluckError('revoked', `${who} was put out of the pool`, { why: 'an admin revoked its key', fix: problem.hint });
  }
  if (members?.number === 0) {
    return new PotluckError('not_a_member', `this machine has not joined the pool at ${host}:${port}`, {
      why: 'who answers there is unknown here',
      fix: `type "potluck invite" on the machine of its tracker, and here the "potluck join" line that it prints`,
    });
  }
  return new PotluckError('not_a_member', `who answers at ${host}:${port} is not a member of this pool`, {
    why: expected || expectKey === undefined ? 'its key is unknown here' : `its key is ${short(keyId)}, expected was ${short(expectKey)}`,
    fix: HOW_TO_JOIN,
  });
}

const short = (keyId: string): string => `${keyId.slice(0, 12)}…`;
