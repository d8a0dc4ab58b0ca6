/**
 * The door for those who are no members yet, of a tracker that really runs: what a stranger gets out of it,
 * who gets in by an invitation for one, and what somebody in the middle sees.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer as createNetServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readToken, tokenText, type InvitationToken } from '../../src/identity/invitation-token.ts';
import { newcomerProof, trackerProof } from '../../src/identity/join-proofs.ts';
import { limits } from '../../src/limits.ts';
import { version } from '../../src/version.ts';
import { encode, encodeInto } from '../../src/wire/framing.ts';
import { JoinBroken, JoinChannel } from '../../src/wire/join-channel.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import type { JoinMessage } from '../../src/wire/messages.ts';
import { Writer } from '../../src/wire/msgpack.ts';
import { JOIN_PROTOCOL, MEMBER_PROTOCOL } from '../../src/wire/tls-handshake.ts';
import { newIdentity } from '../contract/connection-ends.ts';
import type { Ran } from '../e2e/processes.ts';
import { PoolOfKeys, type RunningPeer } from './pool-of-keys.ts';
import { everythingFrom, tcpTo, tlsTo, type Door, type Heard } from './stranger.ts';
import { flipping, Tap } from './tap.ts';

let pool: PoolOfKeys;
let peer: RunningPeer;
const stranger = newIdentity();
beforeAll(async () => {
  pool = await PoolOfKeys.make({ ada: 'admin', bea: 'member', run: 'runner', rex: 'revoked' });
  await pool.startTracker('ada');
  peer = await pool.startPeer('ada', ['--slots', '1']);
});
afterAll(() => pool.stop());

const door = (): Door => ({ host: '127.0.0.1', port: pool.trackerPort });
const joining = { ALPNProtocols: [JOIN_PROTOCOL] };
const member = (name: string): LinkIdentity => pool.member(name).identity;

interface Invited {
  readonly id: string;
  readonly token: string;
}

async function invite(at: Door = door(), ...flags: string[]): Promise<Invited & { read: InvitationToken }> {
  const ran = await pool.cli('ada', ['invite', '--json', '--address', `${at.host}:${at.port}`, ...flags]);
  const invited = JSON.parse(ran.stdout) as Invited;
  return { ...invited, read: readToken(invited.token) };
}

let newcomers = 0;
/** `potluck join` on a machine that has no folder yet. */
async function joins(token: string): Promise<Ran & { folder: string }> {
  const folder = join(pool.root, `newcomer-${(newcomers += 1)}`);
  mkdirSync(folder, { mode: 0o700 });
  return { ...(await pool.cli('ada', ['join', '-', '--json'], { input: token, env: { POTLUCK_HOME: folder } })), folder };
}

const codeOf = ({ stdout }: Ran): string => (JSON.parse(stdout) as { error?: { code: string } }).error?.code ?? 'in';

function bytesOf(message: JoinMessage): Buffer {
  const writer = new Writer();
  encodeInto(writer, message);
  return writer.take();
}

/** What the tracker says to begin with, and nothing else; of the pool it holds the public key. */
function expectOnlyItsProof({ bytes }: Heard): void {
  const [first, ...more] = framesIn(bytes);
  expect(more.filter((frame) => !frame.includes('invitation_refused'))).toEqual([]);
  if (first === undefined) return;
  const publicKey = createPublicKey(pool.authority.key).export({ type: 'spki', format: 'der' });
  expect(first.includes(publicKey)).toBe(true);
  // Names of fields, a key and a signature: no room for anything else.
  expect(first.length).toBeLessThan(publicKey.length + 64 + 60);
}

function framesIn(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4 + bytes.readUInt32BE(at)) frames.push(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at)));
  return frames;
}

/** Says this over the protocol of joining and listens to the end. */
const say = (as: LinkIdentity | undefined, bytes: Buffer): Promise<Heard> => everythingFrom(tlsTo(door(), as, joining), bytes);

const forgedProof = (): Buffer =>
  bytesOf({ kind: 'join_proof', invitation: 'f'.repeat(16), public_key: createPublicKey(stranger.keyPem).export({ type: 'spki', format: 'der' }), by_seed: Buffer.alloc(64), by_key: Buffer.alloc(64), machine: 'x' });

