/**
 * Values by key, as many as their bytes allow: the oldest go first, but never the one just added, nor one
 * that is still needed.
 */
export class ByteCache {
  readonly #bytesMax: number;
  readonly #isNeeded: (key: string) => boolean;
  /** Oldest first. */
  readonly #values = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number, isNeeded: (key: string) => boolean = () => false) {
    this.#bytesMax = bytesMax;
    this.#isNeeded = isNeeded;
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  add(key: string, value: Uint8Array): void {
    if (this.#values.has(key)) return;
    this.#values.set(key, value);
    this.#bytes += value.length;
    for (const [oldest, { length }] of this.#values) {
      if (this.#bytes <= this.#bytesMax || oldest === key) return;
      if (this.#isNeeded(oldest)) continue;
      this.#values.delete(oldest);
      this.#bytes -= length;
    }
  }

  /** It was used: now it is the newest. */
  touch(key: string): void {
    const value = this.#values.get(key);
    if (value === undefined) return;
    this.#values.delete(key);
    this.#values.set(key, value);
  }
}
