import { createServer as createNetServer, connect as connectNet, type AddressInfo, type Socket } from 'node:net';
import * as tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { CloseReason, Connection } from '../../src/wire/connection.ts';
import { wireCounters } from '../../src/wire/counters.ts';
import { Decoder, encode } from '../../src/wire/framing.ts';
import { greet } from '../../src/wire/hello.ts';
import type { Message } from '../../src/wire/messages.ts';
import { dial, listen, type Listener, type ListenOptions } from '../../src/wire/tls-connection.ts';
import { MEMBER_PROTOCOL } from '../../src/wire/tls-handshake.ts';
import { newIdentity, until } from '../contract/connection-ends.ts';
import { examples } from './messages.ts';
import { trusting } from '../helpers/members.ts';

const identity = newIdentity();
const stranger = newIdentity();
const hello = { version: '0.1.0', incarnation: 'i', as: 'client', name: 'c' } as const;

let listener: Listener;
let links: Connection[];
let refusals: string[];
let sockets: (Socket | Listener)[];

beforeEach(async () => {
  links = [];
  refusals = [];
  sockets = [];
  listener = await open({});
});
afterEach(async () => {
  for (const link of links) link.close();
  for (const socket of sockets) {
    if ('destroy' in socket) socket.destroy();
    else await socket.close();
  }
  await listener.close();
});

const open = (options: Partial<ListenOptions>): Promise<Listener> =>
  listen({
    host: '127.0.0.1',
    port: 0,
    identity,
    members: trusting((keyId) => keyId === identity.keyId),
    onConnection: (link) => links.push(link),
    onRefused: (_, why) => refusals.push(why),
    ...options,
  });

const call = (port = listener.port, as = identity): Promise<Connection> => dial({ host: '127.0.0.1', port, identity: as, expectKey: identity.keyId, timeoutMs: 5_000 });

/** A TLS client of our own making, to be wrong in one way at a time. */
async function tlsClient(options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: listener.port,
    key: identity.keyPem,
    cert: identity.certPem,
    rejectUnauthorized: false,
    ALPNProtocols: [MEMBER_PROTOCOL],
    ...options,
  });
  sockets.push(socket);
  socket.setNoDelay(true);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve));
  return socket;
}

/** Everything that comes over a socket until it closes. */
function everything(socket: Socket): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    if (socket.destroyed) resolve(Buffer.alloc(0));
    socket.on('data', (bytes: Buffer) => chunks.push(bytes));
    socket.on('error', () => {});
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

const tcpClient = async (port = listener.port): Promise<Socket> => {
  const socket = connectNet({ host: '127.0.0.1', port });
  sockets.push(socket);
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
};

async function farEnd(): Promise<{ link: Connection; got: Message[]; ends: CloseReason[] }> {
  const link = await until(() => links[0]);
  const got: Message[] = [];
  const ends: CloseReason[] = [];
  link.onMessage = (message) => got.push(message);
  link.onClose = (reason) => ends.push(reason);
  return { link, got, ends };
}

