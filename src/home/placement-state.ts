/**
 * Which runner a waiting task goes to, and the receipt that says why.
 *
 * Owns: lines of waiting tasks with equal needs, fitting, the order of runners (lowest first by
 * the higher of load and stepped cpu_load, then load, then least recently used). Pure; home-state.ts calls it.
 */
import { Heap } from '../lib/heap.ts';
import type { Prng } from '../lib/prng.ts';
import { limits } from '../limits.ts';
import { takes } from '../identity/acceptance.ts';
import type { Need, PeerInfo, Receipt, TaskOptions } from '../wire/messages.ts';
import type { Task } from './task-state.ts';

/** A runner as this home sees it. */
export interface Runner {
  readonly peer: string;
  info: PeerInfo | undefined;
  link: 'none' | 'dialling' | 'up';
  /** The process that was linked last, and the key that it proved. */
  incarnation: string | undefined;
  key: string | undefined;
  roundTripMs: number;
  /** Slots that this home may use now. */
  granted: number;
  /** Slots that it still occupies of those recalled; at least `granted`. */
  holding: number;
  /** Slots that other homes may use. */
  others: number;
  /** By attempt key: the task. Also killed attempts whose end is not confirmed. */
  readonly attempts: Map<string, string>;
  /** Rises with each use, so that the least recently used of equals goes first. */
  lastUsed: number;
  usedAt: number;
  /** Turned something away as busy: not asked again before then, unless it says that it has room. */
  blockedUntil: number;
  blockMs: number;
  /** When its attempts count as lost, if it does not come back. */
  lostAt: number | undefined;
  /** A complete list of the tracker does not name it, but its link is up: forgotten once that is not so. */
  unlisted: boolean;
  /** Work sent ahead of its slots is being topped up. */
  isFilling: boolean;
  /** The last receipt for work sent ahead, and the figure that it shows. */
  aheadReceipt: { cpuLoad: number; receipt: Receipt } | undefined;
}

export const newRunner = (peer: string): Runner => ({
  peer,
  info: undefined,
  link: 'none',
  incarnation: undefined,
  key: undefined,
  roundTripMs: 0.5,
  granted: 0,
  holding: 0,
  others: 0,
  attempts: new Map(),
  lastUsed: 0,
  usedAt: 0,
  blockedUntil: 0,
  blockMs: 0,
  lostAt: undefined,
  isFilling: true,
  aheadReceipt: undefined,
  unlisted: false,
});

/** Tasks that wait for the same kind of runner, first in line first. */
export interface Line {
  readonly key: string;
  readonly need: Need;
  readonly confidential: boolean;
  readonly avoid: string | null;
  readonly heap: Heap<Task>;
  waiting: number;
}

export const needOf = (language: Need['language'], { memoryMb }: TaskOptions, foreign: boolean): Need => ({
  language,
  ...(memoryMb === undefined ? {} : { memoryMb }),
  ...(foreign ? { foreign } : {}),
});

export function lineKey(need: Need, confidential: boolean, avoid: string | null): string {
  return `${need.language}|${need.memoryMb ?? ''}|${need.foreign === true ? 'foreign' : ''}|${confidential ? 'own' : ''}|${avoid ?? ''}`;
}

/** The first task of the line that still waits in it. */
export function firstOf(line: Line): Task | undefined {
  for (let top = line.heap.peek(); top !== undefined; top = line.heap.peek()) {
    if (top.value.state === 'queued' && top.value.line === line.key) return top.value;
    line.heap.pop();
  }
  return undefined;
}

/** Why this peer could not run such a task even when idle ("it has …"), as long as it is the peer that it is; undefined when it could. */
export function lack(info: PeerInfo, need: Need): string | undefined {
  if (info.languages[need.language] === undefined) return `no ${need.language}`;
  if (need.memoryMb !== undefined && need.memoryMb > info.memoryMb) return `less than ${need.memoryMb} MB of memory`;
  return info.slots === 0 ? 'no slots' : undefined;
}

/** The same, or why it does not take such a task of the home with that key, which may be another tomorrow. */
export function misfit(info: PeerInfo, need: Need, homeKey: string): string | undefined {
  return lack(info, need) ?? (takes(info, homeKey, need.foreign === true) ? undefined : unwilling(info));
}

function unwilling({ accepts, withheld, isolation }: PeerInfo): string {
  if (accepts === 'none') return 'no leave to run tasks (--accept none)';
  if (withheld === 'isolation') return `no box for other members' tasks (isolation ${isolation})`;
  if (withheld === 'unconfirmed') return 'no word of the tracker for a day, so no leave for other members\' tasks';
  return 'no leave for other members\' tasks (--accept own)';
}

