/** What a runner's link may bring to its home and have of it: only what belongs to attempts that it holds. */
import type { AttemptRef } from '../wire/messages.ts';
import type { Runner } from './placement-state.ts';
import { contentOf, isCurrent, type Task } from './task-state.ts';

interface View {
  readonly tasks: ReadonlyMap<string, Task>;
  readonly runners: ReadonlyMap<string, Runner>;
}

/** Whether it is the present attempt of a task, at that runner. */
export const isHeldBy = ({ tasks }: View, peer: string, ref: AttemptRef): boolean => isCurrent(tasks.get(ref.id), peer, ref);

/** Whether an attempt at that runner needs this program, or these arguments. */
export function needsContent({ tasks, runners }: View, peer: string, hash: string): boolean {
  for (const id of runners.get(peer)?.attempts.values() ?? []) {
    const task = tasks.get(id);
    if (task !== undefined && contentOf(task).includes(hash)) return true;
  }
  return false;
}