describe('what comes over TLS', () => {
  it('is understood one byte at a time', async () => {
    const socket = await tlsClient();
    const { got } = await farEnd();
    for (const byte of Buffer.concat(examples.slice(5, 9).map((message) => encode(message)))) {
      await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
    }
    await until(() => got.length === 4);
    expect(got).toEqual(examples.slice(5, 9));
  });

  it.each([
    ['a length beyond the limit', Buffer.from([0xff, 0xff, 0xff, 0xff, 1])],
    ['garbage', Buffer.from([0, 0, 0, 3, 0xc1, 0xc1, 0xc1])],
    ['a message of the wrong shape', Buffer.from([0, 0, 0, 8, 0x93, 100, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x80])],
    ['a chunk out of place of content that was wanted', undefined],
  ])('if it is %s, ends the link as malformed and is counted; what came before is delivered', async (_, bytes) => {
    const before = wireCounters.malformed;
    const socket = await tlsClient();
    socket.resume();
    const { link, got, ends } = await farEnd();
    socket.write(encode(examples[8]!));
    if (bytes === undefined) {
      const hash = 'ab'.repeat(32);
      const fetched = link.fetch(hash, 10);
      socket.write(encode({ kind: 'chunk', hash, offset: 1, size: 3, data: new Uint8Array(2) }));
      await expect(fetched).rejects.toMatchObject({ reason: 'closed' });
    } else {
      socket.write(bytes);
    }
    await until(() => ends.length > 0 && socket.destroyed);
    expect(ends).toMatchObject([{ kind: 'malformed' }]);
    expect(got).toEqual([examples[8]]);
    expect(wireCounters.malformed).toBe(before + 1);
  });

  it('if it is of a version too far away, ends the link on both sides with the fix named', async () => {
    const socket = await tlsClient();
    const answer = everything(socket);
    const { ends } = await farEnd();
    socket.write(encode({ kind: 'hello', ...hello }, 301));
    await until(() => ends.length > 0);
    expect(ends).toMatchObject([{ kind: 'version_gap', problem: { code: 'version_gap', hint: 'update potluck on this side' } }]);
    const got: Message[] = [];
    new Decoder().push(await answer, (message) => got.push(message));
    expect(got).toMatchObject([{ kind: 'bye', error: { code: 'version_gap' } }]);
  });

  it('leaves in one write per turn', async () => {
    const near = await call();
    const { got } = await farEnd();
    let reads = 0;
    const link = await until(() => links[0]);
    const heard = link.lastHeardAt.bind(link);
    let last = heard();
    link.onMessage = (message) => {
      got.push(message);
      if (heard() !== last) reads++;
      last = heard();
    };
    for (let n = 0; n < 100; n++) near.send({ kind: 'cancel', id: `t${n}` });
    await until(() => got.length === 100);
    expect(reads).toBe(1);
    near.close();
  });
});

