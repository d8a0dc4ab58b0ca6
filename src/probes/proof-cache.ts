/**
 * What was proven of this box on this boot, so that not every start of a peer measures it again.
 *
 * Owns: the file `probes/proven.json` in the pool's folder, and what a box is known by. Only success is kept:
 * whoever mended something is measured at the next start.
 *
 * Invariants
 *  1. A file that another user could have written is not believed.
 *  2. Anything that could change the answer is part of what the box is known by; time is counted from boot.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { arch, release, uptime } from 'node:os';
import { join } from 'node:path';
import { limits } from '../limits.ts';
import type { Interpreter } from '../sandbox/interpreters.ts';
import type { LevelProbe } from '../sandbox/levels.ts';
import { readIfThere } from '../sandbox/processes.ts';
import { version } from '../version.ts';

export interface BoxParts {
  level: LevelProbe;
  interpreters: readonly Interpreter[];
  guestsFolder: string;
}

/** By what a box is known: its programs as they lie on disk, its filter, the kernel and this boot of it, the user, this version. */
export function fingerprintOf({ level, interpreters, guestsFolder }: BoxParts): string {
  const { walls, cgroup } = level;
  const programs = [walls?.bwrap, ...Object.values(walls?.root ?? {}), process.execPath, ...interpreters.map(({ path }) => path)];
  const guests = ['guest.py', 'guest.mjs', 'probes/acts.py', 'probes/acts.mjs'].map((name) => join(guestsFolder, name));
  const known = {
    version,
    boot: readIfThere('/proc/sys/kernel/random/boot_id')?.toString('latin1').trim() ?? '',
    kernel: [release(), arch()],
    user: [process.getuid?.(), process.getgid?.(), process.getgroups?.()],
    files: [...programs, ...guests].map(stampOf),
    interpreters: interpreters.map((each) => [each.language, each.path, each.version]),
    walls: walls === null ? null : { ...walls, filter: Buffer.from(walls.filter).toString('base64') },
    cgroup,
  };
  return createHash('sha256').update(JSON.stringify(known)).digest('hex');
}

function stampOf(path: string | undefined): unknown {
  if (path === undefined) return null;
  try {
    const { ino, size, mtimeMs, mode, uid } = statSync(path);
    return [path, ino, size, mtimeMs, mode, uid];
  } catch {
    return [path, null]; // not there: that, too, is something it is known by
  }
}

interface Kept {
  box: string;
  /** Seconds since boot. */
  provenAtS: number;
}

const fileOf = (homeFolder: string): string => join(homeFolder, 'probes', 'proven.json');

/** How long ago this box was proven, in milliseconds; undefined: not on this boot, or nobody believable says so. */
export function provenAgoMs(homeFolder: string, box: string): number | undefined {
  const kept = readKept(fileOf(homeFolder));
  if (kept?.box !== box) return undefined;
  const agoMs = (uptime() - kept.provenAtS) * 1000;
  return agoMs >= 0 ? agoMs : undefined;
}

export const isFresh = (agoMs: number | undefined): agoMs is number => agoMs !== undefined && agoMs < limits.boxProofMs;

export function keepProof(homeFolder: string, box: string): void {
  const file = fileOf(homeFolder);
  mkdirSync(join(homeFolder, 'probes'), { recursive: true, mode: 0o700 });
  const kept: Kept = { box, provenAtS: uptime() };
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, `${JSON.stringify(kept)}\n`, { mode: 0o600 });
  renameSync(fresh, file);
}

function readKept(file: string): Kept | undefined {
  try {
    const { uid, mode } = statSync(file);
    if (uid !== (process.getuid?.() ?? uid) || (mode & 0o022) !== 0) return undefined;
    const kept: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return isKept(kept) ? kept : undefined;
  } catch {
    return undefined; // none, or not one of ours: it is measured
  }
}

const isKept = (value: unknown): value is Kept =>
  typeof value === 'object' && value !== null && 'box' in value && typeof value.box === 'string' && 'provenAtS' in value && typeof value.provenAtS === 'number';
