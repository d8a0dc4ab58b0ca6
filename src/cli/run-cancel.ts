/** What `potluck cancel` does. That a task had ended before is no error: there is nothing left to cancel. */
import { exit } from '../errors.ts';
import { connectTo, nextCommand, type ClientFlags, type Context } from './context.ts';
import { stateText } from './format.ts';
import { outcomeJson } from './outcomes.ts';
import { checkId } from './task-id.ts';
import { usage } from './values.ts';

export interface CancelFlags extends ClientFlags {
  taskId?: string;
}

export async function runCancel(context: Context<CancelFlags>): Promise<number> {
  const { terminal, flags, args } = context;
  const typed = flags.taskId ?? args[0];
  if (typed === undefined) throw usage('no task was named', 'cancel needs an id', 'give it with --task-id ID; potluck status lists what runs and waits');
  const id = checkId(typed);
  const pool = await connectTo(context);
  try {
    const outcome = await pool.watch(id).cancel();
    if (flags.json === true) terminal.out(`${outcomeJson(outcome)}\n`);
    else terminal.out(outcome.state === 'cancelled' ? `cancelled task ${id}\n` : `task ${id} had already ended: ${stateText(outcome.state)}\n`);
    if (flags.quiet !== true && flags.json !== true) terminal.errLine(terminal.dim(`next: ${nextCommand(context, `task ${id}`)}`));
    return exit.done;
  } finally {
    await pool.close();
  }
}
