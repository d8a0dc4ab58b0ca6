/**
 * A peer's page, for now a plain one: status as HTML and /api/status, for this machine only.
 *
 * Invariants
 * 1. It listens on loopback only and answers only for a Host that names loopback (a name that somebody
 *    else's DNS points here is refused).
 * 2. It shows no program, no argument, no result.
 */
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PotluckError } from '../errors.ts';
import { nextFree } from '../lib/ports.ts';

export interface PageOptions {
  host: string;
  port: number;
  portTyped: boolean;
}

const portsTried = 50;
const loopback = new Set(['127.0.0.1', 'localhost', '::1', '[::1]']);

export class Page {
  readonly url: string;
  readonly #server: Server;
  readonly #port: number;
  /** Absent while the peer starts. */
  #status: (() => Record<string, unknown>) | undefined;

  private constructor(server: Server, app: Hono, host: string) {
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    this.#route(app);
    this.url = `http://${host.includes(':') ? `[${host}]` : host}:${this.#port}`;
  }

  /** Throws PotluckError `not_yet`, `port_in_use`, `address_unusable`. */
  static async listen({ host, port, portTyped }: PageOptions): Promise<Page> {
    if (!loopback.has(host)) {
      throw new PotluckError('not_yet', `the page cannot listen on ${host}`, {
        why: 'it has no login yet, so it is for this machine only',
        fix: 'leave out --web-host, and from another machine use: ssh -L 5000:127.0.0.1:5000 THIS-MACHINE',
      });
    }
    const app = new Hono();
    const server = createAdaptorServer({ fetch: app.fetch }) as Server;
    server.headersTimeout = 5_000;
    server.requestTimeout = 15_000;
    for (let at = port; ; at += 1) {
      const error = await tryListen(server, host, at);
      if (error === undefined) return new Page(server, app, host);
      if (error.code !== 'EADDRINUSE') throw new PotluckError('address_unusable', `the page cannot listen on ${host}:${at}`, { why: error.message });
      if (portTyped || at >= port + portsTried) throw await pagePortTaken(host, at);
    }
  }

  /** Begins to answer; who asks before is told to come back (a page that is open asks every two seconds). */
  serve(status: () => Record<string, unknown>): void {
    this.#status = status;
  }

  #route(app: Hono): void {
    app.use(async (c, next) => {
      const host = c.req.header('host') ?? '';
      const name = host.replace(/:\d+$/, '');
      if (!loopback.has(name) || host !== `${name}:${this.#port}`) return c.text('This page answers only to its own address on this machine.\n', 421);
      if (this.#status === undefined) return c.text('This peer is starting.\n', 503, { 'Retry-After': '1', Refresh: '1' });
      await next();
      c.header('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
      c.header('X-Content-Type-Options', 'nosniff');
      c.header('Cache-Control', 'no-store');
      c.header('Cross-Origin-Resource-Policy', 'same-origin');
    });
    app.get('/api/status', (c) => c.json(this.#shown()));
    app.get('/', (c) => c.html(statusPage(this.#shown())));
  }

  #shown(): Record<string, unknown> {
    return withoutContent(this.#status?.() ?? {});
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

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

const withoutContent = ({ tasks: _tasks, ...rest }: Record<string, unknown>): Record<string, unknown> => rest;

interface Row {
  peer: string;
  state: string;
  running: number;
  slots: number;
  cpu_load: number;
  queue_size: number;
}

const percent = (part: unknown): string => `${Math.round(Number(part) * 100)} %`;

function statusPage(status: Record<string, unknown>) {
  const peers = status.peers as Row[];
  const tracker = status.tracker as { host: string; port: number; connected: boolean };
  const busy = peers.reduce((sum, { running }) => sum + running, 0);
  const slots = peers.reduce((sum, row) => sum + row.slots, 0);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <meta http-equiv="refresh" content="2" />
        <title>${String(status.peer)} · potluck</title>
        <style>
          :root { color-scheme: light dark; --bg: #faf9f6; --ink: #1c1e21; --muted: #5a5f66; --line: #d9d7d1; }
          @media (prefers-color-scheme: dark) { :root { --bg: #14161a; --ink: #e7e6e2; --muted: #a2a7ae; --line: #33373d; } }
          body { background: var(--bg); color: var(--ink); font: 14px/20px system-ui, sans-serif; margin: 16px; max-width: 720px; }
          table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
          th, td { border-bottom: 1px solid var(--line); height: 28px; padding: 0 8px 0 0; text-align: left; font-weight: 400; }
          th { color: var(--muted); }
          h1 { font-size: 16px; font-weight: 600; }
        </style>
      </head>
      <body>
        <h1>${String(status.peer)}</h1>
        <p>
          ${peers.length} peers, ${busy} of ${slots} slots busy, ${String(status.queue_size)} waiting here. CPU ${percent(status.cpu_load)}, load
          ${percent(status.load)}, isolation level ${String(status.isolation)}. Tracker ${tracker.host}:${tracker.port}
          ${tracker.connected ? 'connected' : 'away'}.
        </p>
        <table>
          <thead>
            <tr><th scope="col">Peer</th><th scope="col">State</th><th scope="col">Running</th><th scope="col">CPU</th><th scope="col">Waiting</th></tr>
          </thead>
          <tbody>
            ${peers.map((row) => html`<tr><td>${row.peer}</td><td>${row.state}</td><td>${row.running} of ${row.slots}</td><td>${percent(row.cpu_load)}</td><td>${row.queue_size}</td></tr>`)}
          </tbody>
        </table>
      </body>
    </html>`;
}
