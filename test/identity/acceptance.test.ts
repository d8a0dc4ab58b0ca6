/** Own and foreign: what a home says never makes a task own. */
import { describe, expect, it } from 'vitest';
import { isOwn, standingOf, takes } from '../../src/identity/acceptance.ts';

describe('a task is own', () => {
  it('only when the runner\'s key is both proven by its home and named as the submitter', () => {
    expect(isOwn('r', 'r', 'r')).toBe(true);
    expect(isOwn('r', 'r', 'client')).toBe(false);
    expect(isOwn('r', 'home', 'r')).toBe(false);
    expect(isOwn('r', 'home', 'home')).toBe(false);
  });
});

describe('what a peer takes', () => {
  const policy = { accept: 'members', trustMembers: false, level: 2, confirmed: true } as const;
  it('is members\' tasks in the box, with a roster that was confirmed', () => {
    expect(standingOf(policy)).toEqual({ accepts: 'members' });
  });

  it('is less below the box, unless its owner trusts the members', () => {
    expect(standingOf({ ...policy, level: 1 })).toEqual({ accepts: 'own', withheld: 'isolation' });
    expect(standingOf({ ...policy, level: 0, trustMembers: true })).toEqual({ accepts: 'members' });
  });

  it('is less with an old roster, whatever its owner trusts', () => {
    expect(standingOf({ ...policy, confirmed: false, trustMembers: true })).toEqual({ accepts: 'own', withheld: 'unconfirmed' });
  });

  it('is never more than its owner says', () => {
    expect(standingOf({ ...policy, accept: 'own', trustMembers: true })).toEqual({ accepts: 'own', withheld: 'owner' });
    expect(standingOf({ ...policy, accept: 'none' })).toEqual({ accepts: 'none', withheld: 'owner' });
  });
});

describe('who asks knows beforehand', () => {
  it.each([
    ['members', 'k', false, true],
    ['members', 'other', true, true],
    ['own', 'k', false, true],
    ['own', 'k', true, false],
    ['own', 'other', false, false],
    [undefined, 'k', false, true],
    [undefined, 'other', false, false],
    ['none', 'k', false, false],
  ] as const)('a peer of key k that accepts %s, asked by a home of key %s, foreign: %s', (accepts, home, isForeign, expected) => {
    expect(takes({ key: 'k', accepts }, home, isForeign)).toBe(expected);
  });
});
