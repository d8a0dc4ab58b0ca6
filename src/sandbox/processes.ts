/**
 * What processes there are, and ending some of them, where no cgroup tells. Reads /proc on
 * Linux and asks `ps` elsewhere.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { codeOf } from '../lib/system-errors.ts';

/** Resident pages in /proc are of this size on every Linux that Node supports but some ARM ones. */
const PAGE_BYTES = 4096;

export interface ProcessRow {
  pid: number;
  parent: number;
  /** The session, or where that is not told the process group. */
  session: number;
  rssBytes: number;
  zombie: boolean;
}

export function listProcesses(): ProcessRow[] {
  return process.platform === 'linux' ? fromProc() : fromPs();
}

function fromProc(): ProcessRow[] {
  const rows: ProcessRow[] = [];
  for (const name of readdirSync('/proc')) {
    const row = /^\d+$/.test(name) ? readRow(Number(name)) : null;
    if (row !== null) rows.push(row);
  }
  return rows;
}

/** One process; null when it ended. */
export function readRow(pid: number): ProcessRow | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The command's name stands in parentheses and may hold anything, parentheses too.
  const fields = stat.toString('latin1').slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    parent: Number(fields[1]),
    session: Number(fields[3]),
    rssBytes: Number(fields[21]) * PAGE_BYTES,
    zombie: fields[0] === 'Z' || fields[0] === 'X',
  };
}

/** A process that this one started and that lives; null when there is none, or it is gone. */
export function childOf(pid: number): number | null {
  const listed = readIfThere(`/proc/${pid}/task/${pid}/children`)?.toString('latin1').trim().split(' ')[0];
  return listed === undefined || listed === '' ? null : Number(listed);
}

/** False also for a zombie: it runs no more, and who should take note of it has not yet. */
export function isAlive(pid: number): boolean {
  if (process.platform === 'linux') return readRow(pid)?.zombie === false;
  return listProcesses().some((row) => row.pid === pid && !row.zombie);
}

function fromPs(): ProcessRow[] {
  const table = execFileSync('ps', ['-axo', 'pid=,ppid=,pgid=,rss=,stat='], { encoding: 'utf8' });
  return table.split('\n').flatMap((line) => {
    const [pid, parent, session, rssKb, state] = line.trim().split(/\s+/);
    if (pid === undefined || state === undefined) return [];
    const rssBytes = Number(rssKb) * 1024;
    return [{ pid: Number(pid), parent: Number(parent), session: Number(session), rssBytes, zombie: state.startsWith('Z') }];
  });
}

/** The living among `root`, its session, their descendants and, on Linux, those that carry `marker`. */
export function family(rows: ProcessRow[], root: number, marker: string | null): ProcessRow[] {
  const members = new Set([root]);
  for (const row of rows) if (row.session === root) members.add(row.pid);
  addDescendants(rows, members);
  if (marker !== null) {
    for (const row of rows) if (!members.has(row.pid) && carries(row.pid, marker)) members.add(row.pid);
    addDescendants(rows, members);
  }
  return rows.filter((row) => members.has(row.pid) && !row.zombie && row.pid !== process.pid);
}

function addDescendants(rows: ProcessRow[], members: Set<number>): void {
  for (let before = 0; before !== members.size; ) {
    before = members.size;
    for (const row of rows) if (members.has(row.parent)) members.add(row.pid);
  }
}

function carries(pid: number, marker: string): boolean {
  return readIfThere(`/proc/${pid}/environ`)?.includes(marker) ?? false;
}

/** A negative number is a process group. False when there is no such process any more. */
export function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP'): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ESRCH' || codeOf(error) === 'EPERM') return false;
    throw error;
  }
}

/** Half of what the kernel counts for the whole memory: more than anything of the owner's is likely to weigh. */
const OOM_SCORE_ADDED = '500';

/** When the machine runs out of memory, this process and what it starts are ended before others. */
export function endFirstInShortage(pid: number): void {
  if (process.platform !== 'linux') return;
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE_ADDED);
  } catch (error) {
    // It has ended, or may not be adjusted here; its memory limit, if it has one, holds all the same.
    if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))) throw error;
  }
}

/** A file under /proc or a cgroup; null when what it tells about is gone or not ours to see. */
export function readIfThere(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENODEV'].includes(codeOf(error))) return null;
    throw error;
  }
}
