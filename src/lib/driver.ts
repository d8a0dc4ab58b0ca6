/**
 * The one shell around every decider: feeds it events, carries out what it decided, keeps its one timer.
 *
 * A decider is a pure state machine: (event, now) → Decision; it mutates only the state that it owns.
 *
 * Invariants
 * 1. Events are decided one at a time, in the order of `dispatch`.
 * 2. `send` effects go out at once. `after` effects wait until every record journaled so far, by this
 *    decision or an earlier one, is on disk; they go out in the order decided.
 * 3. One flush at a time; records that arrive during a flush share the next one (group commit).
 * 4. When a flush fails, no `after` of an uncommitted decision is released: the decider is told
 *    how far the log is whole, by an event, and the driver stops writing.
 * 5. Timers fire only after the input that is already there was read (`setImmediate` comes after poll).
 */
import type { Clock, Now } from './clock.ts';

export interface Decision<Send, Entry, After> {
  send: Send[];
  journal: Entry[];
  after: After[];
  /** When the decider wants a `tick` at the latest, in the clock's milliseconds. */
  wakeAt: number | undefined;
}

export const nothing = <Send, Entry, After>(): Decision<Send, Entry, After> => ({ send: [], journal: [], after: [], wakeAt: undefined });

export interface Decider<Event, Send, Entry, After> {
  decide(event: Event, now: Now): Decision<Send, Entry, After>;
}

/** Where records go. `append` only buffers and returns the record's number; `flush` makes all of them durable. */
export interface Recorder<Entry> {
  append(entry: Entry): number;
  flush(): Promise<number>;
}

export interface DriverOptions<Event, Send, Entry, After> {
  decider: Decider<Event, Send, Entry, After>;
  clock: Clock;
  recorder: Recorder<Entry> | undefined;
  tick: Event;
  committed?: (seq: number) => Event | undefined;
  /** `lost`: the effects that waited for the commit and will not be released. */
  commitFailed?: (error: unknown, lost: readonly After[]) => Event;
  send: (effect: Send) => void;
  release: (effect: After) => void;
  /** A decider that throws is a bug; the process must not go on as if nothing were. */
  broken: (error: unknown) => void;
}

/** Below the longest tick of a clock. */
const lookMs = 500;

export class Driver<Event, Send, Entry, After> {
  readonly #o: DriverOptions<Event, Send, Entry, After>;
  readonly #queue: Event[] = [];
  readonly #held: { seq: number; effect: After }[] = [];
  #appended = 0;
  #durable = 0;
  #flushing = false;
  #flushPlanned = false;
  #failed = false;
  #deciding = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(options: DriverOptions<Event, Send, Entry, After>) {
    this.#o = options;
  }

  dispatch(event: Event): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    if (this.#deciding) return;
    this.#deciding = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next);
    } catch (error) {
      this.#stopped = true;
      this.#o.broken(error);
    } finally {
      this.#deciding = false;
    }
  }

  /** Resolves when everything decided so far is on disk and released, or writing has failed. */
  async settled(): Promise<void> {
    while (!this.#stopped && !this.#failed && (this.#flushing || this.#appended > this.#durable)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #step(event: Event): void {
    const now = this.#o.clock.now();
    const decision = this.#o.decider.decide(event, now);
    if (decision.journal.length > 0 && this.#o.recorder !== undefined && !this.#failed) {
      for (const entry of decision.journal) this.#appended = this.#o.recorder.append(entry);
      this.#planFlush();
    }
    for (const effect of decision.send) this.#o.send(effect);
    if (!this.#failed && (this.#appended > this.#durable || this.#held.length > 0)) {
      for (const effect of decision.after) this.#held.push({ seq: this.#appended, effect });
    } else {
      for (const effect of decision.after) this.#o.release(effect);
    }
    this.#wake(decision.wakeAt, now.ms);
  }

  #planFlush(): void {
    if (this.#flushing || this.#flushPlanned) return;
    this.#flushPlanned = true;
    setImmediate(() => {
      this.#flushPlanned = false;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    if (this.#o.recorder === undefined || this.#failed || this.#flushing) return;
    this.#flushing = true;
    try {
      this.#durable = await this.#o.recorder.flush();
    } catch (error) {
      this.#failed = true;
      this.#flushing = false;
      const lost = this.#held.splice(0).map(({ effect }) => effect);
      if (this.#o.commitFailed === undefined) throw error;
      this.dispatch(this.#o.commitFailed(error, lost));
      return;
    }
    this.#flushing = false;
    if (this.#stopped) return;
    this.#releaseHeld();
    const event = this.#o.committed?.(this.#durable);
    if (event !== undefined) this.dispatch(event);
    if (this.#appended > this.#durable) this.#planFlush();
  }

  #releaseHeld(): void {
    let released = 0;
    while (released < this.#held.length && this.#held[released]!.seq <= this.#durable) {
      this.#o.release(this.#held[released]!.effect);
      released += 1;
    }
    this.#held.splice(0, released);
  }

  /** The one timer. It looks at the clock at least once a second, because a `TickClock` advances no faster. */
  #wake(at: number | undefined, nowMs: number): void {
    if (at === undefined || at >= this.#timerAt) return;
    this.#timerAt = at;
    this.#arm(nowMs);
  }

  #arm(nowMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => setImmediate(() => this.#ring()), Math.min(Math.max(0, this.#timerAt - nowMs), lookMs));
  }

  #ring(): void {
    if (this.#stopped) return;
    const now = this.#o.clock.now().ms;
    if (now < this.#timerAt) return this.#arm(now);
    this.#timerAt = Infinity;
    this.dispatch(this.#o.tick);
  }
}
