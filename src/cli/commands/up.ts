/** `potluck up`: a tracker and some peers on this machine, at once. */
import { Option, type Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';

export function addUp(parent: Command, start: Start): void {
  const command = parent
    .command('up')
    .description('start a pool on this machine: a tracker and three peers')
    .option('--peers <n>', 'how many peers (default: 3)')
    .option('--port <port>', 'the port of the first peer (default: 9000; those that are taken are passed over)')
    .option('--web-port <port>', 'the port of the first page (default: 5000)')
    .option('--tracker-port <port>', 'the port of the tracker (default: 8888)')
    .option('--slots <n>', 'how many tasks each peer runs at a time (default: one per core)')
    .option('--detach', 'in the background; potluck down stops it')
    .option('--json', 'print a JSON document when it is up, on a line of its own, and one if it fails later')
    .option('-q, --quiet', 'print only errors')
    .addOption(new Option('--in-background').hideHelp())
    .addHelpText('after', examples('potluck up', 'potluck up --peers 5', 'potluck up --detach && potluck status && potluck down', '', 'Each is a process of its own. Ctrl+C stops all of them in order, a second one', 'at once.'));
  start(command, async () => (await import('../run-up.ts')).runUp);
}
