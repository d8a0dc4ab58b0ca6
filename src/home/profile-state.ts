/** How long calls of one function take, learnt from their runs. */
const remembered = 9;

export class Profile {
  readonly #lastUs: number[] = [];
  #at = 0;
  #medianUs: number | undefined;

  /** The median of the last runs in ms; undefined until there are three. */
  get medianMs(): number | undefined {
    return this.#medianUs === undefined ? undefined : this.#medianUs / 1000;
  }

  add(runUs: number): void {
    this.#lastUs[this.#at] = runUs;
    this.#at = (this.#at + 1) % remembered;
    if (this.#lastUs.length < 3) return;
    if (this.#lastUs.length === remembered && this.#at % 3 !== 0) return;
    const sorted = this.#lastUs.toSorted((a, b) => a - b);
    this.#medianUs = sorted[sorted.length >> 1];
  }
}
