/**
 * The TLS handshake, the same for links of members and for joining: what is offered, what a side must
 * have proved, and how a handshake is begun by who calls.
 *
 * Owns: TLS's settings, the names of the two protocols (ALPN), the errors of not getting through.
 * Neighbours: tls-connection.ts makes links of it; join-channel.ts lets somebody join.
 *
 * Invariants
 * 1. Identity is the key of the certificate, nothing else of it: chains, names, dates and what TLS
 *    thinks of them are not read.
 * 2. Every handshake is a full one. A resumed session proves no key now, so it is destroyed; and so
 *    is a connection that speaks another protocol than the one that was asked for.
 */
import { constants, X509Certificate } from 'node:crypto';
import * as tls from 'node:tls';
import { causeText, PotluckError } from '../errors.ts';
import { keyIdOf, type LinkIdentity } from './key-id.ts';

/** Links between members of a pool. */
export const MEMBER_PROTOCOL = 'potluck-member/1';
/** Becoming one. A session of this protocol is worth nothing on a link of members, and the reverse. */
export const JOIN_PROTOCOL = 'potluck-join/1';
export type Protocol = typeof MEMBER_PROTOCOL | typeof JOIN_PROTOCOL;

export const tlsOptions = (identity: LinkIdentity) =>
  ({
    key: identity.keyPem,
    cert: identity.certPem,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  }) as const satisfies tls.SecureContextOptions;

/** The key that the other side proved and the protocol that both speak, or why the handshake does not count. */
export function proven(socket: tls.TLSSocket): { keyId: string; protocol: Protocol } | { why: string } {
  if (socket.isSessionReused()) return { why: 'a resumed session' };
  const protocol = socket.alpnProtocol;
  if (protocol !== MEMBER_PROTOCOL && protocol !== JOIN_PROTOCOL) return { why: 'another protocol' };
  const certificate = socket.getPeerX509Certificate();
  if (!(certificate instanceof X509Certificate)) return { why: 'no certificate' };
  return { keyId: keyIdOf(certificate.publicKey), protocol };
}

export interface HandshakeOptions {
  host: string;
  port: number;
  identity: LinkIdentity;
  protocol: Protocol;
  timeoutMs: number;
  /** The code of the error when nobody answers. */
  unreachable?: 'peer_unreachable' | 'tracker_unreachable';
}

/** A socket on which both sides proved a key, and the other side's. It has no listeners yet. */
export interface Shaken {
  socket: tls.TLSSocket;
  keyId: string;
}

/** Throws PotluckError `peer_unreachable` (or as asked). Who answers is for the caller to judge, before it awaits anything else. */
export function shakeHands(options: HandshakeOptions): Promise<Shaken> {
  const { host, port, protocol, timeoutMs } = options;
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...tlsOptions(options.identity),
      host,
      port,
      // Names are not read, so none is asked for.
      servername: '',
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ALPNProtocols: [protocol],
    });
    socket.setNoDelay(true);
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(unreachable(options, error));
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const onClose = () => fail(new Error('the connection was closed during the handshake'));
    socket.on('error', fail);
    socket.on('close', onClose);
    socket.once('secureConnect', () => {
      const proof = proven(socket);
      const why = 'why' in proof ? proof.why : proof.protocol === protocol ? undefined : 'another protocol';
      if ('why' in proof || why !== undefined) return fail(new Error(`what answers there is no potluck: ${why}`));
      clearTimeout(timer);
      socket.off('error', fail);
      socket.off('close', onClose);
      resolve({ socket, keyId: proof.keyId });
    });
  });
}

export function unreachable({ host, port, unreachable: code = 'peer_unreachable' }: Pick<HandshakeOptions, 'host' | 'port' | 'unreachable'>, cause: Error): PotluckError {
  const who = code === 'peer_unreachable' ? 'peer' : 'tracker';
  return new PotluckError(code, `no ${who} answers at ${host}:${port}`, { why: reasonOf(cause), fix: `check that the ${who} is running, and its address`, cause });
}

const reasons: Record<string, string> = {
  ECONNREFUSED: 'nothing listens on that port',
  ENOTFOUND: 'that host name is unknown',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ECONNRESET: 'the connection was broken off',
  EPROTO: 'what answers there does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what answers there does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'what answers there does not speak TLS',
};

function reasonOf(error: NodeJS.ErrnoException): string {
  const { code } = error;
  const known = code === undefined ? undefined : reasons[code];
  return known ?? (code?.startsWith('ERR_SSL_') === true ? 'what answers there speaks TLS, but is no potluck' : causeText(error));
}
