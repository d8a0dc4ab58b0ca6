/**
 * A set that remembers only a 53-bit fingerprint of each string: 16 bytes for each, however long.
 * `has` may say yes for a string never added (about once in 10⁹ questions at a million strings), so a
 * yes is always checked against the full record; a no is certain.
 */
export class Fingerprints {
  #table = new Float64Array(1024);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  add(text: string): void {
    if ((this.#count + 1) * 2 > this.#table.length) this.#grow();
    if (insert(this.#table, fingerprint(text))) this.#count += 1;
  }

  has(text: string): boolean {
    const wanted = fingerprint(text);
    const mask = this.#table.length - 1;
    for (let at = wanted % this.#table.length; ; at = (at + 1) & mask) {
      const found = this.#table[at]!;
      if (found === wanted) return true;
      if (found === 0) return false;
    }
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Float64Array(old.length * 2);
    for (const entry of old) if (entry !== 0) insert(this.#table, entry);
  }
}

function insert(table: Float64Array, entry: number): boolean {
  const mask = table.length - 1;
  for (let at = entry % table.length; ; at = (at + 1) & mask) {
    const found = table[at]!;
    if (found === entry) return false;
    if (found === 0) {
      table[at] = entry;
      return true;
    }
  }
}

/** Two FNV-1a-like walks with different constants, joined to 53 bits; never 0. */
function fingerprint(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x5bd1e995);
    high ^= high >>> 15;
  }
  low ^= low >>> 16;
  return (high >>> 0) % 0x20_0000 * 0x1_0000_0000 + (low >>> 0) || 1;
}
