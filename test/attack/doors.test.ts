/**
 * Every port of a tracker and a peer, against whoever is no member, or no longer, or not the one it says:
 * refused, and told nothing but that.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { once } from 'node:events';
import { createServer as createTlsServer, type ConnectionOptions } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { version } from '../../src/version.ts';
import { Decoder, encode } from '../../src/wire/framing.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import type { Message, PeerSelf } from '../../src/wire/messages.ts';
import { newIdentity } from '../contract/connection-ends.ts';
import { PoolOfKeys, type RunningPeer } from './pool-of-keys.ts';
import { everythingFrom, tcpTo, tlsTo, type Door, type Heard } from './stranger.ts';
import { flipping, Tap, type Recording } from './tap.ts';

let pool: PoolOfKeys;
let peer: RunningPeer;
const stranger = newIdentity();
beforeAll(async () => {
  pool = await PoolOfKeys.make({ ada: 'admin', bea: 'member', rex: 'revoked' });
  await pool.startTracker('ada');
  peer = await pool.startPeer('ada', ['--slots', '1']);
});
afterAll(() => pool.stop());

const doors = ['tracker', 'peer'] as const;
type Which = (typeof doors)[number];
const doorOf = (which: Which): Door => ({ host: '127.0.0.1', port: which === 'peer' ? peer.port : pool.trackerPort });
const self: PeerSelf = { peer: 'x', incarnation: 'i', addresses: [{ host: '127.0.0.1', port: 1 }], machine: { boot: 'b', net: 'n' }, slots: 0, languages: {}, memoryMb: 1, isolation: 0, version };
const hello = (which: Which) => encode({ kind: 'hello', version, incarnation: 'i', name: 'x', ...(which === 'peer' ? { as: 'client' } : { as: 'peer', self }) });

/** TLS to the door, a good hello, a question; and all that comes of it. */
const ask = (which: Which, as: LinkIdentity | undefined, options: ConnectionOptions = {}): Promise<Heard> =>
  everythingFrom(tlsTo(doorOf(which), as, options), Buffer.concat([hello(which), encode({ kind: 'ask', ask: 1, what: 'status' })]));

/** The first thing that a member hears. */
function greeted(which: Which, as: LinkIdentity, options: ConnectionOptions = {}, door = doorOf(which)): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tlsTo(door, as, options);
    socket.once('secureConnect', () => socket.write(hello(which)));
    socket.once('data', (bytes: Buffer) => {
      socket.destroy();
      resolve(messagesIn(bytes)[0]?.kind === 'hello');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(false));
  });
}

function messagesIn(bytes: Buffer): Message[] {
  const messages: Message[] = [];
  new Decoder().push(bytes, (message) => messages.push(message));
  return messages;
}

/** Whoever is refused hears nothing, or one sentence that holds nothing of the pool. */
function expectNothingToldBut(code: 'nothing' | 'not_a_member' | 'revoked', { bytes }: Heard): void {
  const messages = messagesIn(bytes);
  if (code === 'nothing') expect(messages).toEqual([]);
  else expect(messages).toEqual([{ kind: 'bye', error: { code, message: expect.any(String) as string, hint: expect.any(String) as string } }]);
  const text = bytes.toString('latin1');
  const ownWords = [pool.root, pool.authority.pool, peer.name, String(process.pid), ...Object.values(pool.members).flatMap(({ name, identity }) => [`"${name}"`, identity.keyId])];
  expect(ownWords.filter((word) => text.includes(word))).toEqual([]);
}

