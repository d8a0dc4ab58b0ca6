/** `potluck members`, `potluck revoke`, `potluck audit`: who belongs to the pool, and what became of it. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';
import { withTracker } from './tracker-flags.ts';

export function addMembers(parent: Command, start: Start): void {
  const command = withTracker(parent.command('members').description('list who belongs to the pool'));
  command.option('--all', 'with those that were revoked').addHelpText('after', examples('potluck members', 'potluck members --all --json'));
  start(command, async () => (await import('../run-members.ts')).runMembers);
}

export function addRevoke(parent: Command, start: Start): void {
  const command = withTracker(parent.command('revoke').description('put a member out of the pool, for good').argument('[name]', 'its name, as potluck members shows it, or its key'));
  command.addHelpText('after', examples('potluck revoke laptop', '', 'Its links are cut within seconds, what ran there runs again elsewhere, and the', 'invitation that it came by lets nobody in any more.'));
  start(command, async () => (await import('../run-revoke.ts')).runRevoke);
}

export function addAudit(parent: Command, start: Start): void {
  const command = withTracker(parent.command('audit').description('show who joined, was invited, revoked or refused, newest first'));
  command.option('--limit <n>', 'how many lines (default: 20)').addHelpText('after', examples('potluck audit', 'potluck audit --limit 1000 --json'));
  start(command, async () => (await import('../run-audit.ts')).runAudit);
}
