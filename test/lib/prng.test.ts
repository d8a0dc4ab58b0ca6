import { describe, expect, it } from 'vitest';
import { Prng } from '../../src/lib/prng.ts';

/** The generator once more, in 64-bit arithmetic, from its published definition. */
function reference(words: readonly number[], count: number): number[] {
  const mask = 0xffffffffn;
  const s = words.map((word) => BigInt(word));
  const rotl = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & mask;
  return Array.from({ length: count }, () => {
    const result = (rotl((s[1]! * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1]! << 9n) & mask;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotl(s[3]!, 11n);
    return Number(result);
  });
}

const take = (prng: Prng, count: number) => Array.from({ length: count }, () => prng.uint32());

describe('the generator', () => {
  it('gives the numbers of its definition', () => {
    for (const seed of [[1, 2, 3, 4], [0xffffffff, 0, 0x80000000, 7]] as const) expect(take(new Prng(seed), 1_000)).toEqual(reference(seed, 1_000));
    expect(take(new Prng([1, 2, 3, 4]), 4)).toEqual([11520, 0, 5927040, 70819200]);
  });

  it('gives the same from the same seed, and something else from another', () => {
    expect(take(new Prng(5), 50)).toEqual(take(new Prng(5), 50));
    expect(take(new Prng(5), 50)).not.toEqual(take(new Prng(6), 50));
    expect(new Set(take(new Prng([0, 0, 0, 0]), 50)).size).toBeGreaterThan(40);
  });

  it('stays below its bound and reaches all of it', () => {
    const prng = new Prng(1);
    expect(new Set(Array.from({ length: 500 }, () => prng.below(7)))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });

  it('makes keys of sixteen hexadecimal digits, all different', () => {
    const prng = new Prng(1);
    const keys = Array.from({ length: 1_000 }, () => prng.hex64());
    expect(keys.every((key) => /^[0-9a-f]{16}$/.test(key))).toBe(true);
    expect(new Set(keys).size).toBe(1_000);
  });
});
