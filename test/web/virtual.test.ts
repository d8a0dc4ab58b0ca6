/** A list that is taller than a browser can make anything. */
import { expect, it } from 'vitest';
import { windowOf } from '../../web/parts/virtual.ts';

it('a short list is as tall as it is', () => {
  expect(windowOf(1_000, 28, 700, 280)).toEqual({ top: 280, height: 28_000, scale: 1 });
});

it('of a million rows the first and the last are reached, below the height at which browsers stop', () => {
  const rows = 1_000_000;
  const { height } = windowOf(rows, 28, 700, 0);
  expect(height).toBeLessThan(17_000_000);
  expect(windowOf(rows, 28, 700, 0).top).toBe(0);
  expect(windowOf(rows, 28, 700, height - 700).top).toBeCloseTo(rows * 28 - 700, 3);
});