describe('the door for newcomers', () => {
  it.each<[string, () => Promise<Heard>]>([
    ['no certificate', () => say(undefined, forgedProof())],
    ['a key of their own and a proof that is none', () => say(stranger, forgedProof())],
    ['a revoked key', () => say(member('rex'), forgedProof())],
    ['a key of a member, which is nothing here', () => say(member('bea'), forgedProof())],
    ['words of members', () => say(stranger, encode({ kind: 'hello', version, incarnation: 'i', as: 'client', name: 'x' }))],
    ['words of members, and a key of one', () => say(member('bea'), encode({ kind: 'hello', version, incarnation: 'i', as: 'client', name: 'x' }))],
    ['what only a tracker says', () => say(stranger, bytesOf({ kind: 'join_hello', pool_key: Buffer.alloc(44), signature: Buffer.alloc(64) }))],
    ['a frame above the bound', () => say(stranger, Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.alloc(70_000)]))],
    ['a length of four gibibytes', () => say(stranger, Buffer.alloc(4, 0xff))],
    ['noise', () => say(stranger, Buffer.concat([Buffer.from([0, 0, 0, 64]), Buffer.alloc(64, 0xc1)]))],
  ])('gives who comes with %s the public key of the pool at most', async (_, come) => {
    expectOnlyItsProof(await come());
  });

  it('is no door of a peer', async () => {
    const { bytes } = await everythingFrom(tlsTo({ host: '127.0.0.1', port: peer.port }, stranger, joining), forgedProof());
    expect(bytes).toHaveLength(0);
  });

  it.each([
    ['from joining to membership', JOIN_PROTOCOL, MEMBER_PROTOCOL],
    ['from membership to joining', MEMBER_PROTOCOL, JOIN_PROTOCOL],
  ])('takes no session along %s', async (_, first, second) => {
    const session = await new Promise<Buffer | undefined>((resolve) => {
      const socket = tlsTo(door(), member('bea'), { ALPNProtocols: [first] });
      socket.on('session', (given: Buffer) => {
        resolve(given);
        socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.once('secureConnect', () => setTimeout(() => socket.destroy(), 300));
      socket.on('close', () => resolve(socket.getSession()));
    });
    const hello = encode({ kind: 'hello', version, incarnation: 'i', as: 'client', name: 'x' });
    for (const as of [undefined, stranger]) {
      const socket = tlsTo(door(), as, { ALPNProtocols: [second], ...(session === undefined ? {} : { session }) });
      const { bytes } = await everythingFrom(socket, second === MEMBER_PROTOCOL ? hello : forgedProof());
      if (second === JOIN_PROTOCOL && as !== undefined) expectOnlyItsProof({ bytes, error: undefined });
      else expect(framesIn(bytes).filter((frame) => !frame.includes('not_a_member'))).toEqual([]);
    }
  });

  it('hears a recorded join as noise, and one in which a bit was turned around as broken off', async () => {
    const tap = await Tap.before(door());
    const { token } = await invite(tap.door, '--joins', '3');
    expect(codeOf(await joins(token))).toBe('in');
    tap.close();
    const { there } = tap.recording;
    const { bytes } = await everythingFrom(tcpTo(door()), there);
    expect(bytes.length).toBeLessThan(2_000);
    for (const part of [0.1, 0.3, 0.6, 0.95]) {
      const broken = await Tap.before(door(), flipping(Math.floor(there.length * part) * 8 + 3));
      const { token: other } = await invite(broken.door);
      const ran = await joins(other);
      broken.close();
      expect({ part, status: ran.status, code: codeOf(ran) }).toEqual({ part, status: 3, code: 'tracker_unreachable' });
      expect(existsSync(join(ran.folder, 'pool.json'))).toBe(false);
    }
  });

  it('stays shut for an invitation that is over, revoked, used up, mistyped, or of another pool', async () => {
    const over = await invite(door(), '--ttl', '1s');
    const revoked = await invite();
    const used = await invite(door(), '--joins', '1');
    const good = await invite();
    expect((await pool.cli('ada', ['invite', '--revoke', revoked.id])).status).toBe(0);
    expect(codeOf(await joins(used.token))).toBe('in');
    const mistyped = good.token.slice(0, -1) + (good.token.endsWith('A') ? 'B' : 'A');
    const swapped = tokenText({ ...good.read, pool: 'ab'.repeat(32) });
    const guessed = tokenText({ ...good.read, seed: new Uint8Array(32) });
    const codes = [];
    for (const token of [revoked.token, used.token, mistyped, swapped, guessed, over.token]) codes.push(codeOf(await joins(token)));
    expect(codes).toEqual(['invitation_revoked', 'invitation_used_up', 'invitation_mistyped', 'not_the_tracker', 'invitation_refused', 'invitation_expired']);
  });
});

