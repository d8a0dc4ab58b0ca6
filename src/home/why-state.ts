/** Why a queued task has not started: the sentence that people read. */
import { isUp, type Line, misfit, type Runner } from './placement-state.ts';
import { retryPauseMs, type Task } from './task-state.ts';

interface View {
  self: string;
  key: string;
  draining: boolean;
  trackerUp: boolean;
  runners: ReadonlyMap<string, Runner>;
  waiting: { count: number };
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

export function whyWaiting(task: Task, line: Line | undefined, view: View): string {
  if (line === undefined) {
    const last = task.attempts.at(-1);
    return `attempt ${(last?.attempt ?? 0) + 1} starts ${retryPauseMs(task.failures) / 1000} s after the last one failed: ${last?.reason ?? 'unknown'}`;
  }
  const all = [...view.runners.values()].filter((runner) => runner.info !== undefined);
  const up = all.filter((runner) => isUp(runner) && (!line.confidential || runner.peer === view.self));
  if (up.length === 0 && view.draining) return `${view.self} is being stopped; the task goes on when it is started again`;
  if (up.length === 0) return view.trackerUp ? 'no peer of the pool is up' : 'the tracker is away and no peer is known to be up';
  const reasons = up.map((runner) => misfit(runner.info!, line.need, view.key)).filter((why) => why !== undefined);
  const fitting = up.filter((runner) => misfit(runner.info!, line.need, view.key) === undefined);
  const who = line.confidential ? 'this peer, the only one for a confidential task,' : plural(up.length, 'peer');
  if (fitting.length === 0) return `${who} ${up.length === 1 ? 'has' : 'have'} ${[...new Set(reasons)].join(' or ')}`;
  const slots = fitting.reduce((sum, runner) => sum + (runner.info?.slots ?? 0), 0);
  const used = fitting.reduce((sum, runner) => sum + Math.min(runner.info?.slots ?? 0, Math.max(runner.others + runner.attempts.size, runner.info?.running ?? 0)), 0);
  const others = view.waiting.count - 1;
  const ahead = others <= 0 ? '' : `; ${others} other ${others === 1 ? 'task waits' : 'tasks wait'} here`;
  const away = view.trackerUp ? '' : '; the tracker is away, so placement is from memory';
  const unlinked = fitting.filter((runner) => runner.link !== 'up' && runner.granted > 0);
  if (used >= slots) return `${slots === 1 ? 'the only slot' : `all ${slots} slots`} of ${plural(fitting.length, 'fitting peer')} ${slots === 1 ? 'is' : 'are'} taken${ahead}${away}`;
  if (unlinked.length > 0) return `the link to ${unlinked[0]!.peer} is not up yet${away}`;
  return `${plural(slots - used, 'slot')} of ${plural(fitting.length, 'fitting peer')} ${slots - used === 1 ? 'is' : 'are'} free; waiting for ${view.trackerUp ? 'the tracker to grant one' : 'a peer to take it'}${away}`;
}
