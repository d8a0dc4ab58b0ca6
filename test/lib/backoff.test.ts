import { describe, expect, it } from 'vitest';
import { Backoff } from '../../src/lib/backoff.ts';

describe('waiting times', () => {
  it('double up to the longest, and start again after a success', () => {
    const backoff = new Backoff(50, 300, () => 0);
    expect([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()]).toEqual([50, 100, 200, 300, 300]);
    backoff.reset();
    expect(backoff.next()).toBe(50);
  });

  it('are up to a quarter shorter, so that many do not come at once', () => {
    expect(new Backoff(100, 100, () => 0.999).next()).toBeCloseTo(75, 0);
  });
});