describe('a role that is too low', () => {
  it.each([
    ['bea', ['invite']],
    ['bea', ['invite', '--role', 'admin']],
    ['bea', ['revoke', 'ada']],
    ['run', ['invite']],
    ['run', ['revoke', 'bea']],
  ])('of %s does not %s', async (name, args) => {
    const ran = await pool.cli(name, [...args, '--json']);
    expect({ status: ran.status, code: codeOf(ran) }).toEqual({ status: 6, code: 'not_allowed' });
  });

  it('of a runner submits nothing and reads nothing', async () => {
    for (const args of [['cpu', '--program', 'def main(): return 1'], ['history'], ['task', '0190b0f4-6f1c-7000-8000-000000000000'], ['status']]) {
      const ran = await pool.cli('run', [...args, '--json', '--port', String(peer.port)]);
      expect({ args, status: ran.status, code: codeOf(ran) }).toEqual({ args, status: 6, code: 'not_allowed' });
    }
  });
});

describe('an invitation for one', () => {
  /** POTLUCK_JOINS=10000 for the whole crowd; each takes both sides some milliseconds of handshakes. */
  const many = Number(process.env.POTLUCK_JOINS ?? 1_000);

  it('lets exactly one in of very many who come at once', { timeout: 60_000 + 60 * many }, async () => {
    const { read } = await invite(door(), '--joins', '1');
    // From as many addresses as keep below the share of each, and below what may be before hello in all.
    const atOnce = 64;
    const outcomes: string[] = [];
    let next = 0;
    const one = async (lane: number): Promise<void> => {
      for (let at = next++; at < many; at = next++) {
        const { privateKey } = generateKeyPairSync('ed25519');
        outcomes.push(await keepJoining(read, privateKey, `127.0.3.${1 + (lane % 16)}`));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, (_, lane) => one(lane)));
    const counts = Object.fromEntries([...new Set(outcomes)].map((outcome) => [outcome, outcomes.filter((each) => each === outcome).length]));
    expect(counts).toEqual({ joined: 1, invitation_used_up: many - 1 });
    const listed = JSON.parse((await pool.cli('ada', ['invite', '--list', '--json'])).stdout) as { id: string; used: number }[];
    expect(listed.find(({ id }) => id === read.id)).toMatchObject({ used: 1 });
  });

  /** A machine whose connection breaks comes again, as a person would type the line again. */
  async function keepJoining(token: InvitationToken, key: KeyObject, localAddress: string): Promise<string> {
    for (;;) {
      try {
        return await joinOnce(token, key, localAddress);
      } catch (error) {
        if (!(error instanceof JoinBroken)) throw error;
      }
    }
  }

  async function joinOnce(token: InvitationToken, key: KeyObject, localAddress: string): Promise<string> {
    const socket = tlsTo(door(), stranger, { ...joining, localAddress } as object);
    await once(socket, 'secureConnect').catch((cause: Error) => {
      throw new JoinBroken(cause.message, { cause });
    });
    const channel = new JoinChannel(socket, limits.frameBytesMax);
    await channel.next('join_hello');
    channel.send(newcomerProof(token, key, 'crowd', channel.exporter));
    const answer = await channel.next('joined', 'join_refused');
    channel.destroy();
    return answer.kind === 'joined' ? 'joined' : answer.error.code;
  }
});

