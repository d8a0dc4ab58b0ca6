/** When each member was last linked to the tracker; by the wall clock, for people only. */
export class LastSeen {
  readonly #wallOf = new Map<string, number>();
  #changed = false;

  /** @param text as `toText` made it; anything else counts as nothing */
  load(text: string): void {
    let entries: unknown;
    try {
      entries = JSON.parse(text);
    } catch {
      return; // half a file: people see when members were seen since then
    }
    if (typeof entries !== 'object' || entries === null) return;
    for (const [key, wall] of Object.entries(entries)) if (typeof wall === 'number') this.#wallOf.set(key, wall);
  }

  /** What is to be kept, if it changed since the last time. */
  toText(): string | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return JSON.stringify(Object.fromEntries(this.#wallOf));
  }

  seen(key: string): void {
    this.#wallOf.set(key, Date.now());
    this.#changed = true;
  }

  /** Milliseconds since 1970; undefined: never. */
  of(key: string): number | undefined {
    return this.#wallOf.get(key);
  }
}
