/**
 * Which level of protection this machine reaches, by trying it: a group is made, a process
 * put in, seen there, killed through it, and the group removed.
 */
import { causeText } from '../errors.ts';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Cgroup, makeParent, placeBelow } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import { removeGroups } from './stale.ts';

export interface LevelProbe {
  level: 0 | 1;
  /** Null: limits are kept by a watchdog, or not at all. */
  cgroup: CgroupPlace | null;
  /** Why not more; empty where nothing is missing. */
  missing: string;
}

/** @param useCgroups false: as on a machine without cgroups. */
export async function probeLevel(useCgroups = true): Promise<LevelProbe> {
  const hasProc = existsSync('/proc/self/stat');
  const reasons: string[] = [];
  if (useCgroups && hasProc) {
    for (const place of candidates()) {
      const reason = await tryPlace(place);
      if (reason === null) return { level: 1, cgroup: place, missing: '' };
      reasons.push(reason);
    }
  }
  const missing = `no cgroup for memory and processes: ${reasons[0] ?? 'none found'}`;
  if (hasProc) return { level: 1, cgroup: null, missing: `${missing}; a watchdog keeps the limits` };
  return { level: 0, cgroup: null, missing: `${missing}; a watchdog looks every now and then` };
}

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

/** The groups this process is in and, for version 2, those above that it may share. */
function candidates(): CgroupPlace[] {
  const mounts = cgroupMounts();
  const own = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n').map(parseMembership);
  const pids = locate(mounts, own, 'pids');
  const memory = locate(mounts, own, 'memory');
  const places: CgroupPlace[] = [];
  if (pids !== null && memory !== null) places.push({ version: 1, pids, memory });
  const unified = locate(mounts, own, '');
  if (unified !== null && pids === null) {
    // A group with processes of its own can have no children with limits: look above it,
    // but not past a limit that was set on us.
    for (let folder = unified; existsSync(join(folder, 'cgroup.procs')); folder = dirname(folder)) {
      places.push({ version: 2, all: folder });
      const limit = join(folder, 'memory.max');
      if (existsSync(limit) && readFileSync(limit, 'utf8').trim() !== 'max') break;
    }
  }
  return places;
}

interface Membership {
  controllers: string[];
  path: string;
}

interface Mount {
  root: string;
  folder: string;
  unified: boolean;
  controllers: string[];
}

function parseMembership(line: string): Membership {
  const [, controllers = '', ...path] = line.split(':');
  return { controllers: controllers.split(','), path: path.join(':') };
}

function cgroupMounts(): Mount[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '/', folder = ''] = before.split(' ');
    const [type = '', , options = ''] = after.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') return [];
    return [{ root, folder, unified: type === 'cgroup2', controllers: options.split(',') }];
  });
}

/** The folder of our own group for a controller; '' asks for version 2. */
function locate(mounts: Mount[], own: Membership[], controller: string): string | null {
  const mount = mounts.find((each) => (controller === '' ? each.unified : !each.unified && each.controllers.includes(controller)));
  const membership = own.find((each) => each.controllers.includes(controller));
  if (mount === undefined || membership === undefined) return null;
  const { root } = mount;
  const path = root !== '/' && membership.path.startsWith(root) ? membership.path.slice(root.length) : membership.path;
  const folder = join(mount.folder, path);
  return existsSync(folder) ? folder : null;
}
