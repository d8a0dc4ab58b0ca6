/** What `potluck wait` does. */
import { PotluckError, exit } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Outcome, Task } from '../sdk/index.ts';
import { connectTo, nextCommand, type ClientFlags, type Context } from './context.ts';
import { counted, stateText } from './format.ts';
import { outcomeJson, ranLine, statusOfOutcome } from './outcomes.ts';
import { Progress } from './progress.ts';
import { showOutcome } from './run-cpu.ts';
import { checkId } from './task-id.ts';
import { cleanLine } from './text.ts';
import { secondsAsMs } from './values.ts';

export interface WaitFlags extends ClientFlags {
  any?: boolean;
  timeout?: string;
}

export async function runWait(context: Context<WaitFlags>): Promise<number> {
  const { flags, terminal } = context;
  const ids = context.args.map((id) => checkId(id));
  const timeoutMs = flags.timeout === undefined ? undefined : secondsAsMs('--timeout', flags.timeout, limits.timeoutMsMax);
  const progress = new Progress(terminal, flags.quiet !== true && flags.progress !== false);
  const pool = await connectTo(context, {
    onLink: ({ up }) => (up ? progress.say(`waiting for ${counted(ids.length, 'task')}`) : progress.sayNow('the link to the peer was lost; the tasks go on, reconnecting')),
  });
  try {
    const tasks = ids.map((id) => pool.watch(id));
    progress.start();
    const left = new Set(ids);
    const say = () => progress.say(`waiting for ${left.size === 1 ? `task ${[...left][0]!}` : counted(left.size, 'task')}`);
    for (const task of tasks) {
      task.outcome().then(
        () => left.delete(task.id) && left.size > 0 && say(),
        () => undefined, // shown by the one who waits for all
      );
    }
    say();
    const outcomes = await inTime(flags.any === true ? Promise.race(tasks.map((task) => task.outcome())).then((one) => [one]) : ended(tasks), timeoutMs, () => left);
    progress.stop();
    return show(context, outcomes, ids.length === 1 || flags.any === true);
  } finally {
    progress.stop();
    await pool.close();
  }
}

const ended = (tasks: readonly Task[]): Promise<Outcome[]> => Promise.all(tasks.map((task) => task.outcome()));

async function inTime(outcomes: Promise<Outcome[]>, timeoutMs: number | undefined, left: () => ReadonlySet<string>): Promise<Outcome[]> {
  if (timeoutMs === undefined) return outcomes;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const [first, ...others] = left();
      const rest = others.length === 0 ? '' : ` and ${counted(others.length, 'other')}`;
      reject(new PotluckError('wait_timeout', `task ${first ?? ''}${rest} had not ended within ${timeoutMs / 1000} s`, { why: 'that was the time given by --timeout', fix: `wait again; potluck task ${first ?? 'ID'} says what it waits for` }));
    }, timeoutMs);
  });
  try {
    return await Promise.race([outcomes, late]);
  } finally {
    clearTimeout(timer);
  }
}

function show(context: Context<WaitFlags>, outcomes: readonly Outcome[], single: boolean): number {
  const { terminal, flags } = context;
  if (single) {
    showOutcome(context, outcomes[0]!);
  } else if (flags.json === true) {
    terminal.out(`[${outcomes.map((outcome) => outcomeJson(outcome)).join(',')}]\n`);
  } else {
    for (const outcome of outcomes) terminal.out(`${outcome.id}  ${outcome.error === undefined ? ranLine(outcome) : `${stateText(outcome.state)}: ${cleanLine(outcome.error?.message ?? '')}`}\n`);
    if (flags.quiet !== true) terminal.errLine(terminal.dim(`next: ${nextCommand(context, 'task ID')} shows a result`));
  }
  return outcomes.map((outcome) => statusOfOutcome(outcome)).find((status) => status !== exit.done) ?? exit.done;
}
