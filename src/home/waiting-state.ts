/**
 * The tasks that wait, in lines of equal needs.
 *
 * Invariant: a task is in the line named by `task.line` exactly while its state is `queued` and it is not
 * waiting for the time of a retry. Entries of heaps that no longer fit this are skipped when they surface.
 */
import { limits } from '../limits.ts';
import { Heap } from '../lib/heap.ts';
import type { MessageOf, Need } from '../wire/messages.ts';
import { firstOf, type Line, lineKey, needOf } from './placement-state.ts';
import type { Task } from './task-state.ts';

const sizeOf = (task: Task): number => {
  const { args, kwargs } = task.accepted;
  return (args instanceof Uint8Array ? args.length : 0) + (kwargs instanceof Uint8Array ? kwargs.length : 0);
};

/** First by their place in line, then by the order of acceptance. */
const isBefore = (a: Task, b: Task): boolean => a.order < b.order || (a.order === b.order && a.seq < b.seq);

export class Waiting {
  readonly #selfKey: string;
  readonly #lines = new Map<string, Line>();
  #count = 0;
  #bytes = 0;

  /** @param selfKey the home's own key: what others submitted is foreign to every runner */
  constructor(selfKey: string) {
    this.#selfKey = selfKey;
  }

  /** Tasks in lines. */
  get count(): number {
    return this.#count;
  }

  /** Inline bytes of their arguments. */
  get bytes(): number {
    return this.#bytes;
  }

  lines(): IterableIterator<Line> {
    return this.#lines.values();
  }

  /** Among those of the same order, whoever was accepted first is first, also when it comes back. */
  add(task: Task): Line {
    const { language, options, submitter } = task.accepted;
    const need = needOf(language, options, submitter !== this.#selfKey);
    const confidential = options.confidential ?? false;
    const key = lineKey(need, confidential, task.avoid);
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { key, need, confidential, avoid: task.avoid, heap: new Heap(), waiting: 0 };
      this.#lines.set(key, line);
    }
    task.line = key;
    line.heap.push(task.order, task, task.seq);
    line.waiting += 1;
    this.#count += 1;
    this.#bytes += sizeOf(task);
    return line;
  }

  remove(task: Task): void {
    const line = this.#lines.get(task.line);
    if (line === undefined) return;
    task.line = '';
    line.waiting -= 1;
    this.#count -= 1;
    this.#bytes -= sizeOf(task);
    if (line.waiting === 0) this.#lines.delete(line.key);
  }

  lineOf(task: Task): Line | undefined {
    return this.#lines.get(task.line);
  }

  /** The line whose first task comes first, leaving out those in `blocked`. */
  firstLine(blocked: ReadonlySet<Line>): { line: Line; task: Task } | undefined {
    let best: { line: Line; task: Task } | undefined;
    for (const line of this.#lines.values()) {
      if (blocked.has(line)) continue;
      const task = firstOf(line);
      if (task !== undefined && (best === undefined || isBefore(task, best.task))) best = { line, task };
    }
    return best;
  }

  /**
   * What the tracker is asked for: waiting tasks by need. Confidential ones never leave this peer. If there are
   * too many needs, those that nobody serves now come last: they may wait for ever, and nobody behind them must.
   */
  demand(isServed: (need: Need) => boolean): MessageOf<'demand'>['waiting'] {
    const lines = [...this.#lines.values()].filter((line) => !line.confidential);
    const first = lines.length <= limits.needsMax ? lines : [...lines.filter(({ need }) => isServed(need)), ...lines.filter(({ need }) => !isServed(need))];
    return first.slice(0, limits.needsMax).map(({ need, waiting, avoid }) => ({ need, count: waiting, ...(avoid === null ? {} : { avoid }) }));
  }
}
