/** What is said of a task that ends through no fault of its own: its runner, or its content, is gone. */
import { limits } from '../limits.ts';
import type { Problem } from '../wire/messages.ts';
import { currentAttempt, type Task } from './task-state.ts';

const runnerOf = (task: Task): string => currentAttempt(task)?.peer ?? 'its runner';

/** It may run only once, and nobody can say whether it did. */
export const unknownFate = (task: Task, reason: string): Problem => ({
  code: 'unknown',
  message: `${reason} while the task may have been running on ${runnerOf(task)}, and it may run only once`,
  hint: 'find out what it did, then submit it again under a new id',
});

/** Too many of its runners were lost while it ran: it may be what takes them down. */
export function quarantine(task: Task): Problem {
  const peers = [...task.attempts.filter(({ state }) => state === 'lost').map(({ peer }) => peer), runnerOf(task)];
  return {
    code: 'quarantined',
    message: `its runner was lost ${limits.lossesMax} times while it ran: ${peers.join(', ')}`,
    hint: 'see whether the task takes its machine down, then submit it again under a new id',
  };
}

/** Its program or arguments are gone from its home. */
export const contentLost = (detail: string | undefined): Problem => ({
  code: 'store_damaged',
  message: `its program or its arguments cannot be had from its home${detail === undefined ? '' : `: ${detail}`}`,
  hint: 'submit it again under a new id',
});
