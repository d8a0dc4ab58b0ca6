/** `potluck down`: stops what `potluck up` started. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';

export function addDown(parent: Command, start: Start): void {
  const command = parent
    .command('down')
    .description('stop the pool that potluck up started')
    .option('--json', 'print one JSON document')
    .option('-q, --quiet', 'print only errors')
    .addHelpText('after', examples('potluck down'));
  start(command, async () => (await import('../run-up.ts')).runDown);
}
