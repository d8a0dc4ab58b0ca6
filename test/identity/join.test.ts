/** Joining over real sockets: who gets in, what each refusal says, what a man in the middle sees. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join as path } from 'node:path';
import * as tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityOf, openHomeFolder, readPool } from '../../src/identity/home-folder.ts';
import { join, type Joined } from '../../src/identity/join.ts';
import { newcomerProof, trackerProof } from '../../src/identity/join-proofs.ts';
import { WrongProofs } from '../../src/identity/joining.ts';
import type { InvitationToken } from '../../src/identity/invitation-token.ts';
import { LiveRoster } from '../../src/identity/live-roster.ts';
import { limits } from '../../src/limits.ts';
import { dialToJoin, JoinBroken, JoinChannel } from '../../src/wire/join-channel.ts';
import { dial } from '../../src/wire/tls-connection.ts';
import { JOIN_PROTOCOL, MEMBER_PROTOCOL } from '../../src/wire/tls-handshake.ts';
import { trusting } from '../helpers/members.ts';
import { TrackerDoor } from '../helpers/tracker-door.ts';

let door: TrackerDoor;
let undo: (() => unknown)[];

beforeEach(async () => {
  door = await TrackerDoor.start();
  undo = [];
});
afterEach(async () => {
  for (const step of undo.toReversed()) await step();
  await door.stop();
});

const enter = (token: InvitationToken, name = 'b'): Promise<Joined> => join({ token, folder: door.newcomer(name), machine: name, timeoutMs: 4_000 });
const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'in', (error: { code?: string }) => error.code ?? String(error));
const newKey = () => generateKeyPairSync('ed25519').privateKey;

describe('an invited machine', () => {
  it('is a member afterwards, knows the roster and where the tracker is, and may have links', async () => {
    const { token } = await door.invite({ role: 'runner', name: 'attic' });
    const joined = await enter(token);
    expect(joined).toEqual({ pool: door.pool, poolName: 'pool of test', name: 'attic', role: 'runner', tracker: door.address, already: false });
    const folder = door.newcomer('b');
    expect((await readPool(folder))?.trackers).toEqual([door.address]);
    const { identity } = await openHomeFolder(folder);
    const roster = await new LiveRoster({ folder, ownKeyId: identity.keyId }).open();
    expect([roster.roleOf(identity.keyId), roster.trackerKey]).toEqual(['runner', door.identity.keyId]);
    const link = await dial({ ...door.address, identity, members: roster, expectKey: roster.trackerKey, timeoutMs: 4_000 });
    link.close();
  });

  it('keeps the key that it had', async () => {
    const { identity } = await openHomeFolder(door.newcomer('b'));
    await enter((await door.invite()).token);
    expect(door.roster.roleOf(identity.keyId)).toBe('member');
  });

  it('that joins again is told that it is in, and nothing is used', async () => {
    const { token } = await door.invite({ joins: 1 });
    const first = await enter(token);
    expect(await enter(token)).toEqual({ ...first, already: true });
    expect(door.roster.number).toBe(2);
  });

  it('that lost the answer joins again by the same invitation, used up or not, and is the same member', async () => {
    const { token } = await door.invite({ joins: 1 });
    const { name } = await enter(token);
    await rm(path(door.newcomer('b'), 'pool.json'));
    await rm(path(door.newcomer('b'), 'roster'), { recursive: true });
    expect(await enter(token)).toMatchObject({ name, already: false });
    expect([door.roster.number, await codeOf(enter(token, 'c'))]).toEqual([2, 'invitation_used_up']);
  });

  it('tries the next address when at the first there is nobody, or somebody else', async () => {
    const silent = createServer((socket) => undo.push(() => socket.destroy()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    undo.push(() => silent.close());
    const other = await TrackerDoor.start();
    undo.push(() => other.stop());
    const { token } = await door.invite();
    expect(await enter({ ...token, addresses: [{ host: '127.0.0.1', port: 1 }, other.address, door.address] })).toMatchObject({ tracker: door.address });
  });
});

describe('a refusal', () => {
  it('has a sentence of its own for each reason that the invited may know', async () => {
    const used = await door.invite({ joins: 1 });
    await enter(used.token, 'first');
    const expired = await door.invite({ ttlMs: 1 });
    const revoked = await door.invite();
    await door.keeper.registry.ask({ type: 'invitation_revoke_asked', by: door.identity.keyId, id: revoked.token.id });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const codes = [];
    for (const { token } of [used, expired, revoked]) codes.push(await codeOf(enter(token, 'late')));
    expect(codes).toEqual(['invitation_used_up', 'invitation_expired', 'invitation_revoked']);
    expect(await readPool(door.newcomer('late'))).toBeUndefined();
  });

  it('is one and the same for a wrong seed and an id that nobody gave out', async () => {
    const { token } = await door.invite();
    const answers = [];
    for (const wrong of [{ ...token, seed: Uint8Array.from(randomBytes(32)) }, { ...token, id: 'f'.repeat(16) }]) {
      answers.push(await enter(wrong).catch(({ code, message, why, fix }: Record<string, string>) => ({ code, message, why, fix })));
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject({ code: 'invitation_refused' });
  });

  it('of a revoked machine holds for its invitation and every other', async () => {
    const used = await door.invite();
    const other = await door.invite();
    const { name } = await enter(used.token);
    await door.revoke(name);
    expect([await codeOf(enter(used.token, 'c')), await codeOf(enter(other.token, 'd'))]).toEqual(['invitation_revoked', 'in']);
    await rm(path(door.newcomer('b'), 'pool.json'));
    await expect(enter(other.token)).rejects.toMatchObject({ code: 'revoked', fix: expect.stringContaining('member.key') as string });
  });

  it.each([
    ['where nobody listens', 1, 'tracker_unreachable'],
    ['of a host that is unknown', 'no-such-host.invalid', 'tracker_unreachable'],
  ])('at an address %s says so', async (_, place, code) => {
    const { token } = await door.invite();
    const address = typeof place === 'number' ? { host: '127.0.0.1', port: place } : { host: place, port: 8888 };
    expect(await codeOf(enter({ ...token, addresses: [address] }))).toBe(code);
    expect(existsSync(door.newcomer('b'))).toBe(false);
  });

  it('by silence says that it took too long, and leaves nothing behind', async () => {
    const silent = createServer((socket) => undo.push(() => socket.destroy()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    undo.push(() => silent.close());
    const { token } = await door.invite();
    const addresses = [{ host: '127.0.0.1', port: (silent.address() as { port: number }).port }];
    await expect(join({ token: { ...token, addresses }, folder: door.newcomer('b'), machine: 'b', timeoutMs: 200 })).rejects.toMatchObject({ code: 'tracker_unreachable', why: 'no answer within 200 ms' });
    expect(existsSync(door.newcomer('b'))).toBe(false);
  });

  it('in a folder that is in a pool already, or has its own, changes nothing', async () => {
    const other = await TrackerDoor.start();
    undo.push(() => other.stop());
    await enter((await other.invite()).token);
    await enter((await door.invite()).token, 'c');
    const before = await readFile(path(door.newcomer('c'), 'pool.json'), 'utf8');
    const token = (await other.invite()).token;
    const messages = await Promise.all([door.newcomer('c'), door.folder, other.folder].map((folder) => join({ token, folder, machine: 'x' }).catch((error: Error) => error.message)));
    expect(messages).toEqual(['this machine is in another pool already: pool of test', 'this machine has a pool of its own', 'this is the machine of the pool\'s own tracker']);
    expect(await readFile(path(door.newcomer('c'), 'pool.json'), 'utf8')).toBe(before);
  });
});

describe('many at once', () => {
  it('with an invitation for one: exactly one is in, and the log says the same', async () => {
    const { token } = await door.invite({ joins: 1 });
    const passing = identityOf(newKey());
    const one = async (): Promise<string> => {
      const channel = await dialToJoin(door.address, passing, 10_000);
      await channel.next('join_hello');
      channel.send(newcomerProof(token, newKey(), 'm', channel.exporter));
      const answer = await channel.next('joined', 'join_refused');
      channel.end();
      return answer.kind === 'joined' ? 'in' : answer.error.code;
    };
    let left = 600;
    const codes: string[] = [];
    // As many at a time as one address may have.
    const line = async () => {
      while ((left -= 1) >= 0) codes.push(await one());
    };
    await Promise.all(Array.from({ length: 24 }, line));
    expect(codes.filter((code) => code === 'in')).toHaveLength(1);
    expect(codes.filter((code) => code === 'invitation_used_up')).toHaveLength(599);
    const { parent } = door;
    await door.close();
    door = await TrackerDoor.start(parent);
    expect([door.keeper.registry.state.members.size, door.keeper.registry.state.invitations.get(token.id)?.used]).toEqual([2, 1]);
  }, 60_000);

  it('with right proofs do not wait for somebody who guesses from the same address', async () => {
    const { token } = await door.invite();
    const guesses = Array.from({ length: 8 }, (_, at) => codeOf(enter({ ...token, seed: Uint8Array.from(randomBytes(32)) }, `g${at}`)));
    const startedAt = performance.now();
    expect(await codeOf(enter(token))).toBe('in');
    expect(performance.now() - startedAt).toBeLessThan(1_500);
    expect(new Set(await Promise.all(guesses))).toEqual(new Set(['invitation_refused']));
  });
});

describe('wrong proofs', () => {
  it('wait longer each time, each address by itself, and are forgotten', () => {
    const wrong = new WrongProofs();
    expect([0, 1, 2, 3, 4, 5].map((at) => wrong.delayOf('a', at))).toEqual([250, 500, 1_000, 2_000, 3_000, 3_000]);
    expect(wrong.delayOf('b', 6)).toBe(250);
    expect(wrong.delayOf('a', 6 + limits.wrongProofForgetMs)).toBe(250);
  });

  it('of very many addresses take no more memory than of some', () => {
    const wrong = new WrongProofs();
    for (let at = 0; at < 10_000; at += 1) wrong.delayOf(`10.0.${at >> 8}.${at & 255}`, at);
    expect(wrong.delayOf('10.0.0.0', 10_000)).toBe(250);
    expect(wrong.delayOf('10.0.39.15', 10_000)).toBe(500);
  });
});

describe('what a stranger hears', () => {
  const raw = (protocols: string[], options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> => {
    const { keyPem: key, certPem: cert } = identityOf(newKey());
    const socket = tls.connect({ ...door.address, key, cert, rejectUnauthorized: false, ALPNProtocols: protocols, ...options });
    undo.push(() => socket.destroy());
    socket.on('error', () => undefined);
    return new Promise((resolve) => socket.once('secureConnect', () => resolve(socket)).once('close', () => resolve(socket)));
  };

  it('is the pool\'s public key and one sentence, nothing else', async () => {
    const { token } = await door.invite({ name: 'secret-name' });
    const passing = identityOf(newKey());
    const channel = await dialToJoin(door.address, passing, 4_000);
    const hello = await channel.next('join_hello');
    expect(createHash('sha256').update(hello.pool_key).digest('hex')).toBe(door.pool);
    channel.send(newcomerProof({ ...token, seed: Uint8Array.from(randomBytes(32)) }, newKey(), 'x', channel.exporter));
    const answer = await channel.next('join_refused');
    expect(Object.keys(answer).toSorted()).toEqual(['error', 'kind']);
    expect(JSON.stringify(answer)).not.toMatch(/secret-name|den|127\.0\.0\.1/);
    await expect(channel.next('joined')).rejects.toBeInstanceOf(JoinBroken);
  });

  it('is nothing after a proof that was recorded on another connection, or belongs to another key', async () => {
    const { token } = await door.invite();
    const [one, two] = [await dialToJoin(door.address, identityOf(newKey()), 4_000), await dialToJoin(door.address, identityOf(newKey()), 4_000)];
    await Promise.all([one.next('join_hello'), two.next('join_hello')]);
    const own = newKey();
    two.send(newcomerProof(token, own, 'x', one.exporter));
    expect((await two.next('joined', 'join_refused')).kind).toBe('join_refused');
    const other = newcomerProof(token, newKey(), 'x', one.exporter);
    one.send({ ...other, public_key: newcomerProof(token, own, 'x', one.exporter).public_key });
    expect((await one.next('joined', 'join_refused')).kind).toBe('join_refused');
    expect(door.roster.number).toBe(1);
  });

  it.each(['by_seed', 'by_key', 'public_key'] as const)('is a refusal when one bit of %s is altered', async (field) => {
    const { token } = await door.invite();
    const channel = await dialToJoin(door.address, identityOf(newKey()), 4_000);
    await channel.next('join_hello');
    const proof = newcomerProof(token, newKey(), 'x', channel.exporter);
    channel.send({ ...proof, [field]: proof[field].map((byte, at) => (at === 20 ? byte ^ 1 : byte)) });
    expect((await channel.next('joined', 'join_refused')).kind).toBe('join_refused');
    expect(door.roster.number).toBe(1);
  });

  it('without a certificate, with another ALPN, or with a session of the other protocol, is the end', async () => {
    const closes = async (socket: tls.TLSSocket): Promise<number> => {
      let bytes = 0;
      socket.on('data', (data: Buffer) => (bytes += data.length));
      if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
      return bytes;
    };
    expect(await closes(await raw([JOIN_PROTOCOL], { key: undefined, cert: undefined }))).toBe(0);
    expect(await closes(await raw(['http/1.1']))).toBe(0);
    expect(await closes(await raw([]))).toBe(0);
    const sessions: Buffer[] = [];
    const first = await raw([JOIN_PROTOCOL]);
    first.on('session', (session) => sessions.push(session));
    await new Promise((resolve) => first.once('data', resolve));
    const session = sessions[0] ?? first.getSession();
    for (const protocol of [JOIN_PROTOCOL, MEMBER_PROTOCOL]) {
      const again = await raw([protocol], session === undefined ? {} : { session });
      // A full handshake, or none: a resumed one gets nothing.
      if (again.isSessionReused()) expect(await closes(again)).toBe(0);
      again.destroy();
    }
  });

  it('that says too much, nonsense, or speaks out of turn, is the end of the connection and no fault', async () => {
    const { token } = await door.invite();
    for (const bytes of [Buffer.alloc(limits.joinFrameBytesMax + 100, 1), Buffer.from([0, 0, 0, 0]), Buffer.from([0, 0, 0, 3, 0xc1, 0xc1, 0xc1]), Buffer.from([0, 0, 0, 8, 0x93, 100, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x80])]) {
      const socket = await raw([JOIN_PROTOCOL]);
      socket.resume();
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const channel = await dialToJoin(door.address, identityOf(newKey()), 4_000);
    await channel.next('join_hello');
    channel.send(trackerProof(newKey(), channel.exporter));
    await expect(channel.next('joined')).rejects.toBeInstanceOf(JoinBroken);
    expect(await codeOf(enter(token))).toBe('in');
    expect(door.said.filter((line) => /broken|fault/.test(line))).toEqual([]);
  });

  it('from a peer is that nobody lets anybody join there', async () => {
    const peer = await import('../../src/wire/tls-connection.ts').then(({ listen }) => listen({ host: '127.0.0.1', port: 0, identity: door.identity, members: trusting(() => false), onConnection: () => undefined }));
    undo.push(() => peer.close());
    const { token } = await door.invite({ addresses: [{ host: '127.0.0.1', port: peer.port }] });
    expect(await codeOf(enter(token))).toBe('tracker_unreachable');
  });
});

describe('a machine in the middle', () => {
  /** Takes the newcomer's connection and says `hello` in its turn; keeps what it was told. */
  async function middle(hello: (theirs: JoinChannel, real: JoinChannel) => Promise<void>, key = newKey()): Promise<{ port: number; heard: Buffer[]; keys: string[] }> {
    const { keyPem, certPem } = identityOf(key);
    const heard: Buffer[] = [];
    const keys: string[] = [];
    const server = tls.createServer({ key: keyPem, cert: certPem, requestCert: true, rejectUnauthorized: false, ALPNProtocols: [JOIN_PROTOCOL], minVersion: 'TLSv1.3' }, (socket) => {
      undo.push(() => socket.destroy());
      keys.push(createHash('sha256').update(socket.getPeerX509Certificate()!.publicKey.export({ type: 'spki', format: 'der' })).digest('hex'));
      socket.on('data', (bytes: Buffer) => heard.push(bytes));
      const theirs = new JoinChannel(socket, 4096);
      void dialToJoin(door.address, identityOf(newKey()), 4_000).then((real) => hello(theirs, real));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    undo.push(() => server.close());
    return { port: (server.address() as { port: number }).port, heard, keys };
  }

  it.each([
    ['with a key of its own', async (theirs: JoinChannel) => theirs.send(trackerProof(newKey(), theirs.exporter))],
    ['that passes on what the tracker said to it', async (theirs: JoinChannel, real: JoinChannel) => theirs.send(await real.next('join_hello'))],
    [
      'that shows the pool\'s public key and signs with another',
      async (theirs: JoinChannel, real: JoinChannel) => theirs.send({ ...(await real.next('join_hello')), signature: sign(null, Buffer.concat([Buffer.from('potluck-join-1'), theirs.exporter]), newKey()) }),
    ],
  ])('%s is found out before it hears a byte, and learns nobody\'s key', async (_, hello) => {
    const proxy = await middle(hello);
    const { token } = await door.invite();
    await expect(enter({ ...token, addresses: [{ host: '127.0.0.1', port: proxy.port }] })).rejects.toMatchObject({ code: 'not_the_tracker', message: expect.stringContaining('this is not the invited tracker') as string });
    expect(proxy.heard).toEqual([]);
    expect(existsSync(door.newcomer('b'))).toBe(false);
    expect(proxy.keys).toHaveLength(1);
  });

  it('who is a member is found out all the same', async () => {
    await enter((await door.invite()).token, 'member');
    const { identity } = await openHomeFolder(door.newcomer('member'));
    const { createPrivateKey } = await import('node:crypto');
    const proxy = await middle(async (theirs, real) => theirs.send(await real.next('join_hello')), createPrivateKey(identity.keyPem));
    const { token } = await door.invite();
    expect(await codeOf(enter({ ...token, addresses: [{ host: '127.0.0.1', port: proxy.port }] }))).toBe('not_the_tracker');
    expect(proxy.heard).toEqual([]);
  });
});

