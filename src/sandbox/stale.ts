/**
 * Ending what is left of a peer that is gone: its cgroups and whoever is in them, and the
 * processes that carry its marker.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { foldersOf, killListed, removeGroup } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import { readIfThere, signal } from './processes.ts';

/** A killed process is gone within milliseconds unless the kernel holds it. */
const LOOK_EVERY_MS = 5;
const LOOKS_MAX = 400;

/** Kills all in the group and its children, and removes them. False when something stays. */
export async function removeGroups(place: CgroupPlace): Promise<boolean> {
  let clean = true;
  for (const folder of foldersOf(place)) clean = (await removeFolder(folder)) && clean;
  return clean;
}

async function removeFolder(folder: string): Promise<boolean> {
  for (let look = 0; look < LOOKS_MAX; look++) {
    if (!existsSync(folder)) return true;
    const children = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const child of children) if (killListed(join(folder, child.name))) removeGroup(join(folder, child.name));
    if (killListed(folder) && removeGroup(folder)) return true;
    await delay(LOOK_EVERY_MS);
  }
  return false;
}

/** Kills, on Linux, every process whose environment holds `marker`. True when there was none. */
export function killMarked(marker: string): boolean {
  if (process.platform !== 'linux') return true;
  let none = true;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    if (readIfThere(`/proc/${name}/environ`)?.includes(marker) && signal(Number(name), 'SIGKILL')) none = false;
  }
  return none;
}
