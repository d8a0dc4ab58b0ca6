/** Waiting times that double from `msMin` to `msMax`, with up to a quarter less so that many do not come at once. */
export class Backoff {
  readonly #msMin: number;
  readonly #msMax: number;
  readonly #random: () => number;
  #next: number;

  constructor(msMin: number, msMax: number, random: () => number = Math.random) {
    this.#msMin = msMin;
    this.#msMax = msMax;
    this.#random = random;
    this.#next = msMin;
  }

  /** The next wait, in milliseconds. */
  next(): number {
    const wait = this.#next;
    this.#next = Math.min(wait * 2, this.#msMax);
    return wait * (1 - this.#random() / 4);
  }

  reset(): void {
    this.#next = this.#msMin;
  }
}
