/**
 * The note that a pool started by `potluck up` leaves in the pool's folder, for `potluck down` and
 * for a second `potluck up`.
 *
 * Invariant: a note counts only while the process that wrote it lives; a process that was given the
 * same number later is not taken for it.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PotluckError, causeText } from '../errors.ts';
import { codeOf } from '../lib/system-errors.ts';

export interface PartOfPool {
  readonly role: 'tracker' | 'peer';
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  /** Address of its page. */
  readonly web?: string;
  /** What the pool calls a peer; known once it has registered. */
  readonly name?: string;
  readonly log: string;
  /** What starts it again. */
  readonly command: string;
}

export interface RunningPool {
  /** The process that keeps the others. */
  readonly pid: number;
  readonly tracker: PartOfPool;
  readonly peers: readonly PartOfPool[];
  /** The folder of the logs. */
  readonly logFolder: string;
}

interface Note {
  pool: RunningPool;
  started: string;
}

const fileOf = (homeFolder: string): string => join(homeFolder, 'up.json');

/** The pool that runs now. @throws PotluckError `file_unreadable` if the note is there but cannot be read */
export function readRunning(homeFolder: string): RunningPool | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(homeFolder), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw unreadable(homeFolder, error);
  }
  try {
    const { pool, started } = JSON.parse(text) as Note;
    return startOf(pool.pid) === started ? pool : undefined;
  } catch (error) {
    throw unreadable(homeFolder, error);
  }
}

export function writeRunning(homeFolder: string, pool: RunningPool): void {
  const note: Note = { pool, started: startOf(pool.pid) ?? '' };
  writeFileSync(fileOf(homeFolder), `${JSON.stringify(note, undefined, 2)}\n`, { mode: 0o600 });
}

export function forgetRunning(homeFolder: string): void {
  rmSync(fileOf(homeFolder), { force: true });
}

export const isAlive = (pid: number): boolean => startOf(pid) !== undefined;

/** When a process started, in whatever form this system tells it; undefined if there is none. */
function startOf(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      const [state, , , , , , , , , , , , , , , , , , , start] = afterName(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      return state === 'Z' ? undefined : start;
    }
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined; // no such process
  }
}

/** The fields after the name, which may itself hold spaces and brackets. */
const afterName = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

const unreadable = (homeFolder: string, error: unknown): PotluckError =>
  new PotluckError('file_unreadable', `${fileOf(homeFolder)} cannot be read`, { why: causeText(error), fix: 'if no pool runs, delete it', cause: error });
