/**
 * Simulated time: everything that happens in a simulated pool is an act at a time, done one after another.
 *
 * Invariant: what happens depends on the seed alone. Acts of the same time run in the order in which they
 * were planned; all randomness comes from `prng`; nothing reads a real clock.
 */
import { TickClock } from '../../src/lib/clock.ts';
import { Heap } from '../../src/lib/heap.ts';
import { Prng } from '../../src/lib/prng.ts';
import { limits } from '../../src/limits.ts';
import type { Membership } from './members.ts';

/** The life of a process: what it had planned does not happen once it is over. */
export interface Life {
  alive: boolean;
  /** Stopped until then: what comes due before happens then, in its order. */
  frozenUntil?: number;
  /** Left out: as everybody. */
  member?: Membership;
}

/** More acts than this at one moment are a loop. */
const actsAtOnceMax = 100_000;

/** The wall clock of everybody. */
export const wallOf = (ms: number): number => 1_700_000_000_000 + ms;

export class World {
  readonly prng: Prng;
  ms = 0;
  /** Acts done so far. */
  acts = 0;
  #actsNow = 0;
  readonly #soon: (() => void)[] = [];
  readonly #plan = new Heap<{ act: (() => void) | undefined }>();

  constructor(seed: number) {
    this.prng = new Prng(seed);
  }

  /** Plans an act; the returned function takes it off the plan. */
  later(delayMs: number, life: Life | undefined, act: () => void): () => void {
    return this.#at(this.ms + Math.max(0, delayMs), life, act);
  }

  #at(ms: number, life: Life | undefined, act: () => void): () => void {
    const entry: { act: (() => void) | undefined } = { act: life === undefined ? act : () => this.whenAwake(life, act) };
    this.#plan.push(ms, entry);
    return () => (entry.act = undefined);
  }

  /** Now, or when a frozen process goes on; never, when it is over. */
  whenAwake(life: Life, act: () => void): void {
    if (!life.alive) return;
    if ((life.frozenUntil ?? 0) <= this.ms) act();
    else this.#at(life.frozenUntil!, life, act);
  }

  /** After everything else that happens at this moment, like what comes with one read of a socket. */
  soon(act: () => void): void {
    this.#soon.push(act);
  }

  every(gapMs: number, life: Life | undefined, act: () => void): void {
    this.later(gapMs, life, () => {
      act();
      this.every(gapMs, life, act);
    });
  }

  /** Lets time pass until `ms`, or until nothing is planned, or until `enough` says so. */
  run(untilMs: number, enough: () => boolean = () => false): void {
    for (let next = this.#next(); next !== undefined && next.key <= untilMs && !enough(); next = this.#next()) {
      this.#actsNow = next.key > this.ms ? 0 : this.#actsNow + 1;
      if (this.#actsNow > actsAtOnceMax) throw new Error(`time stands still at ${this.ms} ms`);
      this.ms = next.key;
      this.acts += 1;
      this.#plan.pop();
      next.value.act?.();
    }
    if (!enough()) this.ms = Math.max(this.ms, untilMs);
  }

  #next(): { key: number; value: { act: (() => void) | undefined } } | undefined {
    for (;;) {
      const next = this.#plan.peek();
      if (this.#soon.length === 0 || (next !== undefined && next.key <= this.ms)) return next;
      for (const act of this.#soon.splice(0)) act();
    }
  }

  /** The clock of a process that starts now. */
  clock(startMs = 0): TickClock {
    return new TickClock(limits.tickMsMax, startMs, () => this.ms, () => wallOf(this.ms));
  }

  between(low: number, high: number): number {
    return low + ((high - low) * this.prng.uint32()) / 0x1_0000_0000;
  }

  chance(probability: number): boolean {
    return this.between(0, 1) < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.prng.below(choices.length)];
    if (choice === undefined) throw new Error('nothing to pick from');
    return choice;
  }
}
