/** A page that others on the network can reach: HTTPS, and plain HTTP on the same port led over to it. */
import { X509Certificate } from 'node:crypto';
import { get as getPlain } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { TestPool } from './pool.ts';
import { freePorts } from './processes.ts';

let pool: TestPool;
let port: number;
beforeAll(async () => {
  [port] = (await freePorts(1)) as [number];
  pool = await TestPool.start({ peers: 1, slots: 1, peerArgs: ['--web-ui', '--web-host', '0.0.0.0', '--web-name', 'potluck.example', '--web-port', String(port)] });
});
afterAll(() => pool.stop());

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

function ask(path: string, headers: Record<string, string> = {}, method = 'GET', body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, rejectUnauthorized: false, agent: false, headers: { Host: `127.0.0.1:${port}`, ...headers } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const plain = (host: string): Promise<{ status: number; location: string | undefined }> =>
  new Promise((resolve, reject) => {
    getPlain({ host: '127.0.0.1', port, path: '/x?y', headers: { Host: host }, agent: false }, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode ?? 0, location: answer.headers.location });
    }).on('error', reject);
  });

const certificate = (): Promise<X509Certificate> =>
  new Promise((resolve, reject) => {
    const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, servername: 'potluck.example' }, () => {
      resolve(socket.getPeerX509Certificate()!);
      socket.destroy();
    });
    socket.on('error', reject);
  });

it('shows a P-256 certificate with its names, whose fingerprint was printed, the same after a restart', async () => {
  const cert = await certificate();
  expect(cert.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: 'prime256v1' });
  expect([cert.checkHost('potluck.example'), cert.checkHost('localhost'), cert.checkIP('127.0.0.1')]).toEqual(['potluck.example', 'localhost', '127.0.0.1']);
  expect(cert.verify(cert.publicKey)).toBe(true);
  expect(pool.logs()).toContain(cert.fingerprint256);
  await pool.peers[0]!.restart();
  expect((await certificate()).fingerprint256).toBe(cert.fingerprint256);
});

it('a login over it gives a cookie that plain HTTP never carries', async () => {
  const { link } = JSON.parse((await pool.cli(['page', '--json'])).stdout) as { link: string };
  expect(link).toMatch(/^https:/);
  const origin = `https://127.0.0.1:${port}`;
  const { status, headers, body } = await ask('/login', { Origin: origin }, 'POST', JSON.stringify({ code: link.split('#k=')[1] }));
  expect(status).toBe(200);
  expect(String(headers['set-cookie'])).toMatch(new RegExp(`^__Host-potluck-${port}=[\\w-]{43}; Path=/; Max-Age=\\d+; HttpOnly; SameSite=Strict; Secure$`));
  const session = { Cookie: String(headers['set-cookie']).split(';')[0]!, 'X-Potluck-Token': (JSON.parse(body) as { token: string }).token };
  expect((await ask('/api/v1/status', session)).status).toBe(200);
  expect((await ask('/api/v1/status', { ...session, Origin: `http://127.0.0.1:${port}` })).status).toBe(403);
});

it('plain HTTP is led over to it, under names of ours only', async () => {
  expect(await plain(`127.0.0.1:${port}`)).toEqual({ status: 308, location: `https://127.0.0.1:${port}/` });
  expect(await plain(`potluck.example:${port}`)).toEqual({ status: 308, location: `https://potluck.example:${port}/` });
  expect(await plain(`evil.example:${port}`)).toEqual({ status: 421, location: undefined });
  expect((await ask('/', { Host: `potluck.example:${port}` })).status).toBe(200);
  expect((await ask('/', { Host: `evil.example:${port}` })).status).toBe(421);
});

it('who says nothing, or not enough, is cut off', async () => {
  for (const first of ['', '\u0016', 'GET / HTTP/1.1\r\n']) {
    const socket = connect(port, '127.0.0.1');
    const startedAt = performance.now();
    if (first !== '') socket.write(first, 'latin1');
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect([first, performance.now() - startedAt < limits.pageHeadersMs + 4_000]).toEqual([first, true]);
  }
});