/** Ends TLS on both sides, with a key of its own, and keeps everything that the newcomer said in the clear. */
class Middle {
  readonly heard: Buffer[] = [];
  readonly certificates: Buffer[] = [];
  readonly #server;
  readonly #sockets = new Set<Socket>();

  constructor(as: LinkIdentity, begin: (newcomer: TLSSocket, tracker: TLSSocket) => void) {
    const server = createTlsServer({ key: as.keyPem, cert: as.certPem, requestCert: true, rejectUnauthorized: false, ALPNProtocols: [JOIN_PROTOCOL], minVersion: 'TLSv1.3' }, (newcomer) => {
      const tracker = tlsTo(door(), as, joining);
      for (const socket of [newcomer, tracker]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
      }
      this.certificates.push(newcomer.getPeerX509Certificate()?.publicKey.export({ type: 'spki', format: 'der' }) ?? Buffer.alloc(0));
      newcomer.on('data', (bytes: Buffer) => {
        this.heard.push(bytes);
        tracker.write(bytes);
      });
      begin(newcomer, tracker);
    });
    server.on('tlsClientError', () => undefined);
    this.#server = server;
  }

  async listen(): Promise<Door> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

describe('somebody in the middle', () => {
  /** Hands on what the tracker says: its true proof, of another connection. */
  const handsOn = (newcomer: TLSSocket, tracker: TLSSocket) => void tracker.on('data', (bytes: Buffer) => newcomer.write(bytes));
  const ownPool = generateKeyPairSync('ed25519').privateKey;
  const exporterOf = (socket: TLSSocket) => socket.exportKeyingMaterial(32, 'EXPORTER-potluck-join-1', Buffer.alloc(0));

  it.each<[string, () => LinkIdentity, (newcomer: TLSSocket, tracker: TLSSocket) => void]>([
    ['with a key of their own, who hands on what the tracker says', () => stranger, handsOn],
    ['with a key of a member, who hands on what the tracker says', () => member('bea'), handsOn],
    ['with a key of an admin', () => member('ada'), handsOn],
    ['with a pool of their own', () => stranger, (newcomer) => newcomer.write(bytesOf(trackerProof(ownPool, exporterOf(newcomer))))],
    [
      'with the public key of the pool and a signature of their own',
      () => member('bea'),
      (newcomer) => newcomer.write(bytesOf({ ...trackerProof(ownPool, exporterOf(newcomer)), pool_key: createPublicKey(pool.authority.key).export({ type: 'spki', format: 'der' }) })),
    ],
    ['who asks for the proof without giving one', () => stranger, (newcomer) => newcomer.write(bytesOf({ kind: 'join_refused', error: { code: 'invitation_refused', message: 'say it again' } }))],
  ])('%s is not the invited tracker, and hears not one byte', async (_, as, begin) => {
    const middle = new Middle(as(), begin);
    const { token } = await invite(await middle.listen());
    const ran = await joins(token);
    middle.close();
    expect(ran.status).toBe(3);
    expect(['not_the_tracker', 'tracker_unreachable']).toContain(codeOf(ran));
    if (begin === handsOn) expect(ran.stdout).toContain('this is not the invited tracker');
    const heard = Buffer.concat(middle.heard);
    expect(heard).toHaveLength(0);
    // Not even who it was: the key of the connection was thrown away.
    expect(middle.certificates.length).toBeGreaterThan(0);
    const known = Object.values(pool.members).map(({ identity }) => createPublicKey(identity.keyPem).export({ type: 'spki', format: 'der' }).toString('hex'));
    for (const certificate of middle.certificates) expect(known).not.toContain(certificate.toString('hex'));
    for (const name of ['pool.json', 'member.key']) expect(existsSync(join(ran.folder, name))).toBe(false);
    expect(`${ran.stdout}${ran.stderr}`).not.toContain(token.slice(4, 40));
  });

  it('who answers in plain text, or not at all, is no tracker either', async () => {
    const server = createNetServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('HTTP/1.1 200 OK\r\n\r\npl1-welcome');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { token } = await invite({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
    const ran = await joins(token);
    server.close();
    expect({ status: ran.status, code: codeOf(ran) }).toEqual({ status: 3, code: 'tracker_unreachable' });
  });
});