describe.each(doors)('the port of the %s', (which) => {
  it('serves a member: what follows is refused for its own reason', async () => {
    expect(await greeted(which, pool.member('bea').identity)).toBe(true);
  });

  it.each<[string, () => LinkIdentity | undefined, 'nothing' | 'not_a_member' | 'revoked', ConnectionOptions?]>([
    ['no certificate', () => undefined, 'nothing'],
    ['a key that nobody knows', () => stranger, 'not_a_member'],
    ['a revoked key', () => pool.member('rex').identity, 'revoked'],
    ['no ALPN', () => pool.member('bea').identity, 'nothing', { ALPNProtocols: [] }],
    ['another ALPN', () => pool.member('bea').identity, 'nothing', { ALPNProtocols: ['h2', 'http/1.1'] }],
    ['the ALPN of a version to come', () => pool.member('bea').identity, 'nothing', { ALPNProtocols: ['potluck-member/2'] }],
    ['TLS 1.2', () => pool.member('bea').identity, 'nothing', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }],
    ['a certificate of a member and the key of a stranger', () => ({ ...pool.member('bea').identity, certPem: pool.member('bea').identity.certPem, keyPem: stranger.keyPem }), 'nothing'],
  ])('tells %s nothing of the pool', async (_, who, code, options) => {
    let heard: Heard;
    try {
      heard = await ask(which, who(), options);
    } catch (error) {
      // Node itself will not show a certificate with a key that is not its own.
      heard = { bytes: Buffer.alloc(0), error: String(error) };
    }
    expectNothingToldBut(code, heard);
  });

  it('takes a key of another pool for one that nobody knows', async () => {
    const other = await PoolOfKeys.make({ eve: 'admin' });
    try {
      expectNothingToldBut('not_a_member', await ask(which, other.member('eve').identity));
    } finally {
      await other.stop();
    }
  });

  it('resumes no session: not for a member, not for a stranger who got hold of it', async () => {
    const { identity } = pool.member('bea');
    const session = await sessionOf(doorOf(which), identity);
    for (const as of [identity, stranger, undefined]) {
      const socket = tlsTo(doorOf(which), as, session === undefined ? {} : { session });
      const reused = new Promise<boolean>((resolve) => socket.once('secureConnect', () => resolve(socket.isSessionReused())));
      const heard = everythingFrom(socket, hello(which));
      setTimeout(() => socket.end(), 300);
      const wasReused = await Promise.race([reused, heard.then(() => false)]);
      const { bytes } = await heard;
      // In full, with the key proved anew; or not at all.
      if (wasReused || as === undefined) expect(bytes).toHaveLength(0);
      else if (as === stranger) expectNothingToldBut('not_a_member', { bytes, error: undefined });
    }
  });

  it('takes no session that another server made, whatever it says of who resumes it', async () => {
    const { identity } = pool.member('bea');
    const forger = createTlsServer({ key: stranger.keyPem, cert: stranger.certPem, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['potluck-member/1'], minVersion: 'TLSv1.3' }, (socket) => socket.end('.'));
    forger.listen(0, '127.0.0.1');
    await once(forger, 'listening');
    const session = await sessionOf({ host: '127.0.0.1', port: (forger.address() as AddressInfo).port }, identity);
    forger.close();
    expect(session).toBeDefined();
    expectNothingToldBut('nothing', await ask(which, undefined, { session: session! }));
    expectNothingToldBut('not_a_member', await ask(which, stranger, { session: session! }));
  });

  it('hears a recording of a member as noise', async () => {
    const { there, back } = await recorded(which);
    // At once, in the pieces in which it went, and without its first flight.
    for (const said of [there, there.subarray(0, there.length - 1), there.subarray(recordsIn(there)[0]!)]) {
      const heard = await everythingFrom(tcpTo(doorOf(which)), said);
      expectSealedOrNothing(heard.bytes, there, back);
    }
    expect(await greeted(which, pool.member('bea').identity)).toBe(true);
  });

  it('gives nothing to a link of a member in which one bit was turned around', async () => {
    const { there } = await recorded(which);
    const bits = there.length * 8;
    // Some of every record: the first hello of TLS, the certificate, the proof of the key, the message.
    const chosen = [...recordsIn(there).keys()].flatMap((record) => {
      const from = record === 0 ? 0 : recordsIn(there)[record - 1]!;
      const to = recordsIn(there)[record]!;
      return Array.from({ length: 8 }, (_, at) => Math.min(bits - 1, (from + 5) * 8 + Math.floor(((to - from - 5) * 8 * at) / 8) + (at % 8)));
    });
    const answers = await Promise.all(
      chosen.map(async (bit) => {
        const tap = await Tap.before(doorOf(which), flipping(bit));
        try {
          return { bit, greeted: await greeted(which, pool.member('bea').identity, {}, tap.door) };
        } finally {
          tap.close();
        }
      }),
    );
    expect(answers.filter((answer) => answer.greeted)).toEqual([]);
    expect(await greeted(which, pool.member('bea').identity)).toBe(true);
  });
});

/** The session that a server gives, if it gives one; with TLS 1.3 that comes after the handshake. */
function sessionOf(door: Door, as: LinkIdentity): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = tlsTo(door, as);
    let session: Buffer | undefined;
    socket.on('session', (given: Buffer) => {
      session = given;
      socket.end();
    });
    socket.once('secureConnect', () => {
      socket.write(encode({ kind: 'ping', t: 1 }));
      setTimeout(() => socket.end(), 200);
    });
    socket.resume();
    socket.on('error', reject);
    socket.on('close', () => resolve(session ?? socket.getSession()));
  });
}

/** What passes on the wire while a member is greeted. */
async function recorded(which: Which): Promise<Recording> {
  const tap = await Tap.before(doorOf(which));
  expect(await greeted(which, pool.member('bea').identity, {}, tap.door)).toBe(true);
  tap.close();
  return tap.recording;
}

/** Where each TLS record of a stream ends. */
function recordsIn(stream: Buffer): number[] {
  const ends: number[] = [];
  for (let at = 0; at + 5 <= stream.length; ) {
    at += 5 + stream.readUInt16BE(at + 3);
    ends.push(Math.min(at, stream.length));
  }
  return ends;
}

/** The server's half of a handshake that cannot go on: nothing that was said before, and no more than that. */
function expectSealedOrNothing(bytes: Buffer, there: Buffer, back: Buffer): void {
  expect(bytes.length).toBeLessThan(there.length + back.length);
  for (const word of [pool.root, pool.authority.pool, peer.name]) expect(bytes.includes(word)).toBe(false);
  const lastSaid = back.subarray(recordsIn(back).at(-2)! + 5);
  expect(bytes.includes(lastSaid)).toBe(false);
}
