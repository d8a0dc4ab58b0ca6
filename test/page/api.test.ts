/** What the API takes and gives. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type Answer, TestPage } from './server.ts';

let page: TestPage;
let headers: Record<string, string>;
const submitted: string[] = [];
beforeAll(async () => {
  page = await TestPage.start();
  headers = { ...page.session(), Origin: page.origin };
});
afterAll(() => page.stop());

const get = (path: string, more: Record<string, string> = {}): Promise<Answer> => page.ask({ path, headers: { ...headers, ...more } });
const post = (path: string, body: string): Promise<Answer> => page.ask({ method: 'POST', path, headers, body });

describe('the description', () => {
  it('names every route, and no other', async () => {
    const { paths } = JSON.parse((await get('/api/v1/openapi.json')).body) as { paths: Record<string, Record<string, unknown>> };
    const described = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    const routed = page.page.routes.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(described.toSorted()).toEqual(routed.toSorted());
  });

  it('has a schema or a type for every answer, and one for every body', async () => {
    const text = (await get('/api/v1/openapi.json')).body;
    const { paths } = JSON.parse(text) as { paths: Record<string, Record<string, { requestBody?: unknown; responses: Record<string, { content: Record<string, unknown> }> }>> };
    for (const methods of Object.values(paths)) {
      for (const [method, { requestBody, responses }] of Object.entries(methods)) {
        expect(Object.keys(responses['200']!.content)).toHaveLength(1);
        expect(requestBody === undefined).toBe(method !== 'post');
      }
    }
  });
});

describe('a submission', () => {
  it('passes its arguments on digit by digit', async () => {
    const seen: Uint8Array[] = [];
    const { connectInMemory } = await import('../../src/wire/index.ts');
    const other = await TestPage.start({
      connect: () => {
        const [ours, theirs] = connectInMemory('k');
        theirs.onMessage = (message) => {
          if (message.kind !== 'submit') return;
          seen.push(message.args as Uint8Array, message.kwargs as Uint8Array);
          theirs.send({ kind: 'accepted', ids: [message.id] });
        };
        return ours;
      },
    });
    const answer = await other.ask({ method: 'POST', path: '/api/v1/tasks', headers: { ...other.session(), Origin: other.origin }, body: '{"args": [3544790567247868102, 1.0],"program":"x","kwargs":{"a": 1e2}}' });
    await other.stop();
    expect(answer.status).toBe(200);
    expect(seen.map((bytes) => Buffer.from(bytes).toString())).toEqual(['[3544790567247868102, 1.0]', '{"a": 1e2}']);
  });

  it.each([
    ['not JSON', '{"program":', 'bad_json'],
    ['an unknown member', '{"program":"x","argz":[]}', 'bad_request'],
    ['arguments that are no list', '{"program":"x","args":{}}', 'bad_request'],
    ['no program', '{}', 'bad_request'],
    ['a program that is too large', JSON.stringify({ program: 'x'.repeat(limits.programBytesMax + 1) }), 'program_too_large'],
  ])('%s is one clear error, and the home hears nothing', async (_what, body, code) => {
    page.touched.length = 0;
    const answer = await post('/api/v1/tasks', body);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code, hint: expect.any(String) as string } });
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(page.touched.filter((name) => name === 'submit')).toEqual(submitted);
  });

  it('a query that is not known is an error, not ignored', async () => {
    expect(JSON.parse((await get('/api/v1/tasks?stat=failed')).body)).toMatchObject({ error: { code: 'bad_request' } });
    expect(JSON.parse((await get('/api/v1/status?x=1')).body)).toMatchObject({ error: { code: 'bad_request' } });
    expect((await get('/api/v1/tasks?state=failed&state=expired&limit=5')).status).toBe(200);
  });
});

describe('bounds', () => {
  it('a body that says that it is too large is refused before it comes', async () => {
    const answer = await page.ask({ method: 'POST', path: '/api/v1/logout', headers: { ...page.session(), Origin: page.origin }, body: `{"x":"${'y'.repeat(limits.pageBodyBytesMax)}"}` });
    expect(answer.status).toBe(413);
  });

  it('a request line with too much is refused', async () => {
    await expect(page.ask({ path: `/${'x'.repeat(limits.pageHeaderBytesMax)}` })).resolves.toMatchObject({ status: 431 });
  });

  it('who does not finish the headers is cut off', async () => {
    const socket = connect(page.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
    const startedAt = performance.now();
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(performance.now() - startedAt).toBeLessThan(limits.pageHeadersMs + 3_000);
  });

  it('streams are counted, and those that ended are not', async () => {
    for (let at = 0; at <= limits.pageStreamsMax; at += 1) expect((await page.ask({ method: 'HEAD', path: '/api/v1/events', headers })).status).toBe(200);
    const open: AbortController[] = [];
    const stream = async () => {
      const abort = new AbortController();
      const answer = await fetch(`${page.origin}/api/v1/events`, { headers: page.session(), signal: abort.signal });
      open.push(abort);
      return answer;
    };
    for (let at = 0; at < limits.pageStreamsMax; at += 1) expect((await stream()).status).toBe(200);
    expect((await stream()).status).toBe(503);
    for (const abort of open) abort.abort();
    await expect.poll(async () => (await stream()).status, { timeout: 5_000 }).toBe(200);
    for (const abort of open) abort.abort();
  });
});

describe('a login', () => {
  it('works once, and its link is told apart from one that never was only by the person who has it', async () => {
    const { secret } = page.logins.makeCode();
    const first = await page.ask({ method: 'POST', path: '/login', headers: { Origin: page.origin }, body: JSON.stringify({ code: secret }) });
    expect(first.status).toBe(200);
    const cookie = String(first.headers['set-cookie']);
    expect(cookie).toMatch(/^potluck-\d+=[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/);
    const { token } = JSON.parse(first.body) as { token: string };
    const session = { Cookie: cookie.split(';')[0]!, 'X-Potluck-Token': token };
    expect((await page.ask({ path: '/api/v1/status', headers: session })).status).toBe(200);
    const again = await page.ask({ method: 'POST', path: '/login', headers: { Origin: page.origin }, body: JSON.stringify({ code: secret }) });
    expect([again.status, again.body]).toEqual([401, (await page.ask({ method: 'POST', path: '/login', headers: { Origin: page.origin }, body: '{"code":"never"}' })).body]);
    expect((await page.ask({ method: 'POST', path: '/api/v1/logout', headers: { ...session, Origin: page.origin }, body: '{}' })).status).toBe(200);
    expect((await page.ask({ path: '/api/v1/status', headers: session })).status).toBe(401);
  });

  it('by a token of a script ends with its revocation, also in a stream that is open', async () => {
    const { secret, id } = page.logins.makeToken('t', 60_000);
    const answer = await fetch(`${page.origin}/api/v1/events`, { headers: { Authorization: `Bearer ${secret}` } });
    expect(answer.status).toBe(200);
    expect((await page.ask({ method: 'DELETE', path: `/api/v1/logins/token/${id}`, headers })).status).toBe(200);
    const text = await answer.text();
    expect(text).toContain('event: reset');
    expect(text.trimEnd().endsWith('event: logged_out\ndata: {}')).toBe(true);
  });
});

it('/ is a shell without data, and is kept by no cache', async () => {
  const { status, headers: got, body } = await page.ask({ path: '/' });
  expect([status, body]).toEqual([200, '<!doctype html><title>shell</title>']);
  expect(got).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin', 'referrer-policy': 'no-referrer' });
  expect(got['content-security-policy']).toContain("frame-ancestors 'none'");
});
