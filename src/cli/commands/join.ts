/** `potluck join`: puts this machine into a pool. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';

export function addJoin(parent: Command, start: Start): void {
  const command = parent
    .command('join')
    .description('join the pool of another machine, by the line that potluck invite printed there')
    .argument('[invitation]', 'pl1-…; - reads it from standard input')
    .option('--file <path>', 'read the invitation from a file')
    .option('--json', 'print one JSON document, on standard output')
    .addHelpText('after', examples('potluck join pl1-…', 'potluck join --file invitation.txt', 'potluck join - < invitation.txt', '', 'The tracker must prove first that it is the one that invited; before that,', 'nothing is sent.', 'Afterwards start a peer as on any machine: potluck peer'));
  start(command, async () => (await import('../run-join.ts')).runJoin);
}