export const isUp = (runner: Runner): boolean => runner.info?.state === 'up';

export const loadOf = (runner: Runner): number => {
  const slots = runner.info?.slots ?? 0;
  return slots === 0 ? 1 : Math.min(1, (runner.others + runner.attempts.size) / slots);
};

export const cpuStepOf = (runner: Runner): number => Math.floor((runner.info?.cpu_load ?? 0) / limits.cpuStep) * limits.cpuStep;

type Decided = Receipt['decided'];

/** Negative when `a` goes before `b`; and what told them apart. */
export function compareRunners(a: Runner, b: Runner): { order: number; decided: Decided } {
  const loads = [loadOf(a), loadOf(b)] as const;
  const cpus = [cpuStepOf(a), cpuStepOf(b)] as const;
  const worst = Math.max(loads[0], cpus[0]) - Math.max(loads[1], cpus[1]);
  if (worst !== 0) {
    const winner = worst < 0 ? 1 : 0;
    return { order: worst, decided: cpus[winner] > loads[winner] ? 'cpu_load' : 'load' };
  }
  if (loads[0] !== loads[1]) return { order: loads[0] - loads[1], decided: 'load' };
  return { order: a.lastUsed - b.lastUsed, decided: 'rotation' };
}

export interface Choice {
  runner: Runner;
  receipt: Receipt;
}

const candidateOf = (runner: Runner) => ({
  peer: runner.peer,
  load: Math.round(loadOf(runner) * 1000) / 1000,
  cpu_load: Math.round((runner.info?.cpu_load ?? 0) * 1000) / 1000,
});

const receiptOf = (winner: Runner, decided: Decided, candidates: readonly Runner[], passedOver: Record<string, number> | undefined): Receipt => ({
  peer: winner.peer,
  decided,
  candidates: candidates.slice(0, limits.receiptCandidatesMax).map(candidateOf),
  ...(passedOver === undefined ? {} : { passed_over: passedOver }),
});

/** The best of runners with room, or undefined when there are none. */
export function chooseByLoad(candidates: Runner[], passedOver?: Record<string, number>): Choice | undefined {
  const [only] = candidates;
  if (only === undefined) return undefined;
  if (candidates.length === 1) return { runner: only, receipt: receiptOf(only, 'only_one', candidates, passedOver) };
  candidates.sort((a, b) => compareRunners(a, b).order);
  const [first, second] = candidates as [Runner, Runner];
  return { runner: first, receipt: receiptOf(first, compareRunners(first, second).decided, candidates, passedOver) };
}

/**
 * Without a tracker: the less loaded of two random ones. Everybody taking the one that looked best a
 * while ago would flood it (Mitzenmacher, "The power of two choices", 1996).
 */
export function chooseFromMemory(candidates: Runner[], prng: Prng): Choice | undefined {
  if (candidates.length === 0) return undefined;
  const one = candidates[prng.below(candidates.length)]!;
  const two = candidates[prng.below(candidates.length)]!;
  const pair = one === two ? [one] : [one, two];
  pair.sort((a, b) => compareRunners(a, b).order);
  return { runner: pair[0]!, receipt: receiptOf(pair[0]!, 'from_memory', pair, undefined) };
}

/** Slots' worth of attempts that may be under way beyond the slots, when a run takes `medianMs`. */
export const aheadPerSlot = (medianMs: number): number => Math.min(limits.aheadTasksMax, Math.floor(limits.aheadMs / Math.max(medianMs, 0.01)));

/** For work sent ahead: the runner whose line is the shortest for its slots. */
export function chooseAhead(candidates: Runner[]): Choice | undefined {
  let best: Runner | undefined;
  for (const runner of candidates) {
    if (best === undefined || runner.attempts.size * best.granted < best.attempts.size * runner.granted) best = runner;
  }
  return best === undefined ? undefined : { runner: best, receipt: aheadReceipt(best) };
}

/** Many tasks have the same one: what is one object here is written once there. */
function aheadReceipt(runner: Runner): Receipt {
  const cpuLoad = runner.info?.cpu_load ?? 0;
  if (runner.aheadReceipt?.cpuLoad !== cpuLoad) runner.aheadReceipt = { cpuLoad, receipt: receiptOf(runner, 'ahead', [runner], undefined) };
  return runner.aheadReceipt.receipt;
}