describe('the secret of an invitation', () => {
  it('is in no file of the newcomer or the tracker, and in nothing that was said', async () => {
    const { token, text } = await door.invite();
    await enter(token);
    await codeOf(enter({ ...token, id: '0'.repeat(16) }, 'c'));
    await door.keeper.audit.write();
    const secrets = [text.slice(4, 40), Buffer.from(token.seed).toString('hex'), Buffer.from(token.seed).toString('base64').slice(0, 40)];
    const files = readdirSync(door.parent, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const file of files) {
      const bytes = await readFile(path(file.parentPath, file.name));
      for (const secret of secrets) expect(bytes.includes(secret), file.name).toBe(false);
      expect(bytes.includes(Buffer.from(token.seed)), file.name).toBe(false);
    }
    expect(files.length).toBeGreaterThan(8);
    expect(door.said.join('\n')).not.toContain(secrets[0]);
  });
});

describe('a tracker', () => {
  it('does not start in a folder that has joined the pool of another', async () => {
    await enter((await door.invite()).token);
    const { openPool } = await import('../../src/identity/home-folder.ts');
    await expect(openPool(door.newcomer('b'), 'x')).rejects.toMatchObject({ code: 'already_joined' });
    expect(existsSync(path(door.newcomer('b'), 'pool.key'))).toBe(false);
  });

  it('whose folder was put back from an old copy learns so from its peers, and what it revokes counts again', async () => {
    const { name } = await enter((await door.invite()).token);
    const { parent, folder } = door;
    await door.close();
    await cp(folder, path(parent, 'copy'), { recursive: true });
    door = await TrackerDoor.start(parent);
    await enter((await door.invite()).token, 'c');
    await enter((await door.invite()).token, 'd');
    const newest = door.roster.sealed!;
    await door.close();
    await rm(folder, { recursive: true });
    await cp(path(parent, 'copy'), folder, { recursive: true });
    door = await TrackerDoor.start(parent);
    expect(door.roster.number).toBe(2);
    // As a peer hands it over with its hello.
    expect(await door.roster.offered(newest, 'a peer')).toBe(true);
    await expect.poll(() => door.roster.number).toBe(5);
    await door.revoke(name);
    expect([door.roster.number, door.keeper.registry.state.members.size]).toEqual([6, 4]);
  });

  it('with a damaged log says which, and what moving it away costs; a second one says that one runs', async () => {
    const { parent, folder } = door;
    await expect(TrackerDoor.start(parent)).rejects.toMatchObject({ code: 'store_in_use', message: expect.stringContaining('runs already') as string });
    await enter((await door.invite()).token);
    await door.close();
    const journal = path(folder, 'registry', 'journal');
    const log = path(journal, readdirSync(journal)[0]!);
    const bytes = await readFile(log);
    bytes[80]! ^= 1;
    await writeFile(log, bytes);
    await expect(TrackerDoor.start(parent)).rejects.toMatchObject({ code: 'store_damaged', fix: expect.stringContaining('members are taken from the roster') as string });
    await rm(journal, { recursive: true });
    door = await TrackerDoor.start(parent);
    expect(door.keeper.registry.state.members.size).toBe(2);
  });

  it('that lost its log goes on from the roster, and the other way round', async () => {
    const { name } = await enter((await door.invite()).token);
    const { parent, folder } = door;
    await door.close();
    await rm(path(folder, 'registry'), { recursive: true });
    door = await TrackerDoor.start(parent);
    expect(door.keeper.registry.state.members.size).toBe(2);
    expect(door.roster.number).toBe(3);
    await door.revoke(name);
    await door.close();
    await rm(path(folder, 'roster'), { recursive: true });
    await writeFile(path(folder, 'registry', 'seen.json'), '{"half');
    door = await TrackerDoor.start(parent);
    expect([door.roster.number, door.roster.body?.members.map(({ state }) => state)]).toEqual([4, ['active', 'revoked']]);
  });
});
