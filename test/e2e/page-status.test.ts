/** A peer's page: status for this machine only, without anything of a task's content. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPool } from './pool.ts';
import { freePorts } from './processes.ts';
import { until } from './until.ts';

let pool: TestPool;
let port: number;
beforeAll(async () => {
  [port] = (await freePorts(1)) as [number];
  pool = await TestPool.start({ peers: 1, slots: 1, peerArgs: ['--web-ui', '--web-port', String(port)] });
});
afterAll(() => pool.stop());

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** fetch sets Host by itself; here it is what the test says. */
function get(path: string, host = `127.0.0.1:${port}`, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers: { Host: host } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
    });
    asked.on('error', reject);
    asked.end();
  });
}

describe('on loopback', () => {
  it('/ is a page and /api/status the same as JSON', async () => {
    const page = await get('/');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    expect(page.body).toContain('<h1>p0</h1>');
    const { status, headers, body } = await get('/api/status');
    expect(status).toBe(200);
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(JSON.parse(body)).toMatchObject({ peer: 'p0', slots: 1, running: 0, tracker: { connected: true }, peers: [{ peer: 'p0', state: 'up' }] });
    expect((await get('/', `localhost:${port}`)).status).toBe(200);
  });

  it('answers no other path and no other method', async () => {
    expect((await get('/nothing')).status).toBe(404);
    expect((await get('/api/status', undefined, 'POST')).status).toBe(404);
  });

  it('sends nothing that a script of another site could read or frame', async () => {
    const { headers } = await get('/');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });
});

describe('another Host is refused, so that a name of somebody else that points here reads nothing', () => {
  it.each(['evil.example', 'evil.example:5000', '127.0.0.1', '127.0.0.1:1', 'localhost.evil.example', '127.0.0.1.evil.example', '[::1]'])('%s', async (host) => {
    for (const path of ['/', '/api/status', '/nothing']) {
      const { status, body } = await get(path, host);
      expect(status).toBe(421);
      expect(body).not.toContain('p0');
    }
  });
});

it('shows no program, no argument, no result, no output and no error of a task', async () => {
  const client = await pool.client();
  const secret = 'the-secret-word';
  const program = `import time\ndef main(word, seconds):\n  print(word)\n  time.sleep(seconds)\n  return word\n# ${secret}`;
  await client.submit({ language: 'python', program, args: [secret, 0] });
  await client.submit({ language: 'python', program: `def main(): raise ValueError("${secret}")` }).outcome();
  const running = client.submit({ language: 'python', program, args: [secret, 30], id: secret });
  const waiting = client.submit({ language: 'python', program, args: [secret, 0] });
  await until('one runs and one waits', async () => {
    const { running: count, queue_size: queued } = await client.status();
    return count === 1 && queued === 1;
  });
  const shown = `${(await get('/')).body}${(await get('/api/status')).body}`;
  await Promise.all([running.cancel(), waiting.cancel()]);
  expect(shown).toContain('p0');
  expect(shown).not.toContain(secret);
});

it('--web-host 0.0.0.0 is refused with the reason, and the peer does not start', async () => {
  const { status, stdout, stderr } = await pool.cli(['peer', '--port', '0', '--name', 'open', '--web-ui', '--web-host', '0.0.0.0']);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toMatch(/^error: the page cannot listen on 0\.0\.0\.0\n {2}why: .*login.*\n {2}fix: .+/);
});

it('a page that was open before its peer is ready is answered, and the peer starts', async () => {
  const peer = pool.peers[0]!;
  await peer.kill('SIGKILL');
  peer.spawn();
  const statuses = new Set<number>();
  await until('the page is there again', async () => {
    const { status } = await get('/');
    statuses.add(status);
    return status === 200;
  });
  await peer.ready();
  expect([...statuses].filter((status) => ![200, 503].includes(status))).toEqual([]);
});
