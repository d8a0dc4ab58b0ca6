/**
 * A peer's page: the HTTP server, its bounds, and what every request passes before it reaches a route.
 *
 * Neighbours: guard.ts decides who may speak at all, logins.ts who is logged in, routes.ts what there is to
 * ask, assets.ts the built files of the page itself.
 *
 * Invariants
 * 1. Guard first, then login, then the route. Without a login nothing under /api is read, changed or streamed.
 * 2. A browser's request counts with its cookie and its header token together: cookies are shared between the
 *    ports of a machine, so a cookie alone proves nothing. Scripts send a token alone.
 * 3. Every answer carries the headers that keep other pages off, also one that tells an error.
 */
import { type Context, Hono } from 'hono';
import { causeText, PotluckError } from '../errors.ts';
import type { Assets } from './assets.ts';
import { Door, type DoorOptions } from './door.ts';
import { Feed } from './feed.ts';
import { type OwnAddress, refusalOf } from './guard.ts';
import { HomeClient } from './home-client.ts';
import type { Login, Logins } from './logins.ts';
import type { PageHome } from './page-home.ts';
import { carryOut, errorResponse, type Route } from './route.ts';
import { makeRoutes } from './routes.ts';

export interface PageOptions extends DoorOptions {
  /** The built files of the page. */
  assets: Assets;
  /** Hosts under which it may be reached besides loopback, asked again and again: a laptop moves. */
  hosts?: () => readonly string[];
}

const loopback = ['127.0.0.1', 'localhost', '[::1]'];
const bracketed = (host: string): string => (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host.toLowerCase());
/** The addresses of a machine are asked for no more often than this. */
const hostsMs = 5_000;

/** For each answer, whatever it is. Trusted types: no text becomes code in the page. */
const headers: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
};

interface Serving {
  home: PageHome;
  client: HomeClient;
  feed: Feed;
  logins: Logins;
}

export class Page {
  readonly #o: PageOptions;
  #door: Door | undefined;
  /** Absent while the peer starts. */
  #serving: Serving | undefined;
  #app: Hono | undefined;
  /** What there is under /api, and the login. */
  #routes: readonly Route[] = [];
  #names: { at: number; names: ReadonlySet<string> } = { at: -Infinity, names: new Set() };

  private constructor(options: PageOptions) {
    this.#o = options;
  }

  /** Throws PotluckError `port_in_use`, `address_unusable`. */
  static async listen(options: PageOptions): Promise<Page> {
    const page = new Page(options);
    page.#door = await Door.open(options, (request) => page.#answer(request), (request) => page.#leadOver(request));
    return page;
  }

  /** Where a person reaches it: for one that listens everywhere, by the first address that others can use. */
  get url(): string {
    const { host } = this.#o;
    const isAny = host === '0.0.0.0' || host === '::';
    const shown = isAny ? ((this.#o.hosts?.() ?? []).find((each) => !loopback.includes(bracketed(each))) ?? '127.0.0.1') : host;
    return `${this.#scheme}://${bracketed(shown)}:${this.#port}`;
  }

  /** Begins to answer; who asks before is told to come back. */
  serve(home: PageHome, logins: Logins): void {
    const client = new HomeClient(() => home.connect());
    const feed = new Feed(home);
    feed.start();
    this.#serving = { home, client, feed, logins };
    this.#app = this.#makeApp(this.#serving);
  }

  /** A link with a new code, for who runs this peer. */
  loginLink(): string | undefined {
    return this.#serving === undefined ? undefined : `${this.url}/#k=${this.#serving.logins.makeCode().secret}`;
  }

  /** For the test that tries every one of them. */
  get routes(): readonly Route[] {
    return this.#routes;
  }

  async close(): Promise<void> {
    this.#serving?.feed.stop();
    this.#serving?.client.close();
    await this.#door?.close();
  }

  // --- requests ----------------------------------------------------------------------------

  async #answer(request: Request): Promise<Response> {
    const answer = this.#refusal(request) ?? (this.#app === undefined ? starting() : await this.#app.fetch(request));
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
    if (!answer.headers.has('Cache-Control')) answer.headers.set('Cache-Control', 'no-store');
    return answer;
  }

  /** In plain where there is HTTPS: a browser keeps what stands behind #, so a login link works. */
  #leadOver(request: Request): Response {
    const host = request.headers.get('host') ?? '';
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const answer = this.#refusal(request) ?? (isRead ? new Response(null, { status: 308, headers: { Location: `https://${host}/` } }) : errorResponse(new PotluckError('foreign_page', 'this page speaks HTTPS', { fix: `use ${this.url}` }), 403));
    answer.headers.set('Cache-Control', 'no-store');
    return answer;
  }

