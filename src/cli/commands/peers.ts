/** `potluck peers`: the peers of the pool. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addPeers(parent: Command, start: Start): void {
  const command = withAddress(parent.command('peers').description('list the peers of the pool and how busy they are'));
  command.addHelpText('after', examples('potluck peers', 'potluck peers --json'));
  start(command, async () => (await import('../run-peers.ts')).runPeers);
}
