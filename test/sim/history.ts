/**
 * What happened in a run, as a hash of every line and, when asked for, the lines themselves. Two runs with the
 * same hash did the same things at the same times.
 */
export class History {
  /** Kept when somebody wants to read them. */
  lines: string[] | undefined;
  #a = 0x811c9dc5;
  #b = 0x1b873593;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(ms: number, who: string, what: string): void {
    this.#count += 1;
    this.#mix(Math.round(ms * 1000) >>> 0);
    this.#text(who);
    this.#text(what);
    this.lines?.push(`${ms.toFixed(3).padStart(12)} ${who.padEnd(9)} ${what}`);
  }

  get hash(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #text(text: string): void {
    for (let at = 0; at < text.length; at += 1) this.#mix(text.charCodeAt(at));
    this.#mix(0xffff);
  }

  #mix(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193);
    this.#b = Math.imul((this.#b << 5) ^ (this.#b >>> 2) ^ value, 0x9e3779b1);
  }
}