  get #port(): number {
    return this.#door?.port ?? 0;
  }

  get #scheme(): 'http' | 'https' {
    return this.#o.tls === undefined ? 'http' : 'https';
  }

  get #own(): OwnAddress {
    if (performance.now() - this.#names.at > hostsMs) this.#names = { at: performance.now(), names: new Set([...loopback, ...(this.#o.hosts?.() ?? []).map(bracketed)]) };
    return { scheme: this.#scheme, port: this.#port, names: this.#names.names };
  }

  #refusal(request: Request): Response | undefined {
    const header = (name: string) => request.headers.get(name) ?? undefined;
    const refusal = refusalOf(
      {
        method: request.method,
        path: new URL(request.url).pathname,
        host: header('host'),
        origin: header('origin'),
        site: header('sec-fetch-site'),
        mode: header('sec-fetch-mode'),
        byToken: tokenOf(header('authorization')) !== undefined,
      },
      this.#own,
    );
    return refusal === undefined ? undefined : errorResponse(refusal.error, refusal.status);
  }

  #makeApp({ home, client, feed, logins }: Serving): Hono {
    const app = new Hono();
    this.#routes = makeRoutes({ home, client, feed, logins, cookie: (session) => ({ 'Set-Cookie': this.#cookie(session) }), holds: ({ c }) => this.#loginOf(c, logins) !== undefined });
    for (const each of this.#routes) {
      app.on(each.method, each.path, (c) => {
        const login = this.#loginOf(c, logins);
        if (each.login && login === undefined) throw new PotluckError('not_logged_in', 'this needs a login', { why: 'the request shows none, or one that has ended', fix: 'open the link that this prints: potluck page (for scripts: potluck page --token)' });
        return carryOut(each, c, login);
      });
    }
    app.get('*', (c) => this.#o.assets.answer(c.req.path, c.req.header('accept-encoding') ?? '') ?? notFound());
    app.notFound(() => notFound());
    app.onError((error) => errorResponse(error instanceof PotluckError ? error : new PotluckError('internal', 'the page failed', { why: causeText(error), fix: 'please report it' })));
    return app;
  }

  #loginOf(c: Context, logins: Logins): Login | undefined {
    const token = tokenOf(c.req.header('authorization'));
    if (token !== undefined) return logins.token(token);
    const cookie = cookieOf(c.req.header('cookie'), this.#cookieName);
    const header = c.req.header('x-potluck-token');
    return cookie === undefined || header === undefined ? undefined : logins.session(cookie, header);
  }

  /** Its own for each page of a machine, since all ports share their cookies. */
  get #cookieName(): string {
    return `${this.#scheme === 'https' ? '__Host-' : ''}potluck-${this.#port}`;
  }

  #cookie(session: { cookie: string; expires: number } | undefined): string {
    const seconds = session === undefined ? 0 : Math.max(0, Math.round((session.expires - Date.now()) / 1000));
    return `${this.#cookieName}=${session?.cookie ?? ''}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${this.#scheme === 'https' ? '; Secure' : ''}`;
  }
}

const tokenOf = (authorization: string | undefined): string | undefined => /^Bearer ([A-Za-z0-9_-]{1,100})$/i.exec(authorization ?? '')?.[1];

function cookieOf(header: string | undefined, wanted: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const at = pair.indexOf('=');
    if (pair.slice(0, at).trim() === wanted) return pair.slice(at + 1).trim();
  }
  return undefined;
}

const starting = (): Response => {
  const answer = errorResponse(new PotluckError('draining', 'this peer is starting', { fix: 'try again in a moment' }), 503);
  answer.headers.set('Retry-After', '1');
  return answer;
};

const notFound = (): Response => errorResponse(new PotluckError('no_route', 'there is nothing at this address', { fix: 'see /api/v1/openapi.json' }));
