/**
 * What holds a worker and everything it starts together, so that all of it can be counted,
 * limited and killed. Two kinds: a cgroup (cgroup.ts), from which nothing escapes, and the
 * tree of processes here, which is found anew each time it is looked at.
 */
import { family, isAlive, listProcesses, signal } from './processes.ts';
import type { ProcessRow } from './processes.ts';

export interface Enclosure {
  /** An open file with the number of processes inside; null where only looking tells. */
  readonly processCountFd: number | null;
  /** Limits that the kernel keeps; false: a watchdog has to. */
  readonly kernelKeepsLimits: boolean;
  /** Puts a process that was just started, and so has no children yet, inside. */
  enter(pid: number): void;
  /** Sends SIGKILL to all inside; true when there was none left to send it to. */
  killAll(): boolean;
  /** How many processes the kernel killed here for want of memory. */
  outOfMemoryKills(): number;
  /** After `killAll` said true. False: not yet, though nobody is alive inside. */
  remove(): boolean;
}

/** While a tree is looked at it may grow; each look stops what it found, so few are needed. */
const LOOKS_MAX = 8;

/**
 * The processes that descend from the worker, share its session or carry its marker. One
 * that left all three (new session, parent gone, environment wiped) is found only while the
 * guest adopts orphans, which it does on Linux.
 */
export class ProcessTree implements Enclosure {
  readonly processCountFd = null;
  readonly kernelKeepsLimits = false;
  private readonly marker: string;
  private root: number | null = null;
  /** An ending process loses its environment before it is gone: who was killed is remembered. */
  private readonly killed = new Set<number>();

  constructor(marker: string) {
    this.marker = marker;
  }

  enter(pid: number): void {
    this.root = pid;
  }

  killAll(): boolean {
    const found = this.stopAll();
    if (this.root !== null) signal(-this.root, 'SIGKILL');
    for (const pid of found) {
      signal(pid, 'SIGKILL');
      this.killed.add(pid);
    }
    return found.size === 0 && ![...this.killed].some(isAlive);
  }

  outOfMemoryKills(): number {
    return 0;
  }

  remove(): boolean {
    this.root = null;
    return true;
  }

  /** Who is inside, given all processes. */
  members(rows: ProcessRow[]): ProcessRow[] {
    return this.root === null ? [] : family(rows, this.root, null);
  }

  /** Stopped processes start no others: look until nobody new is found. */
  private stopAll(): Set<number> {
    const found = new Set<number>();
    if (this.root === null) return found;
    // The group at one stroke, however fast it grows; then those who left it.
    signal(-this.root, 'SIGSTOP');
    for (let look = 0; look < LOOKS_MAX; look++) {
      const fresh = family(listProcesses(), this.root, this.marker).filter((row) => !found.has(row.pid));
      if (fresh.length === 0) break;
      for (const row of fresh) if (signal(row.pid, 'SIGSTOP')) found.add(row.pid);
    }
    return found;
  }
}
