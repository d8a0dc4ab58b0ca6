/**
 * What a runner reports for the pool's audit: other members' attempts that it started, and those that it does
 * not take because of who asks. Counted, not listed: one line for what is alike in some seconds.
 */
import { limits } from '../limits.ts';

export interface Observation {
  what: 'foreign_started' | 'refused';
  /** The submitter's key. */
  key: string;
  detail: string;
  count: number;
}

export class Observed {
  readonly #gathered = new Map<string, Observation>();
  #since = 0;

  note(what: Observation['what'], key: string, detail: string, nowMs: number): void {
    const name = `${what} ${key} ${detail}`;
    const known = this.#gathered.get(name) ?? (this.#gathered.size < limits.observedKindsMax ? undefined : [...this.#gathered.values()].at(-1));
    if (known !== undefined) {
      known.count += 1;
      return;
    }
    if (this.#gathered.size === 0) this.#since = nowMs;
    this.#gathered.set(name, { what, key, detail, count: 1 });
  }

  /** What is due. */
  take(nowMs: number): Observation[] {
    if (this.#gathered.size === 0 || nowMs - this.#since < limits.observedGatherMs) return [];
    const due = [...this.#gathered.values()];
    this.#gathered.clear();
    return due;
  }
}
