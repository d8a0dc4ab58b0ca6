/**
 * A small seeded generator (xoshiro128**, Blackman and Vigna 2018), for deciders and tests: the same
 * seed gives the same numbers on every machine. Not for secrets.
 */
export class Prng {
  readonly #s: Uint32Array;

  /** @param seed four 32-bit words, not all zero; a single number is spread by splitmix32 */
  constructor(seed: number | readonly [number, number, number, number]) {
    if (typeof seed === 'number') {
      let x = seed >>> 0;
      const next = () => {
        x = (x + 0x9e3779b9) >>> 0;
        let z = x;
        z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
        z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
        return (z ^ (z >>> 15)) >>> 0;
      };
      this.#s = Uint32Array.of(next(), next(), next(), next() | 1);
    } else {
      this.#s = Uint32Array.from(seed);
      if (this.#s.every((word) => word === 0)) this.#s[3] = 1;
    }
  }

  /** 0 ≤ integer < 2³². */
  uint32(): number {
    const s = this.#s;
    const [a, b, c, d] = [s[0]!, s[1]!, s[2]!, s[3]!];
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    s[2] = c ^ a;
    s[3] = d ^ b;
    s[1] = b ^ s[2]!;
    s[0] = a ^ s[3]!;
    s[2] = s[2]! ^ (b << 9);
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** 0 ≤ integer < bound, for bounds far below 2³². */
  below(bound: number): number {
    return Math.floor((this.uint32() / 0x1_0000_0000) * bound);
  }

  /** 16 hexadecimal digits. */
  hex64(): string {
    return hex32(this.uint32()) + hex32(this.uint32());
  }
}

/** Bytes as 2 hexadecimal digits: looked up far faster than made. */
const hex8 = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, '0'));
const hex32 = (word: number): string => hex8[word >>> 24]! + hex8[(word >>> 16) & 255]! + hex8[(word >>> 8) & 255]! + hex8[word & 255]!;
