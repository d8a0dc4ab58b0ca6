/**
 * The tasks of a home as its records leave them: those that wait or run, the line, the alarms, the last that ended.
 *
 * Owns: what each kind of record changes. Which records are made, and when: home-state.ts. What a record
 * changes in one task: task-state.ts.
 *
 * Invariants
 * 1. A task is in `tasks` from its `accepted` record to its `ended` record.
 * 2. The same records give the same ledger, in life as in replay: nothing here looks at a clock.
 */
import { Heap } from '../lib/heap.ts';
import { Recent } from './past-state.ts';
import type { HomeRecord, Known, Past, RecordOf, Story } from './records.ts';
import { applyToTask, endedStory, newTask, retryPauseMs, type Task, taskFrom } from './task-state.ts';
import { Waiting } from './waiting-state.ts';

export class Ledger {
  readonly tasks = new Map<string, Task>();
  readonly waiting: Waiting;
  readonly recent = new Recent();
  /** Times at which a task must be looked at: `--wait` is over, or a retry is due. */
  readonly alarms = new Heap<string>();
  /** The number of the last record. */
  seq = 0;

  constructor(selfKey: string) {
    this.waiting = new Waiting(selfKey);
  }

  /** Somebody else's task is taken for unknown. */
  taskOf(id: string, submitter: string): Task | undefined {
    const task = this.tasks.get(id);
    return task?.accepted.submitter === submitter ? task : undefined;
  }

  /** What has this id, also if it has ended. @param prior what is known of it that is no longer in memory */
  known(id: string, prior: Past | undefined): Known | undefined {
    return this.tasks.get(id) ?? this.recent.stories.get(id) ?? prior;
  }

  /** Returns the story when the record ended a task, or told one again. */
  apply(record: HomeRecord, seq: number): Story | undefined {
    this.seq = seq;
    switch (record.kind) {
      case 'accepted':
        this.#open(newTask(record, seq));
        return undefined;
      case 'restated':
        // What led to it is still in the journal, or was lived through: nothing new.
        if (!this.tasks.has(record.id)) this.#open(taskFrom(record));
        return undefined;
      case 'retold': {
        const { accepted, attempts, receipt, queuedMs, ended } = record;
        return { accepted, attempts, receipt, queuedMs, ended };
      }
      case 'pruned':
        for (const { id } of record.tasks) this.recent.forget(id);
        return undefined;
    }
    const task = this.tasks.get(record.id);
    if (task === undefined) return undefined;
    this.waiting.remove(task);
    if (record.kind === 'ended') return this.#end(task, record);
    applyToTask(task, record);
    if (record.kind === 'requeued') this.#enqueue(task, record.at, record.why === 'refused');
    return undefined;
  }

  #open(task: Task): void {
    this.tasks.set(task.id, task);
    if (task.state !== 'queued') return;
    if (task.notBefore > 0 && task.attempts.at(-1)?.state === 'failed') this.alarms.push(task.notBefore, task.id);
    else this.waiting.add(task);
    this.#setExpiry(task);
  }

  /** Back in line; a failed attempt's task first waits for a time that doubles. */
  #enqueue(task: Task, at: number, first: boolean): void {
    const last = task.attempts.at(-1);
    if (last?.state !== 'failed' || first) {
      this.waiting.add(task);
      this.#setExpiry(task);
      return;
    }
    task.notBefore = at + retryPauseMs(task.failures);
    this.alarms.push(task.notBefore, task.id);
  }

  /** Also after a refusal: its alarm may have rung while the task was on its way to a runner. */
  #setExpiry(task: Task): void {
    const { at, options } = task.accepted;
    if (options.waitMs !== undefined && task.attempts.length === 0) this.alarms.push(at + options.waitMs, task.id);
  }

  #end(task: Task, record: RecordOf<'ended'>): Story {
    const story = endedStory(task, record);
    this.tasks.delete(task.id);
    this.recent.add(story);
    return story;
  }
}
