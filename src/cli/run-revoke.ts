/** What `potluck revoke` does. */
import { exit } from '../errors.ts';
import { limits } from '../limits.ts';
import { trackerPlace, type TrackerPlaceFlags } from './commands/tracker-flags.ts';
import type { Context } from './context.ts';
import { usage } from './values.ts';

interface Revoked {
  name: string;
  fingerprint: string;
  already: boolean;
  invitations: string[];
}

export async function runRevoke(context: Context<TrackerPlaceFlags>): Promise<number> {
  const { terminal, flags, args, config } = context;
  const [member] = args;
  if (member === undefined || member.length > limits.nameLengthMax) throw usage('no member was named', 'revoking is about one of those that potluck members lists', 'potluck revoke NAME');
  const { askTracker } = await import('../main/admin.ts');
  const revoked = (await askTracker(config().homeFolder, trackerPlace(context), { kind: 'revoke', member })) as Revoked;
  if (flags.json === true) terminal.out(`${JSON.stringify(revoked)}\n`);
  else terminal.outLines(revokedLines(revoked));
  return exit.done;
}

export function revokedLines({ name, fingerprint, already, invitations }: Revoked): string[] {
  if (already) return [`${name} (${fingerprint}) was revoked already`];
  const ended = invitations.length === 0 ? [] : [`with it end the invitations that it came by or made: ${invitations.join(', ')}`];
  return [`revoked ${name} (${fingerprint}): its links are cut, and it does not come back`, ...ended];
}
