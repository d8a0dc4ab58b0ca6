/** How much memory tasks may use on a peer. */
import { totalmem } from 'node:os';
import { limits } from '../limits.ts';

const MiB = 1024 * 1024;

export interface MemoryLimits {
  /** The most that a task may ask for, in MB. */
  most: number;
  /** What a task of the peer's own user gets that asks for nothing; null: no limit. */
  own: number | null;
  /** The same for other members' tasks, which never run without one. */
  foreign: number;
}

/** @param maxMemoryMb what the owner of the machine said */
export function memoryLimits(maxMemoryMb: number | null, slots: number): MemoryLimits {
  const machineMb = Math.floor(usableMemory() / MiB);
  const most = Math.min(maxMemoryMb ?? machineMb, limits.memoryMbMax);
  // With every slot taken by strangers, a part of the machine is left to its owner.
  const share = Math.floor((machineMb * limits.foreignMemoryShare) / Math.max(1, slots));
  return { most, own: maxMemoryMb, foreign: Math.min(most, Math.max(share, limits.foreignMemoryMbMin)) };
}

/** Of this machine, or of the container that the peer runs in. */
function usableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}
