/**
 * The rosters that a home folder keeps: `roster/<number>`, and `roster/confirmed`, whose time says when
 * the tracker last confirmed the newest.
 *
 * Owns: these files. Several processes of one user write here at once.
 *
 * Invariants
 * 1. A file is whole under its name: written, flushed, then renamed, then the folder is flushed.
 * 2. Of all files the highest number with a good seal counts; a damaged one is passed over, not deleted.
 * 3. The one before the newest stays, so that a damaged newest does not leave the folder without any.
 */
import { mkdir, open, readdir, readFile, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { ifMissing } from '../lib/system-errors.ts';
import { replaceFile } from './key-file.ts';
import { openSeal, sealFromText, sealToText, type SealedRoster } from './sealed-roster.ts';
import type { RosterBody } from './roster.ts';

const NAME = /^[1-9]\d{0,15}$/;
/** As key-file.ts names what is not whole yet. */
const DRAFT = /^\d+\.\d+\.[0-9a-f]+$/;
const KEPT = 2;
/** Writing a few hundred KiB takes a moment; a draft this old has nobody. */
const DRAFT_MS_MAX = 600_000;

const folderOf = (home: string): string => join(home, 'roster');

/** The newest good roster of that pool in the folder; undefined if there is none. */
export async function readNewestRoster(home: string, pool: string): Promise<{ sealed: SealedRoster; body: RosterBody } | undefined> {
  for (const number of await numbersIn(home)) {
    const text = await readFile(join(folderOf(home), String(number)), 'utf8').catch(ifMissing(undefined));
    const sealed = text === undefined ? undefined : sealFromText(text);
    const opened = sealed === undefined ? undefined : openSeal(sealed, pool);
    if (sealed !== undefined && opened !== undefined && 'body' in opened) return { sealed, body: opened.body };
  }
  return undefined;
}

/** Resolves when the roster is on disk. */
export async function writeRoster(home: string, sealed: SealedRoster): Promise<void> {
  const folder = folderOf(home);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await replaceFile(join(folder, String(sealed.number)), sealToText(sealed));
  for (const old of (await numbersIn(home)).slice(KEPT)) await unlink(join(folder, String(old))).catch(ifMissing(undefined));
  await removeOldDrafts(folder);
}

/** What a process left that was killed while it wrote. */
async function removeOldDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!DRAFT.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(ifMissing(undefined));
    if (found !== undefined && Date.now() - found.mtimeMs > DRAFT_MS_MAX) await unlink(path).catch(ifMissing(undefined));
  }
}

/** Highest first. */
async function numbersIn(home: string): Promise<number[]> {
  const names = (await readdir(folderOf(home)).catch(ifMissing(undefined))) ?? [];
  return names
    .filter((name) => NAME.test(name))
    .map(Number)
    .toSorted((a, b) => b - a);
}

/** Remembers across restarts that the tracker confirmed the roster just now. */
export async function rememberConfirmed(home: string): Promise<void> {
  const path = join(folderOf(home), 'confirmed');
  await (await open(path, 'a', 0o600)).close();
  const now = new Date();
  await utimes(path, now, now);
}

/** The wall clock's time (ms) of the last confirmation; undefined: none. */
export async function readConfirmed(home: string): Promise<number | undefined> {
  return (await stat(join(folderOf(home), 'confirmed')).catch(ifMissing(undefined)))?.mtimeMs;
}

