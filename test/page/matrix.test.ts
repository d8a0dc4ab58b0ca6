/** Nobody else's page may touch it: every route, from the router itself, with every method and every mix of what a request shows. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Route } from '../../src/page/route.ts';
import { type Asked, TestPage } from './server.ts';

let page: TestPage;
/** The samples for the plots ask the home by themselves, and a submission says afterwards that it is done with. */
const background = new Set(['status', 'peers', 'counts', 'failures', 'unwatch']);
beforeAll(async () => {
  page = await TestPage.start();
});
afterAll(() => page.stop());

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
const hosts = ['good', 'evil', 'absent', 'other port'] as const;
const origins = ['good', 'evil', 'null', 'absent'] as const;
const logins = ['cookie and token', 'cookie alone', 'token alone', 'none', 'wrong cookie', 'wrong token', 'script', 'wrong script'] as const;
const reads = (method: string) => method === 'GET' || method === 'HEAD';

const bodies: Readonly<Record<string, string>> = {
  '/api/v1/tasks': '{"program":"def main(): pass"}',
  '/api/v1/bulk/cancel': '{"filter":{},"as_of":1,"count":1}',
  '/api/v1/bulk/again': '{"filter":{},"as_of":1,"count":1}',
};

function headersOf(host: string, origin: string, login: string, session: Record<string, string>, token: string): Record<string, string> {
  const { Cookie: cookie, 'X-Potluck-Token': header } = session;
  return {
    Host: { good: `127.0.0.1:${page.port}`, evil: `evil.example:${page.port}`, absent: '', 'other port': `127.0.0.1:${page.port + 1}` }[host]!,
    Origin: { good: page.origin, evil: 'http://evil.example', null: 'null', absent: '' }[origin]!,
    ...(['cookie and token', 'cookie alone', 'wrong token'].includes(login) ? { Cookie: cookie! } : {}),
    ...(['cookie and token', 'token alone', 'wrong cookie'].includes(login) ? { 'X-Potluck-Token': header! } : {}),
    ...(login === 'wrong cookie' ? { Cookie: `${cookie!.slice(0, -1)}_` } : {}),
    ...(login === 'wrong token' ? { 'X-Potluck-Token': `${header!.slice(0, -1)}_` } : {}),
    ...(login === 'script' ? { Authorization: `Bearer ${token}` } : {}),
    ...(login === 'wrong script' ? { Authorization: `Bearer ${token.slice(0, -1)}_` } : {}),
  };
}

const concrete = (path: string) => path.replace(':pid', '1').replace(':kind', 'session').replace(':id', 'some-id').replace(':name', 'somebody');

interface Row {
  asked: Asked;
  name: string;
  good: boolean;
  isLogin: boolean;
}

function rowsOf(path: string, routes: readonly Route[], session: Record<string, string>, token: string): Row[] {
  const rows: Row[] = [];
  for (const method of methods) {
    const route = routes.find((each) => each.path === path && (each.method === method || (each.method === 'GET' && method === 'HEAD')));
    for (const host of hosts) {
      for (const origin of origins) {
        for (const login of logins) {
          const fromUs = host === 'good' && (origin === 'good' || (origin === 'absent' && (reads(method) || login === 'script' || login === 'wrong script')));
          const isIn = route !== undefined && (!route.login || login === 'cookie and token' || login === 'script');
          const body = method === 'POST' || method === 'PUT' || method === 'PATCH' ? (bodies[path] ?? '{}') : undefined;
          const asked: Asked = { method, path: concrete(path), headers: headersOf(host, origin, login, session, token), ...(body === undefined ? {} : { body }) };
          rows.push({ asked, name: `${method} ${path} host=${host} origin=${origin} ${login}`, good: fromUs && isIn, isLogin: path === '/login' });
        }
      }
    }
  }
  return rows;
}

const touches = () => page.touched.filter((name) => !background.has(name));
const atOnce = 16;

it('of every route × method × Host × Origin × login only the good rows read or change anything', { timeout: 240_000 }, async () => {
  const routes = [...page.page.routes, { method: 'GET', path: '/', login: false } as Route];
  const paths = [...new Set(routes.map(({ path }) => path))];
  const wrong: string[] = [];
  let tried = 0;
  const check = async ({ asked, name, good, isLogin }: Row) => {
    const { status, headers, body } = await page.ask(asked);
    tried += 1;
    // A login without a code is refused even where it comes from the page itself.
    if (good !== (status < 400) && !(good && isLogin)) wrong.push(`${name}: ${status} ${body}`);
    if (headers['access-control-allow-origin'] !== undefined) wrong.push(`${name}: sent a CORS header`);
    if (asked.headers?.Host !== '' && !String(headers['content-security-policy']).includes("default-src 'none'")) wrong.push(`${name}: without a policy`);
  };
  for (const path of paths) {
    page.logins.endAll();
    const session = page.session();
    const token = page.logins.makeToken('t', 600_000).secret;
    const rows = rowsOf(path, routes, session, token);
    page.touched.length = 0;
    const bad = rows.filter(({ good }) => !good).values();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const row of bad) await check(row);
      }),
    );
    if (touches().length > 0) wrong.push(`${path}: bad rows asked the home ${touches().join(', ')}`);
    if (page.logins.list().length !== 2) wrong.push(`${path}: bad rows changed the logins`);
    for (const row of rows.filter(({ good }) => good)) {
      // Some of the good rows end their own login.
      if (page.logins.list().length < 2) Object.assign(row.asked, rowsOf(path, routes, page.session(), page.logins.makeToken('t', 600_000).secret).find(({ name }) => name === row.name)?.asked);
      await check(row);
    }
  }
  expect(wrong).toEqual([]);
  expect(tried).toBe(paths.length * methods.length * hosts.length * origins.length * logins.length);
});

it.each(['same-site', 'cross-site'])('a page of a %s address may lead a person to the shell, and nowhere else', async (site) => {
  const from = { 'Sec-Fetch-Site': site };
  expect((await page.ask({ path: '/', headers: { ...from, 'Sec-Fetch-Mode': 'navigate' } })).status).toBe(200);
  expect((await page.ask({ path: '/', headers: { ...from, 'Sec-Fetch-Mode': 'no-cors' } })).status).toBe(403);
  expect((await page.ask({ path: '/api/v1/status', headers: { ...from, 'Sec-Fetch-Mode': 'navigate', ...page.session() } })).status).toBe(403);
});

it('the cookie of another page on this machine does not log in here', async () => {
  const { Cookie: cookie, 'X-Potluck-Token': header } = page.session();
  const other = cookie!.replace(`potluck-${page.port}`, `potluck-${page.port + 1}`);
  expect((await page.ask({ path: '/api/v1/status', headers: { Cookie: other, 'X-Potluck-Token': header! } })).status).toBe(401);
});
