import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLimits, limits } from '../src/limits.ts';

describe('the limits', () => {
  it('hold together', () => {
    expect(checkLimits()).toEqual([]);
  });

  it('of a result are the same in the guests', () => {
    const boundOf = (path: string) => /RESULT_BYTES_MAX = (\d+) \* 1024 \* 1024/.exec(readFileSync(new URL(`../src/sandbox/guests/${path}`, import.meta.url), 'utf8'))?.[1];
    expect([boundOf('potluck_guest/values.py'), boundOf('node_guest/values.mjs')].map((mebibytes) => Number(mebibytes) * 1024 * 1024)).toEqual([limits.valueBytesMax, limits.valueBytesMax]);
  });

  it('are checked by something that can fail', () => {
    expect(checkLimits({ ...limits, inlineBytesMax: limits.frameBytesMax } as unknown as typeof limits)).toHaveLength(1);
  });
});
