/**
 * Fingerprints of strings that are forgotten oldest first: each comes with a number that never falls, and
 * `dropBefore` lets go of whole generations whose numbers are all below one. As with `Fingerprints`, a yes
 * is to be checked and a no is certain.
 */
import { Fingerprints } from './fingerprints.ts';

/** Strings in one generation: few generations to look through, small steps of forgetting. */
const generationMax = 500_000;

interface Generation {
  set: Fingerprints;
  last: number;
}

export class FingerprintGenerations {
  readonly #generationMax: number;
  /** Oldest first. */
  readonly #generations: Generation[] = [];

  constructor(max: number = generationMax) {
    this.#generationMax = max;
  }

  get size(): number {
    return this.#generations.reduce((sum, { set }) => sum + set.size, 0);
  }

  add(text: string, number: number): void {
    let newest = this.#generations.at(-1);
    if (newest === undefined || newest.set.size >= this.#generationMax) {
      newest = { set: new Fingerprints(), last: number };
      this.#generations.push(newest);
    }
    newest.set.add(text);
    newest.last = Math.max(newest.last, number);
  }

  has(text: string): boolean {
    return this.#generations.some(({ set }) => set.has(text));
  }

  dropBefore(number: number): void {
    while (this.#generations[0] !== undefined && this.#generations[0].last < number) this.#generations.shift();
  }
}
