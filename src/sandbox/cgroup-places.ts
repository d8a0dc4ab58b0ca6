/**
 * Where this process may make cgroups: found in what the kernel says is mounted, and which groups it is in. Whether
 * they work is for levels.ts to try.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CgroupPlace } from './cgroup.ts';

/** The groups this process is in and, for version 2, those above that it may share. */
export function cgroupPlaces(): CgroupPlace[] {
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
