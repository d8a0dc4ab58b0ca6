/**
 * The one shell around every decider: feeds it events, carries out what it decided, keeps its one timer.
 *
 * A decider is a pure state machine: (event, now) → Decision; it mutates only the state that it owns.
 *
 * Invariants
 * 1. Events are decided in the order of `dispatch`, once the code that dispatches has returned; those that
 *    came together (from one read of a socket) are decided together.
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

export interface Decider<Event, Send, Entry, After> {
  decide(event: Event, now: Now): Decision<Send, Entry, After>;
  /** Several events at once, in their order: what must be done once after all of them is done once. */
  decideAll?(events: readonly Event[], now: Now): Decision<Send, Entry, After>;
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
  #queue: Event[] = [];
  readonly #held: { seq: number; effects: After[] }[] = [];
  #appended = 0;
  #durable = 0;
  #flushing = false;
  #flushPlanned = false;
  #failed = false;
  #planned = false;
  #draining = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(options: DriverOptions<Event, Send, Entry, After>) {
    this.#o = options;
  }

  dispatch(event: Event): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    this.#planDrain();
  }

  #planDrain(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => this.#drain());
  }

  /** Decides now what was dispatched, because the caller is about to read the decider's state. Not from within an effect. */
  catchUp(): void {
    if (!this.#draining) this.#drain();
  }

  #drain(): void {
    this.#draining = true;
    try {
      while (this.#queue.length > 0 && !this.#stopped) {
        const events = this.#queue;
        this.#queue = [];
        this.#step(events);
      }
    } catch (error) {
      this.#stopped = true;
      this.#o.broken(error);
    } finally {
      this.#draining = false;
      this.#planned = false;
    }
  }

  /** Resolves when everything decided so far is on disk and released, or writing has failed. */
  async settled(): Promise<void> {
    while (!this.#stopped && !this.#failed && (this.#planned || this.#flushing || this.#appended > this.#durable)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #step(events: readonly Event[]): void {
    const { decider } = this.#o;
    const now = this.#o.clock.now();
    if (decider.decideAll !== undefined) this.#carryOut(decider.decideAll(events, now), now);
    else for (const event of events) this.#carryOut(decider.decide(event, now), now);
  }

  #carryOut({ journal, send, after, wakeAt }: Decision<Send, Entry, After>, now: Now): void {
    const { recorder } = this.#o;
    const records = journal.length > 0 && recorder !== undefined && !this.#failed;
    if (records) for (const entry of journal) this.#appended = recorder.append(entry);
    for (const effect of send) this.#o.send(effect);
    // After them: what leaves at the end of this turn leaves before the turn's records are made into bytes.
    if (records) this.#planFlush();
    if (after.length > 0) {
      if (!this.#failed && (this.#appended > this.#durable || this.#held.length > 0)) this.#held.push({ seq: this.#appended, effects: after });
      else for (const effect of after) this.#o.release(effect);
    }
    this.#wake(wakeAt, now.ms);
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
      const lost = this.#held.splice(0).flatMap(({ effects }) => effects);
      if (this.#o.commitFailed === undefined) throw error;
      // Before what came meanwhile: nothing may be decided any more as if it could be recorded.
      this.#queue.unshift(this.#o.commitFailed(error, lost));
      this.#planDrain();
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
      for (const effect of this.#held[released]!.effects) this.#o.release(effect);
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
