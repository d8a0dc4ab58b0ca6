import { describe, expect, it } from 'vitest';
import { Fingerprints } from '../../src/lib/fingerprints.ts';

const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `019abcde-${(from + at).toString(16).padStart(12, '0')}`);

describe('fingerprints', () => {
  it('never deny what was added, also after growing many times', () => {
    const set = new Fingerprints();
    const added = ids(0, 20_000);
    for (const id of added) set.add(id);
    expect(added.filter((id) => !set.has(id))).toEqual([]);
  });

  it('hardly ever claim what was not: none of a hundred thousand', () => {
    const set = new Fingerprints();
    for (const id of ids(0, 20_000)) set.add(id);
    expect(ids(20_000, 120_000).filter((id) => set.has(id))).toEqual([]);
  });

  it('count a string once', () => {
    const set = new Fingerprints();
    for (const id of [...ids(0, 100), ...ids(50, 150), '', '']) set.add(id);
    expect(set.size).toBe(151);
  });

  it('tell apart what differs in one letter or in order', () => {
    const set = new Fingerprints();
    set.add('abcd');
    expect(['abce', 'abdc', 'bacd', 'abc', 'abcdd', 'ABCD'].filter((text) => set.has(text))).toEqual([]);
  });
});
