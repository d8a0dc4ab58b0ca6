/**
 * Who is logged in at a peer's page: one-use codes, sessions of browsers, tokens of scripts.
 *
 * Owns: a folder below the peer's, one small file for each, 0600, named by the SHA-256 of the secret; the
 * secret itself is on no disk. So `potluck page`, run by the same user, makes a code or a token by writing a
 * file, and whoever can write there could read the keys as well.
 *
 * Invariants
 * 1. A code is used once: who removes its file has it.
 * 2. A session counts only with both of its secrets, the cookie's and the header's.
 * 3. Everything ends by the wall clock, at the latest.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { codeOf } from '../lib/system-errors.ts';
import { limits } from '../limits.ts';

const kinds = ['code', 'session', 'token'] as const;
export type LoginKind = (typeof kinds)[number];

const storedSchema = z.object({
  /** For people: the name of a token, the browser of a session. */
  name: z.string().max(300),
  created: z.number(),
  expires: z.number(),
  /** Of a session: the hash of the header's secret. */
  header: z.string().optional(),
});

export interface Login {
  kind: LoginKind;
  /** Names it without giving it away. */
  id: string;
  name: string;
  /** Wall clock, ms. */
  created: number;
  expires: number;
}

export interface SessionSecrets {
  cookie: string;
  header: string;
  expires: number;
}

interface Held extends Login {
  header: string | undefined;
}

/** A file that was removed by another process is noticed after this time. */
const CACHE_MS = 1_000;
const ID_LENGTH = 12;

export class Logins {
  readonly #folder: string;
  readonly #now: () => number;
  readonly #seen = new Map<string, { login: Held; until: number }>();

  constructor(folder: string, now: () => number = Date.now) {
    this.#folder = folder;
    this.#now = now;
  }

  /** A secret for a login link. */
  makeCode(): { secret: string; expires: number } {
    return this.#make('code', 'login link', limits.pageCodeMs);
  }

  /** A secret for scripts. */
  makeToken(name: string, forMs: number): { secret: string; expires: number; id: string } {
    return this.#make('token', name, Math.min(forMs, limits.pageTokenMsMax));
  }

  /** Trades a code for a session; undefined when it was used, has ended, or never was. */
  login(code: string, browser: string): SessionSecrets | undefined {
    const held = this.#read('code', code);
    if (held === undefined || !this.#remove(held.kind, hashOf(code))) return undefined;
    const header = newSecret();
    const { secret, expires } = this.#make('session', browser.slice(0, 200), limits.pageSessionMs, hashOf(header));
    return { cookie: secret, header, expires };
  }

  session(cookie: string, header: string): Login | undefined {
    const held = this.#cached('session', cookie);
    return held?.header !== undefined && isSame(held.header, hashOf(header)) ? held : undefined;
  }

  token(secret: string): Login | undefined {
    return this.#cached('token', secret);
  }

  list(): Login[] {
    return this.#all().map(({ kind, id, name, created, expires }) => ({ kind, id, name, created, expires }));
  }

  /** Ends what has that id; false when nothing has. */
  end(kind: LoginKind, id: string): boolean {
    const ended = this.#all().filter((held) => held.kind === kind && held.id === id && this.#remove(kind, held.hash));
    return ended.length > 0;
  }

  // --- files -------------------------------------------------------------------------------

  #make(kind: LoginKind, name: string, forMs: number, header?: string): { secret: string; expires: number; id: string } {
    const secret = newSecret();
    const hash = hashOf(secret);
    const created = this.#now();
    const expires = created + forMs;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#makeRoom();
    const path = join(this.#folder, `${kind}-${hash}`);
    const half = `${path}.${process.pid}.new`;
    writeFileSync(half, JSON.stringify({ name, created, expires, ...(header === undefined ? {} : { header }) }), { mode: 0o600, flag: 'wx' });
    renameSync(half, path);
    return { secret, expires, id: hash.slice(0, ID_LENGTH) };
  }

  /** Removes what has ended, and beyond the bound what ends first. */
  #makeRoom(): void {
    const all = this.#all().sort((a, b) => a.expires - b.expires);
    for (const { kind, hash } of all.slice(0, Math.max(0, all.length - limits.pageKeysMax + 1))) this.#remove(kind, hash);
  }

  #all(): (Held & { hash: string })[] {
    return this.#names().flatMap((name) => {
      const [, kind, hash] = /^(code|session|token)-([0-9a-f]{64})$/.exec(name) ?? [];
      if (kind === undefined || hash === undefined) return [];
      const held = this.#readFile(kind as LoginKind, hash);
      return held === undefined ? [] : [{ ...held, hash }];
    });
  }

  #names(): string[] {
    try {
      return readdirSync(this.#folder);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  #cached(kind: LoginKind, secret: string): Held | undefined {
    const now = this.#now();
    const key = `${kind}-${hashOf(secret)}`;
    const seen = this.#seen.get(key);
    if (seen !== undefined && seen.until > now && seen.login.expires > now) return seen.login;
    this.#seen.delete(key);
    const login = this.#read(kind, secret);
    if (login === undefined) return undefined;
    if (this.#seen.size >= limits.pageKeysMax) this.#seen.clear();
    this.#seen.set(key, { login, until: now + CACHE_MS });
    return login;
  }

  #read(kind: LoginKind, secret: string): Held | undefined {
    return this.#readFile(kind, hashOf(secret));
  }

  #readFile(kind: LoginKind, hash: string): Held | undefined {
    let text: string;
    try {
      text = readFileSync(join(this.#folder, `${kind}-${hash}`), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const { name, created, expires, header } = storedSchema.parse(JSON.parse(text));
    if (expires > this.#now()) return { kind, id: hash.slice(0, ID_LENGTH), name, created, expires, header };
    this.#remove(kind, hash);
    return undefined;
  }

  /** Whether it was there: of several who remove it at once, one hears yes. */
  #remove(kind: LoginKind, hash: string): boolean {
    this.#seen.delete(`${kind}-${hash}`);
    try {
      unlinkSync(join(this.#folder, `${kind}-${hash}`));
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** All codes, sessions and tokens. */
  endAll(): void {
    this.#seen.clear();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const newSecret = (): string => randomBytes(32).toString('base64url');
const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');
const isSame = (a: string, b: string): boolean => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
