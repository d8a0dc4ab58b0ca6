/** `potluck invite`: lets another machine into the pool. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';
import { withTracker } from './tracker-flags.ts';

export function addInvite(parent: Command, start: Start): void {
  const command = withTracker(parent.command('invite').description('print the line that another machine types to join this pool'))
    .option('--ttl <time>', 'how long it is good for: 30min, 2h, 7d (default: 1h)')
    .option('--joins <n>', 'how many machines may use it (default: 10; 1 with --name)')
    .option('--role <role>', 'what they become: member, runner (runs tasks, submits none) or admin (default: member)')
    .option('--name <name>', 'their name in the pool (default: what each is called)')
    .option('--address <host:port>', 'where they find the tracker, up to three times (default: the addresses of its machine)', collect)
    .option('--list', 'list the invitations instead')
    .option('--revoke <id>', 'end the invitation of that id instead')
    .addHelpText('after', examples('potluck invite', 'potluck invite --ttl 10min --joins 1 --name laptop', 'potluck invite --role runner', 'potluck invite --list', 'potluck invite --revoke 6f0c2d31a8b94e57', '', 'Whoever has the line may join: hand it on as you would a password.'));
  start(command, async () => (await import('../run-invite.ts')).runInvite);
}

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];
