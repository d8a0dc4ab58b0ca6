/** The records by which a home says again, or in short, what is about to be dropped from its journal. */
import type { Now } from '../lib/clock.ts';
import type { HomeAfter, HomeEvent } from './home-events.ts';
import type { HomeRecord } from './records.ts';
import { restate, type Task } from './task-state.ts';

/** A record, and what is told once it is on disk, given its number. */
interface Step {
  record: HomeRecord;
  tell?: (seq: number) => HomeAfter;
}

/** @returns also which of the tasks to say again have ended */
export function compactionSteps({ restate: ids, retell, prune }: Extract<HomeEvent, { type: 'compacting' }>, tasks: ReadonlyMap<string, Task>, now: Now): { steps: Step[]; ended: string[] } {
  const { ms: at, wall } = now;
  const steps: Step[] = [];
  const ended: string[] = [];
  for (const id of ids) {
    const task = tasks.get(id);
    if (task === undefined) ended.push(id);
    else steps.push({ record: restate(task, now) });
  }
  for (const story of retell) {
    steps.push({ record: { kind: 'retold', id: story.accepted.id, ...story, at, wall }, tell: (seq) => ({ to: 'history', story, seq }) });
  }
  for (const { since, tasks: pruned } of prune) {
    steps.push({ record: { kind: 'pruned', since, tasks: [...pruned], at, wall }, tell: (seq) => ({ to: 'pruned', tasks: pruned, seq }) });
  }
  return { steps, ended };
}