describe('who is turned away', () => {
  it('plain text: gets no byte', async () => {
    for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\0\0\u0005hello', '{"task":1}\n']) {
      const socket = await tcpClient();
      const answer = everything(socket);
      socket.write(text);
      expect((await answer).length).toBe(0);
    }
    expect(refusals).toEqual(['plain text', 'plain text', 'plain text']);
    expect(links).toEqual([]);
  });

  it('garbage that looks like TLS', async () => {
    const socket = await tcpClient();
    const answer = everything(socket);
    socket.write(Buffer.concat([Buffer.from([0x16, 3, 1, 0, 200]), Buffer.alloc(200, 0xee)]));
    await answer;
    expect(refusals).toHaveLength(1);
    expect(links).toEqual([]);
  });

  it('who shows no certificate', async () => {
    const socket = tls.connect({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false, ALPNProtocols: [MEMBER_PROTOCOL] });
    sockets.push(socket);
    expect((await everything(socket)).length).toBe(0);
    expect(refusals).toEqual(['no certificate']);
    expect(links).toEqual([]);
  });

  it('who speaks another protocol, or names none', async () => {
    for (const ALPNProtocols of [['h2'], ['potluck-member/2'], []]) {
      const socket = await tlsClient({ ALPNProtocols });
      expect((await everything(socket)).length).toBe(0);
    }
    await until(() => refusals.length === 3);
    expect(links).toEqual([]);
  });

  it('who speaks an older TLS', async () => {
    const socket = await tlsClient({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    await until(() => refusals.length === 1 && socket.destroyed);
    expect(links).toEqual([]);
  });

  it("a stranger's key: is told so, and the error says it", async () => {
    const link = await call(listener.port, stranger);
    await expect(greet(link, hello)).rejects.toMatchObject({ code: 'not_a_member' });
    expect(refusals).toHaveLength(1);
    expect(links).toEqual([]);
  });

  it('a session offered again is not resumed', async () => {
    const sessions: Buffer[] = [];
    const first = await tlsClient();
    first.on('session', (session: Buffer) => sessions.push(session));
    const { link } = await farEnd();
    link.send({ kind: 'ping', t: 1 });
    await new Promise((resolve) => first.once('data', resolve));
    const session = sessions[0] ?? first.getSession();
    const second = await tlsClient(session === undefined ? {} : { session });
    expect(second.isSessionReused()).toBe(false);
    await until(() => links.length === 2);
  });

  it('who says nothing: before TLS, and after it', async () => {
    await listener.close();
    listener = await open({ helloMs: 150 });
    const silent = await everything(await tcpClient());
    expect(silent.length).toBe(0);
    const socket = await tlsClient();
    const { ends } = await farEnd();
    await until(() => ends.length > 0 && socket.destroyed);
  });

  it('who has said hello is not bound by that time', async () => {
    await listener.close();
    listener = await open({ helloMs: 150 });
    const near = await call();
    const { link } = await farEnd();
    near.send({ kind: 'hello', ...hello });
    await everything(await tcpClient());
    await everything(await tcpClient());
    const back: Message[] = [];
    near.onMessage = (message) => back.push(message);
    link.send({ kind: 'cancel', id: 'a' });
    await until(() => back.length === 1);
    near.close();
  });

  it('the 33rd from one address that has not spoken; one place is free again when one has', async () => {
    const silent = await Promise.all(Array.from({ length: limits.connectionsPerAddressMax - 1 }, () => tcpClient()));
    const near = await call();
    const beyond = await tcpClient();
    expect((await everything(beyond)).length).toBe(0);
    expect(refusals).toEqual(['too many at once']);
    near.send({ kind: 'hello', ...hello });
    const { got } = await farEnd();
    await until(() => got.length === 1);
    const next = await call();
    next.close();
    near.close();
    for (const socket of silent) socket.destroy();
  });
});

describe('when all places are taken', () => {
  /** One connection from each of so many addresses that no address has more than its share. */
  const crowd = (count: number): Promise<Socket[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, at) => {
        const socket = connectNet({ host: '127.0.0.1', port: listener.port, localAddress: `127.0.2.${1 + Math.floor(at / limits.connectionsPerAddressMax)}` });
        sockets.push(socket);
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('connect', resolve));
        return socket;
      }),
    );

  it('the next one is turned away, and gets in as soon as the first has had its time', async () => {
    const slow = await crowd(limits.connectionsBeforeHelloMax);
    // Connections of the test before may be found broken only now.
    const crowding = () => refusals.filter((why) => why.startsWith('too '));
    expect((await everything(await tcpClient())).length).toBe(0);
    expect(crowding()).toEqual(['too many at once']);
    await new Promise((resolve) => setTimeout(resolve, limits.newcomerGraceMs));
    const near = await call();
    near.send({ kind: 'hello', ...hello });
    const { got } = await farEnd();
    await until(() => got.length === 1);
    expect(crowding()).toEqual(['too many at once', 'too slow while others wait']);
    expect(slow.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length).toBeLessThanOrEqual(1);
    near.close();
  });
});

