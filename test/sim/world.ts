/**
 * Simulated time: everything that happens in a simulated pool is an act at a time, done one after another,
 * each in the name of a process.
 *
 * The production code runs as it is: while the world runs, the timers, clocks and random numbers that it asks
 * the system for are the world's (surroundings.ts). After each act everything that it set off by promises is
 * done before the next act begins.
 *
 * Invariant: what happens depends on the seed alone. Acts of the same time run in the order in which they
 * were planned; all randomness comes from seeded generators; nothing reads a real clock.
 */
import { nextTick } from 'node:process';
import { Heap } from '../../src/lib/heap.ts';
import { Prng } from '../../src/lib/prng.ts';
import { History } from './history.ts';
import { surround } from './surroundings.ts';

/** A process: what it had planned does not happen once it is over. */
export interface Life {
  readonly name: string;
  readonly machine: Machine;
  alive: boolean;
  /** Stopped until then: what comes due before happens then, in its order. */
  frozenUntil: number;
}

/** What a machine's clocks show. */
export interface Machine {
  readonly name: string;
  /** Ms that its monotonic clock advances in one of the world's. */
  readonly rate: number;
  /** Its wall clock is ahead of the world's by so much. */
  wallAheadMs: number;
}

export const machineOf = (name: string, rate = 1): Machine => ({ name, rate, wallAheadMs: 0 });
export const lifeOf = (name: string, machine: Machine): Life => ({ name, machine, alive: true, frozenUntil: 0 });

interface Planned {
  act: (() => void) | undefined;
  readonly life: Life | undefined;
}

/** More acts than this at one moment are a loop. */
const actsAtOnceMax = 200_000;

/** The wall clock of who has the right time. */
export const wallOf = (ms: number): number => 1_700_000_000_000 + ms;

export class World {
  readonly seed: number;
  readonly prng: Prng;
  readonly history = new History();
  ms = 0;
  /** Acts done so far. */
  acts = 0;
  /** In whose name the present act is done. */
  current: Life | undefined;
  #actsNow = 0;
  #failure: { error: unknown } | undefined;
  readonly #plan = new Heap<Planned>();

  constructor(seed: number) {
    this.seed = seed;
    this.prng = new Prng(seed);
  }

  /** A generator of its own, so that one part's draws do not shift another's. */
  stream(name: string): Prng {
    let hash = this.seed >>> 0;
    for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193) >>> 0;
    return new Prng(hash);
  }

  /** Plans an act; the returned function takes it off the plan. */
  later(delayMs: number, life: Life | undefined, act: () => void): () => void {
    const planned: Planned = { act, life };
    this.#plan.push(this.ms + Math.max(0, delayMs), planned);
    return () => (planned.act = undefined);
  }

  every(gapMs: number, life: Life | undefined, act: () => void): void {
    this.later(gapMs, life, () => {
      act();
      this.every(gapMs, life, act);
    });
  }

  /** A promise broke or a decider threw: the run ends with it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Lets time pass until `ms`, or until nothing is planned, or until `enough` says so. */
  run(untilMs: number, enough: () => boolean = () => false): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = surround(this);
      const end = (failure: { error: unknown } | undefined) => {
        leave();
        this.current = undefined;
        if (failure === undefined) resolve();
        else reject(failure.error instanceof Error ? failure.error : new Error(String(failure.error)));
      };
      const step = () => {
        try {
          const next = this.#failure === undefined ? this.#next(untilMs, enough) : undefined;
          if (next === undefined) {
            if (this.#failure === undefined && !enough()) this.ms = Math.max(this.ms, untilMs);
            return end(this.#failure);
          }
          next();
        } catch (error) {
          this.fail(error);
        }
        // The tick comes only when no promise has anything left to do.
        queueMicrotask(after);
      };
      const after = () => nextTick(step);
      nextTick(step);
    });
  }

  /** The next act that is due. */
  #next(untilMs: number, enough: () => boolean): (() => void) | undefined {
    for (;;) {
      const next = this.#plan.peek();
      if (next === undefined || next.key > untilMs || enough()) return undefined;
      this.#plan.pop();
      const { act, life } = next.value;
      if (act === undefined || life?.alive === false) continue;
      this.#actsNow = next.key > this.ms ? 0 : this.#actsNow + 1;
      if (this.#actsNow > actsAtOnceMax) throw new Error(`time stands still at ${this.ms} ms in ${life?.name ?? 'the world'}`);
      this.ms = Math.max(this.ms, next.key);
      if (life !== undefined && life.frozenUntil > this.ms) {
        this.#plan.push(life.frozenUntil, next.value);
        continue;
      }
      this.acts += 1;
      this.current = life;
      return act;
    }
  }

  // --- clocks of the process whose act is done ---------------------------------------------

  monotonic(): number {
    return this.ms * (this.current?.machine.rate ?? 1);
  }

  wall(): number {
    return Math.floor(wallOf(this.monotonic()) + (this.current?.machine.wallAheadMs ?? 0));
  }

  // --- chance ------------------------------------------------------------------------------

  between(low: number, high: number): number {
    return between(this.prng, low, high);
  }

  chance(probability: number): boolean {
    return this.between(0, 1) < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return pick(this.prng, choices);
  }
}

export const between = (prng: Prng, low: number, high: number): number => low + ((high - low) * prng.uint32()) / 0x1_0000_0000;

export function pick<T>(prng: Prng, choices: readonly T[]): T {
  const choice = choices[prng.below(choices.length)];
  if (choice === undefined) throw new Error('nothing to pick from');
  return choice;
}
