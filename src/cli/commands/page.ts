/** `potluck page`: a login at the page of a peer. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addPage(parent: Command, start: Start): void {
  const command = withAddress(parent.command('page').description('log in at the page of a peer: print a link that works once, and open it'))
    .option('--no-open', 'do not open a browser')
    .option('--token [name]', 'make a token for scripts instead')
    .option('--ttl <span>', 'how long the token counts: 12h, 30d (default: 30d)')
    .option('--list', 'list the sessions and tokens of the page')
    .option('--revoke <id>', 'end the session or token of that id')
    .addHelpText('after', examples('potluck page', 'potluck page --port 9001 --no-open', 'potluck page --token backup --ttl 90d', 'potluck page --list', '', 'Only the user who runs the peer can log in, on its machine.'));
  start(command, async () => (await import('../run-page.ts')).runPage);
}
