import { describe, expect, it } from 'vitest';
import { TickClock } from '../../src/lib/clock.ts';

const clockOf = (reads: number[], startMs = 0) => new TickClock(1_000, startMs, () => reads.shift() ?? 0, () => 7);

describe('a clock of ticks', () => {
  it('advances at most one tick between two readings: a process that was frozen does not expire the world', () => {
    const clock = clockOf([0, 500, 3_600_000, 3_600_100]);
    expect([clock.now().ms, clock.now().ms, clock.now().ms]).toEqual([500, 1_500, 1_600]);
  });

  it('never runs backwards, whatever it reads', () => {
    const clock = clockOf([100, 50, 60]);
    expect([clock.now().ms, clock.now().ms]).toEqual([0, 10]);
  });

  it('goes on from where it is told, and only shows the wall clock', () => {
    expect(clockOf([0, 5], 1_000).now()).toEqual({ ms: 1_005, wall: 7 });
  });
});
