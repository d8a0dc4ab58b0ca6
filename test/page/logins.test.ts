/** Codes, sessions and tokens as files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { Logins } from '../../src/page/logins.ts';

let folder: string;
let now: number;
let logins: Logins;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-logins-'));
  now = 1_000_000;
  logins = new Logins(join(folder, 'page'), () => now);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('a code made by another process logs in once', () => {
  const { secret } = new Logins(join(folder, 'page'), () => now).makeCode();
  expect(logins.login(secret, 'b')).toBeDefined();
  expect(logins.login(secret, 'b')).toBeUndefined();
  expect(logins.login('../../secret', 'b')).toBeUndefined();
});

it('no secret is on the disk, and the files are their owner\'s alone', () => {
  const secrets = [logins.makeCode().secret, logins.makeToken('t', 1_000).secret];
  const session = logins.login(logins.makeCode().secret, 'b')!;
  secrets.push(session.cookie, session.header);
  const names = readdirSync(join(folder, 'page'));
  const all = names.join('\n') + names.map((name) => readFileSync(join(folder, 'page', name), 'utf8')).join('\n');
  for (const secret of secrets) expect(all).not.toContain(secret);
  for (const name of names) expect(statSync(join(folder, 'page', name)).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'page')).mode & 0o777).toBe(0o700);
});

it('everything ends by the clock', () => {
  const { secret: code } = logins.makeCode();
  const { cookie, header } = logins.login(logins.makeCode().secret, 'b')!;
  const { secret: token } = logins.makeToken('t', 10 * limits.pageTokenMsMax);
  now += limits.pageCodeMs;
  expect(logins.login(code, 'b')).toBeUndefined();
  expect(logins.session(cookie, header)).toBeDefined();
  now += limits.pageSessionMs;
  expect(logins.session(cookie, header)).toBeUndefined();
  expect(logins.token(token)).toBeDefined();
  now += limits.pageTokenMsMax;
  expect(logins.token(token)).toBeUndefined();
  expect(readdirSync(join(folder, 'page'))).toEqual([]);
});

it('a session counts with both of its secrets, and only its own', () => {
  const one = logins.login(logins.makeCode().secret, 'b')!;
  const other = logins.login(logins.makeCode().secret, 'b')!;
  expect(logins.session(one.cookie, other.header)).toBeUndefined();
  expect(logins.session(one.cookie, one.cookie)).toBeUndefined();
  expect(logins.token(one.cookie)).toBeUndefined();
  expect(logins.session(one.cookie, one.header)?.kind).toBe('session');
});

it('what another process revokes ends here within a second', () => {
  const { secret, id } = logins.makeToken('t', 60_000);
  expect(logins.token(secret)).toBeDefined();
  expect(new Logins(join(folder, 'page'), () => now).end('token', id)).toBe(true);
  now += 1_001;
  expect(logins.token(secret)).toBeUndefined();
});

it('there are so many, and beyond them what ends first goes', () => {
  const { secret } = logins.makeToken('t', limits.pageTokenMsMax);
  for (let at = 0; at < limits.pageKeysMax + 5; at += 1) logins.makeCode();
  expect(readdirSync(join(folder, 'page'))).toHaveLength(limits.pageKeysMax);
  expect(logins.token(secret)).toBeDefined();
});
