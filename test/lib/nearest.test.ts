import { expect, it } from 'vitest';
import { editDistance, nearest } from '../../src/lib/nearest.ts';

it('counts swapped neighbours as one slip', () => {
  expect(editDistance('stauts', 'status')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
});

it('suggests what was meant, and nothing when nothing is near', () => {
  const commands = ['status', 'peers', 'peer', 'history', 'cpu'];
  expect(nearest('statsu', commands)).toBe('status');
  expect(nearest('peesr', commands)).toBe('peers');
  expect(nearest('hist', commands)).toBe('history');
  expect(nearest('banana', commands)).toBeUndefined();
});
