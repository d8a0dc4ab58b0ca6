import { describe, expect, it } from 'vitest';
import { isCompatible } from '../../src/wire/version.ts';

describe('versions of the protocol', () => {
  it.each([
    [100, 100, true],
    [100, 101, true],
    [101, 100, true],
    [100, 102, false],
    [199, 200, false],
    [200, 199, false],
    [100, 200, false],
    [0, 100, false],
  ])('%i and %i: %s', (theirs, ours, together) => {
    expect(isCompatible(theirs, ours)).toBe(together);
  });
});
