/** Max-min shares against a brute-force filling of one unit after another. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fairShares } from '../../src/tracker/shares-state.ts';

/** Pours the capacity drop by drop to whoever has least and still wants more. */
function poured(capacity: number, wanted: readonly number[], drop: number): number[] {
  const shares = wanted.map(() => 0);
  for (let left = capacity; left > drop / 2; left -= drop) {
    let least = -1;
    wanted.forEach((want, at) => {
      if (shares[at]! + drop / 2 < want && (least < 0 || shares[at]! < shares[least]!)) least = at;
    });
    if (least < 0) break;
    shares[least]! += drop;
  }
  return shares;
}

const claims = fc.array(fc.nat(20), { minLength: 1, maxLength: 6 });

describe('fair shares', () => {
  it('are what pouring gives', () => {
    fc.assert(
      fc.property(fc.nat(40), claims, (capacity, wanted) => {
        const drop = 1 / 8;
        const expected = poured(capacity, wanted, drop);
        fairShares(capacity, wanted).forEach((share, at) => expect(Math.abs(share - expected[at]!)).toBeLessThanOrEqual(drop + 1e-9));
      }),
    );
  });

  it('use all there is, or all that is wanted, and give nobody more than wanted', () => {
    fc.assert(
      fc.property(fc.nat(40), claims, (capacity, wanted) => {
        const shares = fairShares(capacity, wanted);
        const sum = (numbers: readonly number[]) => numbers.reduce((one, two) => one + two, 0);
        expect(sum(shares)).toBeCloseTo(Math.min(capacity, sum(wanted)), 9);
        shares.forEach((share, at) => expect(share).toBeLessThanOrEqual(wanted[at]!));
      }),
    );
  });

  it('let ten tasks not stand behind ten thousand', () => {
    expect(fairShares(12, [10, 10_000])).toEqual([6, 6]);
    expect(fairShares(12, [2, 10_000])).toEqual([2, 10]);
  });
});
