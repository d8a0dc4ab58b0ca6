import { describe, expect, it } from 'vitest';
import { FingerprintGenerations } from '../../src/lib/fingerprint-generations.ts';

describe('fingerprints in generations', () => {
  it('know what was added until all of its generation is dropped', () => {
    const known = new FingerprintGenerations(10);
    for (let n = 1; n <= 100; n += 1) known.add(`id ${n}`, n);
    expect(known.size).toBe(100);
    known.dropBefore(45);
    for (let n = 41; n <= 100; n += 1) expect(known.has(`id ${n}`)).toBe(true);
    expect(known.has('id 40')).toBe(false);
    expect(known.size).toBe(60);
    known.dropBefore(1_000);
    expect([known.size, known.has('id 100')]).toEqual([0, false]);
  });

  it('keep what was added again, with a later number', () => {
    const known = new FingerprintGenerations(2);
    known.add('a', 1);
    known.add('b', 2);
    known.add('a', 9);
    known.dropBefore(5);
    expect([known.has('a'), known.has('b')]).toEqual([true, false]);
  });
});
