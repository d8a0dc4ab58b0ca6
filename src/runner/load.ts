/**
 * Reads how busy the machine is: CPU use between 0 and 1 over the last moments, container limits respected.
 *
 * Owns: the readings and their window. Linux: /proc/stat, and the cgroup's own use and quota where a
 * container has less than the machine. Elsewhere: the times that the operating system reports per core.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { limits } from '../limits.ts';

/** Time spent working and time that there was, in any one unit, both rising. */
export interface CpuTimes {
  busy: number;
  total: number;
}

/** The first line of /proc/stat. Waiting for the disk and time stolen by a hypervisor are not work of ours. */
export function parseProcStat(text: string): CpuTimes {
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = (text.match(/^cpu +(.+)$/m)?.[1] ?? '').split(/\s+/).map(Number);
  const busy = user + nice + system + irq + softirq;
  return { busy, total: busy + idle + iowait + steal };
}

function systemTimes(): CpuTimes {
  if (process.platform === 'linux') return parseProcStat(readFileSync('/proc/stat', 'latin1').slice(0, 400));
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const work = times.user + times.nice + times.sys + times.irq;
    busy += work;
    total += work + times.idle;
  }
  return { busy, total };
}

/** Cores that a cgroup v2 quota allows, if it is less than the machine has. */
function quotaCores(): number | undefined {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'latin1').trim().split(' ');
    const cores = Number(quota) / Number(period);
    return Number.isFinite(cores) && cores < cpus().length ? cores : undefined;
  } catch {
    // No cgroup v2 here, so no quota of it.
    return undefined;
  }
}

function cgroupBusySeconds(): number {
  const text = readFileSync('/sys/fs/cgroup/cpu.stat', 'latin1');
  return Number(text.match(/^usage_usec (\d+)$/m)?.[1] ?? 0) / 1e6;
}

const containerTimes = (cores: number): CpuTimes => ({ busy: cgroupBusySeconds(), total: (performance.now() / 1000) * cores });

/** Cores that this process may use. */
export const usableCores = (): number => Math.max(1, Math.min(availableParallelism(), Math.ceil(quotaCores() ?? Infinity)));

/** A moving average of CPU use; `read` is asked at each sample. */
export class LoadMeter {
  readonly #read: () => CpuTimes;
  #last: CpuTimes;
  #load = 0;
  #sampled = false;

  constructor(read?: () => CpuTimes) {
    const cores = quotaCores();
    this.#read = read ?? (cores === undefined ? systemTimes : () => containerTimes(cores));
    this.#last = this.#read();
  }

  /** @param elapsedMs since the last sample; the average follows with the time constant limits.cpuWindowMs */
  sample(elapsedMs: number): number {
    const now = this.#read();
    const total = now.total - this.#last.total;
    if (total <= 0) return this.#load;
    const use = Math.min(1, Math.max(0, (now.busy - this.#last.busy) / total));
    const weight = this.#sampled ? 1 - Math.exp(-elapsedMs / limits.cpuWindowMs) : 1;
    this.#load += (use - this.#load) * weight;
    this.#last = now;
    this.#sampled = true;
    return this.#load;
  }
}
