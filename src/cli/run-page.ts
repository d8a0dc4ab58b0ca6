/** What `potluck page` does and says. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PotluckError, exit } from '../errors.ts';
import { limits } from '../limits.ts';
import { endLogin, listLogins, loginLink, makeToken, type PageOf } from '../main/page-login.ts';
import { connectTo, nextCommand, type ClientFlags, type Context } from './context.ts';
import { duration, moment } from './format.ts';
import { table, type Column } from './table.ts';
import { cleanLine } from './text.ts';
import { spanAsMs, usage } from './values.ts';

export interface PageFlags extends ClientFlags {
  open?: boolean;
  token?: string | true;
  ttl?: string;
  list?: boolean;
  revoke?: string;
}

const dayMs = 86_400_000;
const tokenDays = 30;
/** A browser has read the file long before. */
const OPEN_MS = 10_000;

export async function runPage(context: Context<PageFlags>): Promise<number> {
  const { flags } = context;
  if (flags.ttl !== undefined && flags.token === undefined) throw usage('--ttl is of a token', 'a login link counts for an hour', 'add --token, or leave out --ttl');
  const ttlMs = flags.ttl === undefined ? tokenDays * dayMs : spanAsMs('--ttl', flags.ttl, limits.pageTokenMsMax);
  const page = await pageOf(context);
  if (flags.list === true) return showLogins(context, page);
  if (flags.revoke !== undefined) return revoke(context, page, flags.revoke);
  if (flags.token !== undefined) return token(context, page, flags.token === true ? 'a script' : flags.token, ttlMs);
  return link(context, page);
}

/** The peer says its name and where its page is. */
async function pageOf(context: Context<PageFlags>): Promise<PageOf> {
  const pool = await connectTo(context);
  try {
    const [{ peer }, peers] = [await pool.status(), await pool.peers()];
    return { homeFolder: context.config().homeFolder, peer, web: peers.find((row) => row.peer === peer)?.web ?? null };
  } finally {
    await pool.close();
  }
}

async function link({ terminal, flags }: Context<PageFlags>, page: PageOf): Promise<number> {
  const { link: url, expires } = loginLink(page);
  if (flags.json === true) {
    terminal.out(`${JSON.stringify({ peer: page.peer, link: url, expires_at: new Date(expires).toISOString() })}\n`);
    return exit.done;
  }
  terminal.out(`${url}\n`);
  if (flags.quiet !== true) terminal.errLine('this link logs in once, within an hour');
  if (flags.open !== false && terminal.outIsTerminal && opener() !== undefined) await openInBrowser(url);
  return exit.done;
}

function token({ terminal, flags }: Context<PageFlags>, page: PageOf, name: string, ttlMs: number): number {
  const { secret, expires, id } = makeToken(page, name.slice(0, limits.nameLengthMax), ttlMs);
  const expiresAt = new Date(expires).toISOString();
  if (flags.json === true) terminal.out(`${JSON.stringify({ peer: page.peer, id, name, token: secret, url: page.web, expires_at: expiresAt })}\n`);
  else {
    terminal.out(`${secret}\n`);
    if (flags.quiet !== true) {
      terminal.errLine(`token ${id} of ${cleanLine(name)}, until ${moment(expiresAt)}; it is shown this once`);
      terminal.errLine(`use it: curl -H "Authorization: Bearer TOKEN" ${page.web}/api/v1/overview`);
    }
  }
  return exit.done;
}

interface Row {
  kind: string;
  id: string;
  name: string;
  created_at: string;
  expires_at: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'NAME', value: ({ name }) => cleanLine(name), drop: 2, min: 8 },
  { title: 'MADE', value: (row) => moment(row.created_at), drop: 1 },
  { title: 'ENDS IN', value: (row) => duration(Math.max(0, Date.parse(row.expires_at) - Date.now())), right: true },
];

function showLogins({ terminal, flags }: Context<PageFlags>, page: PageOf): number {
  const rows = listLogins(page).map(({ kind, id, name, created, expires }): Row => ({ kind, id, name, created_at: new Date(created).toISOString(), expires_at: new Date(expires).toISOString() }));
  if (flags.json === true) terminal.out(`${JSON.stringify(rows)}\n`);
  else if (rows.length === 0) terminal.out(`nobody is logged in at the page of ${cleanLine(page.peer)}\n`);
  else terminal.outLines(table(columns, rows, terminal.outWidth, (text) => terminal.bold(text)));
  return exit.done;
}

function revoke(context: Context<PageFlags>, page: PageOf, id: string): number {
  const { terminal, flags } = context;
  if (!endLogin(page, id)) throw new PotluckError('login_used', `the page of ${page.peer} has no session or token ${cleanLine(id)}`, { why: 'it has ended, or the id is mistyped', fix: `see ${nextCommand(context, 'page --list')}` });
  if (flags.json === true) terminal.out(`${JSON.stringify({ id, revoked: true })}\n`);
  else if (flags.quiet !== true) terminal.out(`${id} does not count any more\n`);
  return exit.done;
}

/** The program that opens what a person wants to look at, where there is a screen. */
function opener(): string | undefined {
  if (process.platform === 'darwin') return 'open';
  const { DISPLAY, WAYLAND_DISPLAY } = process.env;
  return DISPLAY === undefined && WAYLAND_DISPLAY === undefined ? undefined : 'xdg-open';
}

/** By way of a file that only this user can read: command lines are open to everybody on the machine. */
async function openInBrowser(url: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-page-'));
  const file = join(folder, 'open.html');
  writeFileSync(file, `<!doctype html><meta charset="utf-8"><title>potluck</title><meta http-equiv="refresh" content="0; url=${url}"><a href="${url}">open the page</a>\n`, { mode: 0o600 });
  const child = spawn(opener()!, [file], { stdio: 'ignore', detached: true });
  await new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => setTimeout(resolve, OPEN_MS));
    child.unref();
    setTimeout(resolve, OPEN_MS);
  });
  rmSync(folder, { recursive: true, force: true });
}
