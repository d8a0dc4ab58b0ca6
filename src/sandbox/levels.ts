/**
 * Which level of protection this machine reaches, by trying it.
 *
 * Limits: a group is made, a process put in, seen there, killed through it, and the group removed. Walls: each
 * interpreter is started in the box, in such a group, and has to come to its end. This is the quick proof that the
 * parts are there and work together; what the walls keep out is for the probes to show.
 *
 * Invariants
 *  1. A user 0 who runs tasks as user 0 has level 0: they can undo any limit.
 *  2. Walls without a cgroup are no level 2: nothing would bound what a task takes of the machine.
 */
import { causeText } from '../errors.ts';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { cgroupPlaces } from './cgroup-places.ts';
import { Cgroup, makeParent, placeBelow } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import { removeGroups } from './stale.ts';
import type { Isolation } from './types.ts';
import { tryWalls } from './try-walls.ts';
import type { WallsNeed } from './try-walls.ts';
import type { Walls } from './walls.ts';

export interface LevelProbe {
  level: Isolation;
  /** Null: limits are kept by a watchdog, or not at all. */
  cgroup: CgroupPlace | null;
  /** Null: no worker can be put in a box. */
  walls: Walls | null;
  /** Why not more; empty where nothing is missing. */
  missing: string;
  /** The one command that mends it, where there is one. */
  fix: string;
  /** What tasks do without in the box, a sentence each. */
  notes: string[];
}

/**
 * @param useCgroups false: as on a machine without cgroups
 * @param need what a box would have to hold; null: as on a machine without walls
 */
export async function probeLevel(useCgroups = true, need: WallsNeed | null = null): Promise<LevelProbe> {
  const limits = await probeLimits(useCgroups);
  if (need === null || limits.cgroup === null) return limits;
  const tried = await tryWalls(need, limits.cgroup);
  if ('missing' in tried) return { ...limits, ...tried };
  return { level: 2, cgroup: limits.cgroup, missing: '', fix: '', ...tried };
}

async function probeLimits(useCgroups: boolean): Promise<LevelProbe> {
  const hasProc = existsSync('/proc/self/stat');
  const level = hasProc && process.getuid?.() !== 0 ? 1 : 0;
  const base = { level, walls: null, fix: '', notes: [] } as const;
  const reasons: string[] = [];
  if (useCgroups && hasProc) {
    for (const place of cgroupPlaces()) {
      const reason = await tryPlace(place);
      if (reason === null) return { ...base, notes: [], cgroup: place, missing: '' };
      reasons.push(reason);
    }
  }
  const missing = `no cgroup for memory and processes: ${reasons[0] ?? 'none found'}`;
  const watched = hasProc ? 'a watchdog keeps the limits' : 'a watchdog looks every now and then';
  return { ...base, notes: [], cgroup: null, missing: `${missing}; ${watched}`, fix: useCgroups ? CGROUP_FIX : '' };
}

/** Gives the user's own processes groups to make, where systemd starts what a user runs. */
const CGROUP_FIX = 'systemd-run --user --scope -p Delegate=yes potluck peer';

/** Null when all of it worked, else why not. */
async function tryPlace(place: CgroupPlace): Promise<string | null> {
  const parent = placeBelow(place, `potluck-probe-${randomBytes(6).toString('hex')}`);
  const child = spawn('/bin/sh', ['-c', 'read line'], { stdio: ['pipe', 'ignore', 'ignore'] });
  try {
    const { pid } = child;
    if (pid === undefined) return '/bin/sh cannot be started';
    makeParent(parent);
    const group = Cgroup.make(placeBelow(parent, 'try'), 64);
    group.enter(pid);
    const exit = once(child, 'exit');
    if (group.killAll()) return 'a process put into a group is not seen there';
    await exit;
    while (!group.killAll()) await delay(2);
    while (!group.remove()) await delay(2);
    return null;
  } catch (error) {
    return causeText(error);
  } finally {
    child.kill('SIGKILL');
    await removeGroups(parent);
  }
}
