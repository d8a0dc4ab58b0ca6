/**
 * Cgroups, versions 1 and 2: one group per worker under one group per peer, itself under
 * the group that the peer runs in, so that limits set from outside keep holding.
 *
 * Killing needs no freezer: once the limit on processes is 0 nobody inside can start
 * another, and a list read after that is complete.
 */
import { closeSync, mkdirSync, openSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../lib/system-errors.ts';
import { limits } from '../limits.ts';
import type { Enclosure } from './enclosure.ts';
import { readIfThere, signal } from './processes.ts';

/** Where groups may be made. Version 1 has a tree per controller. */
export type CgroupPlace = { version: 1; pids: string; memory: string } | { version: 2; all: string };

/** The same place, one level down. */
export function placeBelow(place: CgroupPlace, name: string): CgroupPlace {
  if (place.version === 2) return { version: 2, all: join(place.all, name) };
  return { version: 1, pids: join(place.pids, name), memory: join(place.memory, name) };
}

export function foldersOf(place: CgroupPlace): string[] {
  return place.version === 2 ? [place.all] : [place.pids, place.memory];
}

/** Makes the group that holds workers' groups. */
export function makeParent(place: CgroupPlace): void {
  for (const folder of foldersOf(place)) mkdirSync(folder);
  if (place.version === 2) writeFileSync(join(place.all, 'cgroup.subtree_control'), '+memory +pids');
}

export class Cgroup implements Enclosure {
  readonly kernelKeepsLimits = true;
  readonly processCountFd: number;
  private readonly place: CgroupPlace;
  private readonly memoryMb: number | null;
  private closed = false;

  private constructor(place: CgroupPlace, memoryMb: number | null, processCountFd: number) {
    this.place = place;
    this.memoryMb = memoryMb;
    this.processCountFd = processCountFd;
  }

  static make(place: CgroupPlace, memoryMb: number | null, processesMax: number = limits.taskProcessesMax): Cgroup {
    const folders = place.version === 1 && memoryMb === null ? [place.pids] : foldersOf(place);
    for (const folder of folders) mkdirSync(folder);
    const pids = pidsFolder(place);
    writeFileSync(join(pids, 'pids.max'), String(processesMax));
    if (memoryMb !== null) limitMemory(place, memoryMb * 1024 * 1024);
    return new Cgroup(place, memoryMb, openSync(join(pids, 'pids.current'), 'r'));
  }

  enter(pid: number): void {
    for (const folder of this.folders()) writeUnlessGone(join(folder, 'cgroup.procs'), String(pid));
  }

  killAll(): boolean {
    writeUnlessGone(join(pidsFolder(this.place), 'pids.max'), '0');
    return killListed(pidsFolder(this.place));
  }

  outOfMemoryKills(): number {
    if (this.memoryMb === null) return 0;
    const file = this.place.version === 2 ? join(this.place.all, 'memory.events') : join(this.place.memory, 'memory.oom_control');
    return Number(/^oom_kill (\d+)$/m.exec(readIfThere(file)?.toString('latin1') ?? '')?.[1] ?? 0);
  }

  remove(): boolean {
    if (!this.closed) closeSync(this.processCountFd);
    this.closed = true;
    return this.folders().map(removeGroup).every(Boolean);
  }

  private folders(): string[] {
    return this.place.version === 1 && this.memoryMb === null ? [this.place.pids] : foldersOf(this.place);
  }
}

/** Sends SIGKILL to all processes directly in a group; true when there was none. */
export function killListed(folder: string): boolean {
  const listed = readIfThere(join(folder, 'cgroup.procs'))?.toString('latin1').split('\n').filter(Boolean) ?? [];
  for (const pid of listed) signal(Number(pid), 'SIGKILL');
  return listed.length === 0;
}

/** False while the kernel still counts a dead process in it. */
export function removeGroup(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return true;
    if (codeOf(error) === 'EBUSY') return false;
    throw error;
  }
}

function pidsFolder(place: CgroupPlace): string {
  return place.version === 2 ? place.all : place.pids;
}

function limitMemory(place: CgroupPlace, bytes: number): void {
  if (place.version === 2) {
    writeFileSync(join(place.all, 'memory.max'), String(bytes));
    writeUnlessGone(join(place.all, 'memory.swap.max'), '0');
    return;
  }
  writeFileSync(join(place.memory, 'memory.limit_in_bytes'), String(bytes));
  // Memory and swap together: else what does not fit is swapped out, and the machine crawls.
  writeUnlessGone(join(place.memory, 'memory.memsw.limit_in_bytes'), String(bytes));
}

/** For what some kernels lack, and for processes and groups that somebody else ended first. */
function writeUnlessGone(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'r+' });
  } catch (error) {
    if (!['ENOENT', 'ESRCH', 'ENODEV'].includes(codeOf(error))) throw error;
  }
}
