/** `potluck task`: the whole story of a task. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addTask(parent: Command, start: Start): void {
  const command = withAddress(parent.command('task').description('tell the whole story of a task: states, attempts, why that peer, output').argument('<id>', 'its id'));
  command.addHelpText('after', examples('potluck task 0190b0f4-6f1c-7000-8000-000000000000', 'potluck task $id --json'));
  start(command, async () => (await import('../run-task.ts')).runTask);
}
