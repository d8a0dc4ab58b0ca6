/**
 * Time as an argument. Deciders get a `Now`; only shells own a `Clock`.
 *
 * Invariant: `ms` never runs backwards and, in a `TickClock`, advances at most `tickMsMax` between two
 * readings: a process that was stopped for an hour wakes to find that one tick has passed, reads what
 * arrived meanwhile, and only then may judge that somebody was silent.
 */
export interface Now {
  /** Monotonic milliseconds; decides everything. */
  readonly ms: number;
  /** Milliseconds since 1970; only ever shown. */
  readonly wall: number;
}

export interface Clock {
  now(): Now;
}

export class TickClock implements Clock {
  readonly #tickMsMax: number;
  readonly #monotonic: () => number;
  readonly #wall: () => number;
  #last: number;
  #ms: number;

  /** @param startMs where this clock continues, for example the last time found in a journal */
  constructor(tickMsMax: number, startMs = 0, monotonic: () => number = () => performance.now(), wall: () => number = Date.now) {
    this.#tickMsMax = tickMsMax;
    this.#monotonic = monotonic;
    this.#wall = wall;
    this.#last = monotonic();
    this.#ms = startMs;
  }

  now(): Now {
    const read = this.#monotonic();
    this.#ms += Math.min(Math.max(0, read - this.#last), this.#tickMsMax);
    this.#last = read;
    return { ms: this.#ms, wall: this.#wall() };
  }
}
