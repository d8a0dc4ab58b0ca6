/** A page in this process, before a home that notes what is asked of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Assets } from '../../src/page/assets.ts';
import { Logins } from '../../src/page/logins.ts';
import { Page } from '../../src/page/page.ts';
import type { PageHome } from '../../src/page/page-home.ts';
import { connectInMemory } from '../../src/wire/index.ts';

export interface Asked {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

const shell = { bytes: new Uint8Array(Buffer.from('<!doctype html><title>shell</title>')), gzip: new Uint8Array(), type: 'text/html; charset=utf-8', hashed: false };

export class TestPage {
  readonly page: Page;
  readonly logins: Logins;
  /** What was asked of the home, by the names of its methods; also by messages on its link. */
  readonly touched: string[];
  readonly port: number;
  readonly #folder: string;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(page: Page, logins: Logins, touched: string[], folder: string) {
    this.page = page;
    this.logins = logins;
    this.touched = touched;
    this.port = Number(new URL(page.url).port);
    this.#folder = folder;
  }

  static async start(more: Partial<PageHome> = {}): Promise<TestPage> {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-page-test-'));
    const logins = new Logins(join(folder, 'page'));
    const touched: string[] = [];
    const page = await Page.listen({ host: '127.0.0.1', port: 0, portTyped: true, assets: new Assets(new Map([['/', shell]])) });
    page.serve(stubHome(touched, more), logins);
    return new TestPage(page, logins, touched, folder);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.page.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The headers of a browser that is logged in. */
  session(): Record<string, string> {
    const { cookie, header } = this.logins.login(this.logins.makeCode().secret, 'a test')!;
    return { Cookie: `potluck-${this.port}=${cookie}`, 'X-Potluck-Token': header };
  }

  /** Every header is what the test says, also Host; one that is '' is left out. Of a stream, the first piece. */
  ask({ method = 'GET', path, headers = {}, body }: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const all = { Host: `127.0.0.1:${this.port}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) }), ...headers };
      const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
      const asked = request({ host: '127.0.0.1', port: this.port, path, method, headers: given, setHost: false, agent: this.#agent }, (answer) => {
        let text = '';
        const done = () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text });
        answer.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          if (answer.headers['content-type'] === 'text/event-stream') {
            done();
            asked.destroy();
          }
        });
        answer.on('end', done);
        answer.on('error', done);
      });
      asked.on('error', reject);
      asked.end(body);
    });
  }
}

function stubHome(touched: string[], more: Partial<PageHome>): PageHome {
  const status = { peer: 'p0', pool: '', version: '0', cpu_load: 0, load: 0, slots: 1, running: 0, queue_size: 0, tracker: { host: 'h', port: 1, connected: true }, isolation: 1, python: null, node: null, uptime_ms: 0, stale_results: 0, health: [] };
  const home: PageHome = {
    peer: 'p0',
    status: () => status,
    peers: () => [],
    counts: () => ({ queued: 0, assigned: 0, running: 0, accepted: 0, ended: {}, waiting_for: null }),
    failures: () => [],
    processes: () => [],
    endProcess: () => false,
    connect: () => {
      const [ours, theirs] = connectInMemory('k');
      theirs.onMessage = (message) => {
        touched.push(message.kind);
        if (message.kind === 'submit') theirs.send({ kind: 'accepted', ids: [message.id] });
        if (message.kind === 'cancel') theirs.send({ kind: 'outcome', id: message.id, state: 'cancelled', peer: null, attempt: 0, queued_ms: 0, run_ms: null, receipt: null });
      };
      return ours;
    },
    list: async ({ offset }) => ({ rows: [], total: 0, offset, as_of: 1, newer: 0 }),
    matching: async () => ({ ids: [], total: 0 }),
    task: async (id) => ({ id, state: 'done', peer: 'p0', attempt: 1, queued_ms: 0, run_ms: 1, receipt: null, attempts: [], waiting_for: null, waiting: null, args_bytes: 2, kwargs_bytes: null, result_bytes: 1, output_bytes: { stdout: 0, stderr: 0 }, own: true }),
    part: async () => new Uint8Array([0x31]),
    content: async () => ({ program: 'a'.repeat(64), language: 'python', function: 'main', args: new Uint8Array([0x5b, 0x5d]), kwargs: undefined, options: {} }),
    members: async () => [],
    invitations: async () => [],
    audit: async () => [],
    invite: async () => ({ id: 'i', command: 'potluck join pl1-x', expires_at: '' }),
    revoke: async () => undefined,
    output: async () => ({ attempt: 1, peer: 'p0', ended: true, stdout: undefined, stderr: undefined }),
    ...more,
  };
  return new Proxy(home, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        touched.push(String(name));
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}
