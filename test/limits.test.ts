import { describe, expect, it } from 'vitest';
import { checkLimits, limits } from '../src/limits.ts';

describe('the limits', () => {
  it('hold together', () => {
    expect(checkLimits()).toEqual([]);
  });

  it('are checked by something that can fail', () => {
    expect(checkLimits({ ...limits, inlineBytesMax: limits.frameBytesMax } as unknown as typeof limits)).toHaveLength(1);
  });
});
