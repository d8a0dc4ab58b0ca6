/**
 * The rules of src/lib/driver.ts on simulated time: same order, same group commit, same holding back.
 * (The real one needs promises and timers, which no seed can order.) sim-driver.test.ts holds them together.
 */
import type { Clock, Now } from '../../src/lib/clock.ts';
import type { Decider, Decision } from '../../src/lib/driver.ts';
import type { Life, World } from './world.ts';

/** Where records go; `flushed` is called once, later. */
export interface SimRecorder<Entry> {
  append(entry: Entry): number;
  flush(flushed: (result: { durable: number } | { error: unknown }) => void): void;
}

export interface SimDriverOptions<Event, Send, Entry, After> {
  world: World;
  life: Life;
  decider: Decider<Event, Send, Entry, After>;
  clock: Clock;
  recorder: SimRecorder<Entry> | undefined;
  tick: Event;
  commitFailed?: (error: unknown, lost: readonly After[]) => Event;
  send: (effect: Send) => void;
  release: (effect: After) => void;
}

const lookMs = 500;
/** As of setTimeout. */
const timerMsMin = 1;

export class SimDriver<Event, Send, Entry, After> {
  readonly #o: SimDriverOptions<Event, Send, Entry, After>;
  #queue: Event[] = [];
  readonly #held: { seq: number; effect: After }[] = [];
  #appended = 0;
  #durable = 0;
  #flushing = false;
  #failed = false;
  #planned = false;
  #draining = false;
  #stopped = false;
  #timerAt = Infinity;
  #cancelTimer: () => void = () => {};

  constructor(options: SimDriverOptions<Event, Send, Entry, After>) {
    this.#o = options;
  }

  dispatch(event: Event): void {
    if (this.#stopped || !this.#o.life.alive) return;
    this.#queue.push(event);
    this.#planDrain();
  }

  #planDrain(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#o.world.soon(() => this.#drain());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  catchUp(): void {
    if (!this.#draining) this.#drain();
  }

  #drain(): void {
    this.#draining = true;
    while (this.#queue.length > 0 && !this.#stopped && this.#o.life.alive) {
      const events = this.#queue;
      this.#queue = [];
      this.#step(events);
    }
    this.#draining = false;
    this.#planned = false;
  }

  #step(events: readonly Event[]): void {
    const { decider, clock } = this.#o;
    const now = clock.now();
    if (decider.decideAll !== undefined) this.#carryOut(decider.decideAll(events, now), now);
    else for (const event of events) this.#carryOut(decider.decide(event, now), now);
  }

  #carryOut(decision: Decision<Send, Entry, After>, now: Now): void {
    if (this.#o.recorder !== undefined && !this.#failed) {
      for (const entry of decision.journal) this.#appended = this.#o.recorder.append(entry);
      if (decision.journal.length > 0) this.#planFlush();
    }
    for (const effect of decision.send) this.#o.send(effect);
    const waits = !this.#failed && (this.#appended > this.#durable || this.#held.length > 0);
    for (const effect of decision.after) {
      if (waits) this.#held.push({ seq: this.#appended, effect });
      else this.#o.release(effect);
    }
    this.#wake(decision.wakeAt, now.ms);
  }

  #planFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#o.world.later(0, this.#o.life, () => this.#o.recorder?.flush((result) => this.#flushed(result)));
  }

  #flushed(result: { durable: number } | { error: unknown }): void {
    this.#flushing = false;
    if (this.#stopped || !this.#o.life.alive) return;
    if ('error' in result) {
      this.#failed = true;
      const lost = this.#held.splice(0).map(({ effect }) => effect);
      if (this.#o.commitFailed === undefined) throw result.error;
      this.#queue.unshift(this.#o.commitFailed(result.error, lost));
      return this.#planDrain();
    }
    this.#durable = result.durable;
    const open = this.#held.findIndex(({ seq }) => seq > this.#durable);
    for (const { effect } of this.#held.splice(0, open < 0 ? this.#held.length : open)) this.#o.release(effect);
    if (this.#appended > this.#durable) this.#planFlush();
  }

  #wake(at: number | undefined, nowMs: number): void {
    if (at === undefined || at >= this.#timerAt) return;
    this.#timerAt = at;
    this.#arm(nowMs);
  }

  #arm(nowMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#o.world.later(Math.min(Math.max(timerMsMin, this.#timerAt - nowMs), lookMs), this.#o.life, () => this.#ring());
  }

  #ring(): void {
    const now = this.#o.clock.now().ms;
    if (now < this.#timerAt) return this.#arm(now);
    this.#timerAt = Infinity;
    this.dispatch(this.#o.tick);
  }
}