describe('dialling', () => {
  it('reaches who it wanted, and both know each other', async () => {
    const near = await call();
    const { link } = await farEnd();
    expect([near.peerKey, link.peerKey]).toEqual([identity.keyId, identity.keyId]);
    expect(near.remote).toBe(`127.0.0.1:${listener.port}`);
    expect(link.remote).toMatch(/^127\.0\.0\.1:\d+$/);
    near.close();
  });

  it('another key than the expected one is not a member', async () => {
    const options = { host: '127.0.0.1', port: listener.port, identity, timeoutMs: 5_000 };
    await expect(dial({ ...options, expectKey: stranger.keyId })).rejects.toMatchObject({ code: 'not_a_member' });
    await expect(dial({ ...options, members: trusting(() => false) })).rejects.toMatchObject({ code: 'not_a_member' });
    await expect(dial(options)).rejects.toMatchObject({ code: 'not_a_member' });
  });

  it('a port where nobody listens says so', async () => {
    await listener.close();
    await expect(call()).rejects.toMatchObject({ code: 'peer_unreachable', why: 'nothing listens on that port', cause: { code: 'ECONNREFUSED' } });
    await expect(
      dial({ host: '127.0.0.1', port: listener.port, identity, expectKey: identity.keyId, timeoutMs: 5_000, unreachable: 'tracker_unreachable' }),
    ).rejects.toMatchObject({ code: 'tracker_unreachable' });
  });

  it('an unknown host says so', async () => {
    await expect(dial({ host: 'no-such-host.invalid', port: 1, identity, expectKey: identity.keyId, timeoutMs: 10_000 })).rejects.toMatchObject({
      code: 'peer_unreachable',
    });
  });

  it.each([
    ['says nothing', () => {}, 'no answer within 200 ms'],
    ['speaks HTTP', (socket: Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'what answers there does not speak TLS'],
    ['hangs up', (socket: Socket) => void socket.destroy(), /closed|broken off/],
  ])('a program that %s is no peer', async (_, behave, why) => {
    const server = createNetServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      behave(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const failure = dial({ host: '127.0.0.1', port, identity, expectKey: identity.keyId, timeoutMs: 200 });
    await expect(failure).rejects.toMatchObject({ code: 'peer_unreachable', why: typeof why === 'string' ? why : expect.stringMatching(why) });
    server.close();
  });

  it('a TLS server that is no potluck is no peer', async () => {
    const server = tls.createServer({ key: identity.keyPem, cert: identity.certPem }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await expect(call((server.address() as AddressInfo).port)).rejects.toMatchObject({ code: 'peer_unreachable' });
    server.close();
  });
});

describe('listening', () => {
  it('on a port that is taken says so', async () => {
    await expect(open({ port: listener.port })).rejects.toMatchObject({ code: 'port_in_use' });
  });

  it('on an address that is not ours says so', async () => {
    await expect(open({ host: '192.0.2.1' })).rejects.toMatchObject({ code: 'address_unusable' });
  });

  it('ends, and frees the port at once; links stay', async () => {
    const near = await call();
    const { link, got } = await farEnd();
    near.send({ kind: 'hello', ...hello });
    await until(() => got.length === 1);
    const { port } = listener;
    await listener.close();
    listener = await open({ port });
    const back: Message[] = [];
    near.onMessage = (message) => back.push(message);
    link.send({ kind: 'cancel', id: 'a' });
    await until(() => back.length === 1);
    near.close();
  });
});

describe('a link', () => {
  it('that breaks is lost, with the cause', async () => {
    const raw = await tcpClient();
    await tlsClient({ socket: raw });
    const { ends } = await farEnd();
    raw.resetAndDestroy();
    await until(() => ends.length > 0);
    expect(ends).toMatchObject([{ kind: 'lost', cause: { code: 'ECONNRESET' } }]);
  });

  it('whose other side never ends is ended all the same', async () => {
    const socket = await tlsClient({ allowHalfOpen: true } as tls.ConnectionOptions);
    socket.pause();
    const { link, ends } = await farEnd();
    link.close();
    await until(() => ends.length > 0);
    expect(ends).toEqual([{ kind: 'closed' }]);
  });

  it('that is given a message too large ends as lost, not with an exception', async () => {
    const near = await call();
    const ends: CloseReason[] = [];
    near.onClose = (reason) => ends.push(reason);
    near.send({ kind: 'output', id: 'a', attempt: 1, peer: 'p', stream: 'stdout', data: new Uint8Array(limits.frameBytesMax) });
    await until(() => ends.length > 0);
    expect(ends).toMatchObject([{ kind: 'lost', cause: { name: 'OversizedMessage' } }]);
  });

  it('whose greeting fails is closed: no hello, another message first, a bye', async () => {
    const near = await call();
    const { link } = await farEnd();
    link.send({ kind: 'cancel', id: 'a' });
    await expect(greet(near, hello)).rejects.toMatchObject({ code: 'link_lost' });
    const other = await call();
    (await until(() => links[1])).close({ code: 'draining', message: 'going away', hint: 'wait' });
    await expect(greet(other, hello)).rejects.toMatchObject({ code: 'draining', message: 'going away', fix: 'wait' });
  });
});
