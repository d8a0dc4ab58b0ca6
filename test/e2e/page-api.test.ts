/** A real peer's page, as a script uses it: log in, submit, watch, cancel. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiOutput, ApiOverview, ApiTask, ApiTaskList } from '../../src/wire/api.ts';
import { apiOverview, apiPeer, apiProcess, apiTask, apiTaskList } from '../../src/wire/api.ts';
import * as z from 'zod';
import { TestPool } from './pool.ts';
import { freePorts } from './processes.ts';
import { until } from './until.ts';

let pool: TestPool;
let port: number;
let token: string;
beforeAll(async () => {
  [port] = (await freePorts(1)) as [number];
  pool = await TestPool.start({ peers: 1, slots: 1, peerArgs: ['--web-ui', '--web-port', String(port)] });
  token = (await pool.cli(['page', '--token', 'a test', '--ttl', '1h'])).stdout.trim();
});
afterAll(() => pool.stop());

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

function ask(path: string, { method = 'GET', body, headers = {} }: { method?: string; body?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers: { Host: `127.0.0.1:${port}`, Authorization: `Bearer ${token}`, ...headers } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const get = async <T>(path: string): Promise<T> => JSON.parse((await ask(path)).body) as T;
const submit = async (body: string): Promise<string> => {
  const { status, body: text } = await ask('/api/v1/tasks', { method: 'POST', body });
  expect([status, text]).toEqual([200, expect.anything()]);
  return (JSON.parse(text) as { id: string }).id;
};
const ended = (id: string): Promise<ApiTask> =>
  until(`${id} has ended`, async () => {
    const task = await get<ApiTask>(`/api/v1/tasks/${id}`);
    return task.ended_at === undefined ? undefined : task;
  });

describe('who may', () => {
  it('without a login only the shell is there', async () => {
    expect((await ask('/', { headers: { Authorization: '' } })).body).not.toContain('p0');
    for (const path of ['/api/v1/status', '/api/v1/events', '/api/v1/tasks']) {
      const { status, body } = await ask(path, { headers: { Authorization: '' } });
      expect([status, (JSON.parse(body) as { error: { code: string } }).error.code]).toEqual([401, 'not_logged_in']);
    }
  });

  it('potluck page prints a link that works once; --list and --revoke show and end what came of it', async () => {
    const { stdout, status } = await pool.cli(['page', '--json']);
    expect(status).toBe(0);
    const { link } = JSON.parse(stdout) as { link: string };
    expect(link).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${port}/#k=[\\w-]{43}$`));
    const login = () => ask('/login', { method: 'POST', body: JSON.stringify({ code: link.split('#k=')[1] }), headers: { Authorization: '', Origin: `http://127.0.0.1:${port}` } });
    const first = await login();
    expect([first.status, (await login()).status]).toEqual([200, 401]);
    const session = { Authorization: '', Cookie: String(first.headers['set-cookie']).split(';')[0]!, 'X-Potluck-Token': (JSON.parse(first.body) as { token: string }).token };
    expect((await ask('/api/v1/status', { headers: session })).status).toBe(200);
    const rows = JSON.parse((await pool.cli(['page', '--list', '--json'])).stdout) as { id: string; kind: string }[];
    expect(rows.map(({ kind }) => kind).toSorted()).toEqual(['session', 'token']);
    const { id } = rows.find(({ kind }) => kind === 'session')!;
    expect((await pool.cli(['page', '--revoke', id])).status).toBe(0);
    await until('the session has ended', async () => (await ask('/api/v1/status', { headers: session })).status === 401);
    expect((await pool.cli(['page', '--revoke', id])).status).toBe(6);
  });

  it('no code and no token is in a log or in a command line of the peer', async () => {
    expect(pool.logs()).toContain('potluck page --port');
    expect(pool.logs()).not.toMatch(/#k=/);
  });
});

describe('a task', () => {
  it('is submitted, and its result is there as the bytes that it is', async () => {
    const id = await submit('{"program":"def main(x): return x * 10 ** 20","args":[3544790567247868102]}');
    const task = apiTask.parse(await ended(id));
    expect(task).toMatchObject({ state: 'done', peer: 'p0', attempt: 1, function: 'main', own: true, args_bytes: 21, result_bytes: 39 });
    expect(task).not.toHaveProperty('error');
    const { body, headers } = await ask(`/api/v1/tasks/${id}/result`);
    expect(body).toBe('354479056724786810200000000000000000000');
    expect(headers['content-disposition']).toBe(`attachment; filename="${id}.result.json"`);
    expect((await ask(`/api/v1/tasks/${id}/args`)).body).toBe('[3544790567247868102]');
    expect((await ask(`/api/v1/tasks/${id}/program`)).body).toBe('def main(x): return x * 10 ** 20');
  });

  it('that runs shows what it printed so far, and is cancelled; one that waits says why', async () => {
    const id = await submit('{"program":"import time\\ndef main():\\n  print(\'hello\', flush=True)\\n  time.sleep(60)"}');
    const waiting = await submit('{"program":"def main(): pass"}');
    const output = await until('it printed', async () => {
      const found = await get<ApiOutput>(`/api/v1/tasks/${id}/output`);
      return found.streams.stdout!.size > 0 ? found : undefined;
    });
    expect(Buffer.from(output.streams.stdout!.pieces[0]!.base64, 'base64').toString()).toBe('hello\n');
    expect((await get<ApiOutput>(`/api/v1/tasks/${id}/output?stdout_from=6`)).streams.stdout!.pieces).toEqual([]);
    expect(apiTask.parse(await get(`/api/v1/tasks/${waiting}`)).waiting).toMatchObject({ ahead: 0, fix: null, peers: [{ peer: 'p0', verdict: 'busy' }] });
    const list = apiTaskList.parse(await get<ApiTaskList>('/api/v1/tasks?state=open'));
    expect(list).toMatchObject({ total: 2, rows: [{ id: waiting, state: 'queued' }, { id, state: 'running' }] });
    expect(z.array(apiProcess).parse(await get('/api/v1/processes')).find((row) => row.task === id)).toMatchObject({ state: 'busy', submitter: 'own', function: 'main' });
    const cancelled = await ask(`/api/v1/tasks/${id}/cancel`, { method: 'POST', body: '{}' });
    expect(JSON.parse(cancelled.body)).toEqual({ id, state: 'cancelled' });
    expect((await ended(waiting)).state).toBe('done');
    expect((await ask(`/api/v1/tasks/${id}/stdout`)).body).toBe('hello\n');
  });

  it('that failed is found by its error, grouped, and run again', async () => {
    const program = 'def main(n): raise ValueError("no luck with 100% of _" + str(n))';
    const id = await submit(JSON.stringify({ program, args: [7] }));
    await ended(id);
    const found = await get<ApiTaskList>(`/api/v1/tasks?text=${encodeURIComponent('100% of _7')}`);
    expect(found.rows.map((row) => row.id)).toEqual([id]);
    expect((await get<ApiTaskList>('/api/v1/tasks?text=100X')).total).toBe(0);
    const { failures } = apiOverview.parse(await get<ApiOverview>('/api/v1/overview'));
    expect(failures).toMatchObject([{ code: 'exception', type: 'ValueError', function: 'main', count: 1, last_id: id }]);
    const again = JSON.parse((await ask(`/api/v1/tasks/${id}/again`, { method: 'POST', body: '{}' })).body) as { id: string };
    expect((await ended(again.id)).error?.message).toContain('no luck');
    expect(again.id).not.toBe(id);
  });

  it('that is not there is said so', async () => {
    const { status, body } = await ask('/api/v1/tasks/nothing');
    expect([status, (JSON.parse(body) as { error: { code: string } }).error.code]).toEqual([404, 'unknown_task']);
    expect((await ask('/api/v1/tasks/nothing/cancel', { method: 'POST', body: '{}' })).status).toBe(404);
  });
});

describe('the list', () => {
  it('goes on where it stood while more comes, and cancels all that match', async () => {
    const slow = await submit('{"program":"import time\\ndef main(): time.sleep(60)"}');
    const ids: string[] = [];
    for (let at = 0; at < 6; at += 1) ids.unshift(await submit('{"program":"def many(): pass","function":"many"}'));
    const first = await get<ApiTaskList>('/api/v1/tasks?text=many&limit=3');
    expect(first.total).toBe(6);
    await submit('{"program":"def many(): pass","function":"many"}');
    const second = await get<ApiTaskList>(`/api/v1/tasks?text=many&limit=3&cursor=${first.next}`);
    expect([...first.rows, ...second.rows].map(({ id }) => id)).toEqual(ids);
    expect([second.newer, second.next]).toEqual([1, null]);
    const bulk = await ask('/api/v1/bulk/cancel', { method: 'POST', body: JSON.stringify({ filter: { text: 'many' }, as_of: first.as_of, count: first.total }) });
    expect(JSON.parse(bulk.body)).toMatchObject({ matched: 6, done: 6, failed: 0 });
    expect((await get<ApiTaskList>('/api/v1/tasks?text=many&state=cancelled')).total).toBe(6);
    await ask(`/api/v1/tasks/${slow}/cancel`, { method: 'POST', body: '{}' });
    await until('all have ended', async () => (await get<ApiTaskList>('/api/v1/tasks?state=open')).total === 0);
    const all = await get<ApiTaskList>('/api/v1/tasks?limit=1000');
    const parts: string[] = [];
    for (let offset = 0; offset < all.total; offset += 2) parts.push(...(await get<ApiTaskList>(`/api/v1/tasks?limit=2&offset=${offset}&as_of=${all.as_of}`)).rows.map(({ id }) => id));
    expect(parts).toEqual(all.rows.map(({ id }) => id));
  });
});

describe('the stream', () => {
  it('gathers what a burst does, and goes on after the last event that was seen', async () => {
    const open = async (lastId?: string) => {
      const abort = new AbortController();
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/events`, { headers: { Authorization: `Bearer ${token}`, ...(lastId === undefined ? {} : { 'Last-Event-ID': lastId }) }, signal: abort.signal });
      return { abort, events: eventsOf(answer.body!) };
    };
    const { accepted: before } = (await get<ApiOverview>('/api/v1/overview')).counts;
    const one = await open();
    const client = await pool.client();
    const started = performance.now();
    const tasks = Array.from({ length: 500 }, () => client.submit({ language: 'python', program: 'def main(): pass' }));
    await Promise.all(tasks);
    let told = 0;
    let lastId = '';
    for await (const { event, data, id } of one.events) {
      if (event !== 'counts') continue;
      told += 1;
      lastId = id;
      if ((data as { accepted: number }).accepted === before + 500 && (data as { queued: number }).queued === 0) break;
    }
    one.abort.abort();
    expect(told).toBeLessThan(3 + (performance.now() - started) / 200);
    const two = await open(lastId);
    const names: string[] = [];
    for await (const { event, id } of two.events) {
      names.push(event);
      expect(Number(id.split('-')[1])).toBeGreaterThan(Number(lastId.split('-')[1]));
      if (event === 'sample') break;
    }
    two.abort.abort();
    expect(names).not.toContain('reset');
  });
});

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<{ event: string; id: string; data: unknown }> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true });
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const fields = Object.fromEntries(text.slice(0, end).split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]));
      text = text.slice(end + 2);
      if (fields.event !== undefined) yield { event: fields.event, id: fields.id ?? '', data: JSON.parse(fields.data ?? 'null') as unknown };
    }
  }
}

it('the peers of the pool are told', async () => {
  expect(z.array(apiPeer).parse(await get('/api/v1/peers'))).toMatchObject([{ peer: 'p0', state: 'up', own: true, last_seen_at: null }]);
});

it('a page that was open before its peer is ready is answered, and the peer starts', async () => {
  const peer = pool.peers[0]!;
  await peer.kill('SIGKILL');
  peer.spawn();
  const statuses = new Set<number>();
  await until('the page is there again', async () => {
    const { status } = await ask('/api/v1/status');
    statuses.add(status);
    return status === 200;
  });
  await peer.ready();
  expect([...statuses].filter((status) => ![200, 503].includes(status))).toEqual([]);
});
