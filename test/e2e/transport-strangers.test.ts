/** Who cannot prove a key of the pool gets nothing from a peer or a tracker: no text, no HTTP, no answer. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import { version } from '../../src/version.ts';
import { encode } from '../../src/wire/framing.ts';
import { MEMBER_PROTOCOL } from '../../src/wire/tls-handshake.ts';
import { TestPool } from './pool.ts';

let pool: TestPool;
let foreign: string;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  foreign = join(mkdtempSync(join(tmpdir(), 'potluck-foreign-')), 'home');
  mkdirSync(foreign, { mode: 0o700 });
});
afterAll(async () => {
  rmSync(join(foreign, '..'), { recursive: true });
  await pool.stop();
});

const doors = ['peer', 'tracker'] as const;
type Door = (typeof doors)[number];
const portOf = (door: Door) => (door === 'peer' ? pool.peers[0]!.port : pool.tracker.port);

/** Whatever comes until the other side closes. */
function heardPlain(port: number, say: string | undefined): Promise<Buffer> {
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    const socket = connectPlain(port, '127.0.0.1', () => say !== undefined && socket.write(say));
    socket.on('data', (data) => heard.push(data));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(heard)));
  });
}

/** What comes in answer to a good hello, until the link ends; of an answer its first piece. */
function heardTls(door: Door, options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const heard: Buffer[] = [];
    const hello = encode({ kind: 'hello', version, incarnation: 'test', as: door === 'peer' ? 'client' : 'peer', name: 'test' });
    // Whether *they* can prove something is not what is tested here.
    const socket = connectTls({ host: '127.0.0.1', port: portOf(door), rejectUnauthorized: false, ALPNProtocols: [MEMBER_PROTOCOL], ...options });
    socket.on('secureConnect', () => socket.write(hello));
    socket.on('data', (data: Buffer) => {
      heard.push(data);
      socket.destroy();
    });
    // However TLS calls the end of it.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(Buffer.concat(heard)));
  });
}

describe.each(doors)('the port of the %s', (door) => {
  it.each([
    ['plain text', 'hello\n'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a frame without TLS', '\0\0\0\u0005hello'],
  ])('answers %s with nothing but the end', async (_, say) => {
    const heard = await heardPlain(portOf(door), say);
    // At most TLS's own word for "that is no TLS": an alert.
    expect(heard.length === 0 || (heard[0] === 0x15 && heard.length <= 7)).toBe(true);
  });

  it('does not wait for ever for who says nothing', async () => {
    const startedAt = performance.now();
    expect(await heardPlain(portOf(door), undefined)).toHaveLength(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  const ways: [string, boolean, 'own' | 'none', ConnectionOptions][] = [
    ['a member', true, 'own', {}],
    ['a member without its protocol', false, 'own', { ALPNProtocols: [] }],
    ['a member with TLS 1.2', false, 'own', { maxVersion: 'TLSv1.2', minVersion: 'TLSv1.2' }],
    ['a link without a certificate', false, 'none', {}],
  ];
  it.each(ways)('answers the hello of %s: %s', async (_, answers, whose, options) => {
    const { identity } = await openHomeFolder(pool.folder);
    const key = whose === 'none' ? {} : { key: identity.keyPem, cert: identity.certPem };
    const heard = await heardTls(door, { ...key, ...options });
    expect(heard.length > 0).toBe(answers);
  });

  it('tells a stranger with a key of its own that it is no member, and nothing else', async () => {
    const { identity } = await openHomeFolder(foreign);
    const heard = (await heardTls(door, { key: identity.keyPem, cert: identity.certPem })).toString('latin1');
    expect(heard).toContain('not_a_member');
    expect(heard).not.toContain('hello');
    expect(heard).not.toContain(pool.folder);
  });
});

describe('another POTLUCK_HOME', () => {
  it.each([['status'], ['peers'], ['history'], ['cpu', '--program', 'def main(): return 1'], ['task', 'x'], ['cancel', 'x']])('is told that it is no member, exit status 3: %s', async (...args) => {
    const { status, stdout, stderr } = await pool.cli(args, { env: { POTLUCK_HOME: foreign } });
    expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
    expect(stderr).toMatch(/^error: .+\n {2}why: .+\n {2}fix: .+\n/m);
    const json = await pool.cli([...args, '--json'], { env: { POTLUCK_HOME: foreign } });
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'not_a_member' } });
  });

  it('has no peer in this pool', async () => {
    const stranger = pool.start(['peer', '--name', 'stranger', '--port', '0', '--tracker-port', String(pool.tracker.port)], { env: { POTLUCK_HOME: foreign } });
    await stranger.said('listens on');
    await stranger.said('trying again');
    expect((await (await pool.client()).peers()).map(({ peer }) => peer)).toEqual(['p0']);
    stranger.process.kill('SIGTERM');
    await stranger.ended;
  });
});

describe('keys', () => {
  it('are made once, for the owner only, and found by every command of the same user', async () => {
    const key = join(pool.folder, 'member.key');
    const before = readFileSync(key);
    expect(await pool.cli(['status'])).toMatchObject({ status: 0 });
    expect(readFileSync(key).equals(before)).toBe(true);
    for (const name of ['member.key', 'pool.key']) expect(statSync(join(pool.folder, name)).mode & 0o777).toBe(0o600);
    expect(statSync(pool.folder).mode & 0o777).toBe(0o700);
  });
});
