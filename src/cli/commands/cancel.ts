/** `potluck cancel`: ends a task, wherever it is. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addCancel(parent: Command, start: Start): void {
  const command = withAddress(parent.command('cancel').description('cancel a task; if it runs, it is killed').argument('[id]', 'its id'))
    .option('--task-id <id>', 'its id')
    .addHelpText('after', examples('potluck cancel --task-id 0190b0f4-6f1c-7000-8000-000000000000', 'potluck cancel $id'));
  start(command, async () => (await import('../run-cancel.ts')).runCancel);
}
