/** `potluck wait`: waits until tasks have ended. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress, withProgress } from './client-flags.ts';

export function addWait(parent: Command, start: Start): void {
  const command = parent.command('wait').description('wait until tasks have ended; of a single one, print the result').argument('<id...>', 'ids of tasks');
  withProgress(withAddress(command))
    .option('--any', 'until one of them has ended')
    .option('--timeout <seconds>', 'at most this long; the tasks go on')
    .addHelpText(
      'after',
      examples('potluck wait 0190b0f4-6f1c-7000-8000-000000000000', 'potluck wait --any $first $second', 'potluck wait --timeout 60 --json $id', '', 'With --json: of one id (or with --any) its document, of several a list in the', 'order given. Exit status: that of cpu; of several tasks that of the first in', 'order that is not done.'),
    );
  start(command, async () => (await import('../run-wait.ts')).runWait);
}
