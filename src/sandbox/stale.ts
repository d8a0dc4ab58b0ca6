/**
 * Ending what is left of a peer that is gone: its cgroups and whoever is in them, and the
 * processes that carry its marker.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { foldersOf, killListed, removeGroup } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import { isAlive, readIfThere, signal } from './processes.ts';

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

/** Kills, on Linux, every process whose environment holds `marker`, and waits for their end. */
export async function endMarked(marker: string): Promise<void> {
  if (process.platform !== 'linux') return;
  // An ending process loses its environment before it is gone: whoever was killed is remembered.
  const killed = new Set<number>();
  for (let look = 0; look < LOOKS_MAX; look++) {
    for (const pid of marked(marker)) if (signal(pid, 'SIGKILL')) killed.add(pid);
    if (![...killed].some(isAlive)) return;
    await delay(LOOK_EVERY_MS);
  }
}

function marked(marker: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => pid !== process.pid && readIfThere(`/proc/${pid}/environ`)?.includes(marker));
}
