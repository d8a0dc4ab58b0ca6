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
import { getRequestListener } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { causeText, PotluckError } from '../errors.ts';
import { nextFree } from '../lib/ports.ts';
import { limits } from '../limits.ts';
import type { Assets } from './assets.ts';
import { Feed } from './feed.ts';
import { type OwnAddress, refusalOf } from './guard.ts';
import { HomeClient } from './home-client.ts';
import type { Login, Logins } from './logins.ts';
import type { PageHome } from './page-home.ts';
import { carryOut, errorResponse, type Route } from './route.ts';
import { makeRoutes } from './routes.ts';

export interface PageOptions {
  host: string;
  port: number;
  portTyped: boolean;
  /** The built files of the page. */
  assets: Assets;
}

const portsTried = 50;
const loopback = new Set(['127.0.0.1', 'localhost', '::1', '[::1]']);

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
  readonly url: string;
  readonly #server: Server;
  readonly #own: OwnAddress;
  readonly #assets: Assets;
  /** Absent while the peer starts. */
  #serving: Serving | undefined;
  #app: Hono | undefined;
  /** What there is under /api, and the login. */
  #routes: readonly Route[] = [];

  private constructor(server: Server, { host, assets }: PageOptions) {
    this.#server = server;
    this.#assets = assets;
    this.#own = { scheme: 'http', port: (server.address() as AddressInfo).port, names: loopback };
    this.url = `http://${host.includes(':') ? `[${host}]` : host}:${this.#own.port}`;
  }

  /** Throws PotluckError `not_yet`, `port_in_use`, `address_unusable`. */
  static async listen(options: PageOptions): Promise<Page> {
    const { host, port, portTyped } = options;
    if (!loopback.has(host)) {
      throw new PotluckError('not_yet', `the page cannot listen on ${host}`, {
        why: 'it speaks plain HTTP, so it is for this machine only',
        fix: 'leave out --web-host, and from another machine use: ssh -L 5000:127.0.0.1:5000 THIS-MACHINE',
      });
    }
    const server = createServer({ maxHeaderSize: limits.pageHeaderBytesMax, headersTimeout: limits.pageHeadersMs, requestTimeout: limits.pageBodyMs, connectionsCheckingInterval: 1_000 });
    server.maxConnections = limits.pageConnectionsMax;
    for (let at = port; ; at += 1) {
      const error = await tryListen(server, host, at);
      if (error === undefined) break;
      if (error.code !== 'EADDRINUSE') throw new PotluckError('address_unusable', `the page cannot listen on ${host}:${at}`, { why: error.message });
      if (portTyped || at >= port + portsTried) throw await pagePortTaken(host, at);
    }
    const page = new Page(server, options);
    server.on('request', getRequestListener((request) => page.#answer(request), { overrideGlobalObjects: false, hostname: '127.0.0.1' }));
    return page;
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
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  // --- requests ----------------------------------------------------------------------------

  async #answer(request: Request): Promise<Response> {
    const answer = this.#refusal(request) ?? (this.#app === undefined ? starting() : await this.#app.fetch(request));
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value);
    if (!answer.headers.has('Cache-Control')) answer.headers.set('Cache-Control', 'no-store');
    return answer;
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
    app.get('*', (c) => this.#assets.answer(c.req.path, c.req.header('accept-encoding') ?? '') ?? notFound());
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
    return `potluck-${this.#own.port}`;
  }

  #cookie(session: { cookie: string; expires: number } | undefined): string {
    const seconds = session === undefined ? 0 : Math.max(0, Math.round((session.expires - Date.now()) / 1000));
    return `${this.#cookieName}=${session?.cookie ?? ''}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict`;
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

function tryListen(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => {
      server.off('listening', done);
      resolve(error);
    };
    const done = () => {
      server.off('error', failed);
      resolve(undefined);
    };
    server.once('error', failed);
    server.once('listening', done);
    server.listen({ host, port, exclusive: true });
  });
}

async function pagePortTaken(host: string, port: number): Promise<PotluckError> {
  const airplay = process.platform === 'darwin' && port === 5000 ? ' (on macOS the AirPlay receiver keeps 5000)' : '';
  const free = await nextFree(host, port);
  return new PotluckError('port_in_use', `port ${port} of ${host} is taken`, {
    why: `another program listens there${airplay}`,
    fix: free === undefined ? 'use another port with --web-port' : `use --web-port ${free}, which is free, or leave it out and the next free one is taken`,
  });
}
