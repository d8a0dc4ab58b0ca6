/** An outcome whose result its home no longer keeps. */
import { describe, expect, it } from 'vitest';
import { failureLines, outcomeJson, statusOfOutcome } from '../../src/cli/outcomes.ts';
import { storyLines } from '../../src/cli/run-task.ts';
import { outcomeOf } from '../../src/home/past-state.ts';
import { prunedTask } from '../../src/home/views.ts';
import type { TaskStory } from '../../src/sdk/index.ts';
import { resultOf, TaskError, toOutcome } from '../../src/sdk/outcome.ts';

const past = { id: 't', digest: 'd', state: 'done', endedWall: Date.UTC(2026, 0, 2) } as const;
const outcome = toOutcome(outcomeOf(past), undefined);

describe('a task whose result is no longer kept', () => {
  it('is done, has no result, and says why; await throws', () => {
    expect(outcome).toMatchObject({ state: 'done', error: { code: 'no_longer_kept' } });
    expect(outcome.resultJson).toBeUndefined();
    expect(() => resultOf(outcome)).toThrow(TaskError);
    expect(() => resultOf(outcome)).toThrow(/ended done at 2026-01-02/);
  });

  it('is a refusal on the command line, with what to do', () => {
    expect(statusOfOutcome(outcome)).toBe(6);
    expect(failureLines(outcome, (text) => text)).toEqual([
      'error: the task ended done at 2026-01-02T00:00:00.000Z, and its home keeps no more of it than that',
      '  why: the task was done (no_longer_kept)',
      '  fix: if its result is needed, submit it again under a new id',
    ]);
    expect(JSON.parse(outcomeJson(outcome))).toMatchObject({ id: 't', state: 'done', error: { code: 'no_longer_kept' } });
  });

  it('has a story without what is gone', () => {
    const lines = storyLines(JSON.parse(prunedTask(past).toString()) as TaskStory, 80, (text) => text).join('\n');
    expect(lines).toContain('task t\ndone\n');
    expect(lines).toContain('no_longer_kept');
    expect(lines).not.toMatch(/undefined|NaN|null/);
  });
});
