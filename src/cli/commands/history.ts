/** `potluck history`: the tasks of a home, newest first. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addHistory(parent: Command, start: Start): void {
  const command = withAddress(parent.command('history').description('list the tasks of a peer, newest first'))
    .option('--limit <n>', 'at most this many (default: 20)')
    .option('--state <state>', 'only those in this state, such as done or failed')
    .option('--peer <name>', 'only those that ran on this peer')
    .option('--since <time>', 'only those accepted since: 2h, 30min, 1d, or a date')
    .addHelpText('after', examples('potluck history --limit 5', 'potluck history --state failed --since 2h', 'potluck history --peer laptop-9001 --json'));
  start(command, async () => (await import('../run-history.ts')).runHistory);
}
