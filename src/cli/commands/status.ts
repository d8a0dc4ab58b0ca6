/** `potluck status`: the peer talked to, its tasks, its health. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress } from './client-flags.ts';

export function addStatus(parent: Command, start: Start): void {
  const command = withAddress(parent.command('status').description('show a peer: load, tasks, processes, health'));
  command.addHelpText('after', examples('potluck status', 'potluck status --port 9001', 'potluck status --json'));
  start(command, async () => (await import('../run-status.ts')).runStatus);
}
