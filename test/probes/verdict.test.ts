/** What answers mean for a probe and for the level. */
import { describe, expect, it } from 'vitest';
import type { Finding, Level, Verdict } from '../../src/probes/types.ts';
import { findingOf, judge, proofOf } from '../../src/probes/verdict.ts';

const yes = { reached: true, why: 'it can' };
const no = { reached: false, why: 'EPERM' };
const probe = { name: 'p', group: 'files', level: 2, tries: 'read', heavy: false, make: () => 'no' } as const;

describe('a probe', () => {
  it('that fails outside too shows nothing, whatever it does inside', () => {
    for (const inside of [yes, no, undefined]) {
      expect(judge(no, inside)).toEqual({ verdict: 'not applicable', why: 'it does not work outside the box either: EPERM' });
      expect(judge(undefined, inside).verdict).toBe('not applicable');
    }
  });

  it('that gave no answer inside is not held', () => {
    expect(judge(yes, undefined).verdict).toBe('broken');
  });

  it('is as good as the worse of the languages', () => {
    const of = (...verdicts: Verdict[]) => findingOf(probe, verdicts.map((verdict, at) => ({ language: at === 0 ? 'python' : 'javascript', verdict, why: verdict }))).verdict;
    expect([of('held', 'broken'), of('broken', 'not applicable'), of('held', 'not applicable'), of('not applicable', 'held'), of('not applicable')]).toEqual(['broken', 'broken', 'held', 'held', 'not applicable']);
  });
});

const finding = (name: string, level: Level, verdict: Verdict): Finding => ({ name, group: 'files', level, tries: 'read a key', verdict, why: '', languages: {} });

describe('the level', () => {
  it('is what was found when everything held', () => {
    expect(proofOf(2, '', [finding('a', 2, 'held'), finding('b', 1, 'held')])).toEqual({ level: 2, missing: '' });
  });

  it('is below that of a broken probe, and says which', () => {
    expect(proofOf(2, '', [finding('a', 2, 'broken'), finding('b', 1, 'held')])).toEqual({ level: 1, missing: 'a task can read a key (probe a)' });
    expect(proofOf(2, '', [finding('a', 2, 'broken'), finding('b', 1, 'broken')])).toEqual({ level: 0, missing: 'a task can read a key (probe b)' });
    expect(proofOf(2, '', [finding('a', 0, 'broken')]).level).toBe(0);
  });

  it('does not fall for what must fail only above it', () => {
    expect(proofOf(1, 'no walls', [finding('a', 2, 'broken')])).toEqual({ level: 1, missing: 'no walls' });
  });

  it('is not 2 when what can be tried everywhere could not be tried', () => {
    expect(proofOf(2, '', [finding('key-content', 2, 'not applicable'), finding('d-bus', 2, 'not applicable')]).level).toBe(1);
    expect(proofOf(2, '', [finding('d-bus', 2, 'not applicable')]).level).toBe(2);
  });
});
