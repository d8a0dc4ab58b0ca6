/** What `potluck invite` does, with `--list` and `--revoke`. */
import { exit } from '../errors.ts';
import { hostAndPort, isLoopback } from '../lib/hosts.ts';
import { limits } from '../limits.ts';
import type { Address } from '../wire/messages.ts';
import { trackerPlace, type TrackerPlaceFlags } from './commands/tracker-flags.ts';
import type { Context } from './context.ts';
import { counted, duration, moment, stateText } from './format.ts';
import { table, type Column } from './table.ts';
import { oneOf, spanAsMs, usage, wholeNumber } from './values.ts';

interface InviteFlags extends TrackerPlaceFlags {
  ttl?: string;
  joins?: string;
  role?: string;
  name?: string;
  address?: string[];
  list?: boolean;
  revoke?: string;
}

interface InvitationRow {
  id: string;
  state: string;
  role: string;
  name: string | null;
  used: number;
  joins: number;
  expires_at: string;
  by: string;
}

const columns: readonly Column<InvitationRow>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'STATE', value: ({ state }) => stateText(state) },
  { title: 'ROLE', value: ({ role }) => role },
  { title: 'USED', value: ({ used, joins }) => `${used} of ${joins}`, right: true },
  { title: 'EXPIRES', value: (row) => moment(row.expires_at), drop: 1 },
  { title: 'NAME', value: ({ name }) => name ?? '-', drop: 2 },
  { title: 'BY', value: ({ by }) => by, drop: 3 },
];

export async function runInvite(context: Context<InviteFlags>): Promise<number> {
  const { list, revoke } = context.flags;
  if (list === true && revoke !== undefined) throw usage('--list and --revoke do not go together', 'each is a command of its own', 'type one after the other');
  if (list === true) return listInvitations(context);
  return revoke === undefined ? inviteSomebody(context) : revokeInvitation(context, revoke);
}

async function inviteSomebody(context: Context<InviteFlags>): Promise<number> {
  const { terminal, flags, config } = context;
  const ttlMs = flags.ttl === undefined ? limits.invitationTtlMs : spanAsMs('--ttl', flags.ttl, limits.invitationTtlMsMax);
  const byDefault = flags.name === undefined ? limits.invitationJoins : 1;
  const joins = flags.joins === undefined ? byDefault : wholeNumber('--joins', flags.joins, 1, limits.membersMax);
  const role = flags.role === undefined ? 'member' : oneOf('--role', flags.role, ['member', 'runner', 'admin'] as const);
  const addresses = (flags.address ?? []).map(addressOf);
  if (addresses.length > limits.invitationAddressesMax) throw usage(`${addresses.length} times --address is too often`, `an invitation names at most ${limits.invitationAddressesMax}`, 'leave out those that are reached least');
  const { invite } = await import('../main/admin.ts');
  const invitation = await invite(config().homeFolder, trackerPlace(context), { role, joins, ttlMs, name: nameOf(flags.name), addresses });
  const command = `potluck join ${invitation.token}`;
  const local = invitation.addresses.every(({ host }) => isLoopback(host));
  if (flags.json === true) {
    terminal.out(`${JSON.stringify({ ...invitation, command })}\n`);
    return exit.done;
  }
  terminal.outLines([command]);
  const places = invitation.addresses.map(({ host, port }) => hostAndPort(host, port)).join(', ');
  terminal.errLine(`type this on the other machine: it joins as ${role}, within ${duration(ttlMs)}; good for ${counted(joins, 'join')}; tracker at ${places}`);
  if (local) terminal.errLine('note: that address leads here from this machine only; for others let the tracker listen on\n      all addresses (potluck tracker --host 0.0.0.0), or name one that leads here: --address HOST:PORT');
  return exit.done;
}

/** HOST:PORT, or [HOST]:PORT for IPv6. */
function addressOf(text: string): Address {
  const [, bracketed, plain, port] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s,:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { host, port: Number(port) };
  throw usage(`--address ${text} will not do`, 'it must be a host and a port', 'write it like --address 192.168.1.5:8888');
}

function nameOf(name: string | undefined): string | undefined {
  if (name === undefined || /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return name;
  throw usage(`--name ${name} will not do`, 'it must be letters, digits, . _ -, beginning with a letter or digit, at most 100', 'write it like --name laptop');
}

async function listInvitations(context: Context<InviteFlags>): Promise<number> {
  const { terminal, flags, config } = context;
  const { askTracker } = await import('../main/admin.ts');
  const rows = (await askTracker(config().homeFolder, trackerPlace(context), { kind: 'registry', what: 'invitations' })) as InvitationRow[];
  if (flags.json === true) terminal.out(`${JSON.stringify(rows)}\n`);
  else terminal.outLines(rows.length === 0 ? ['there are no invitations'] : table(columns, rows, terminal.outWidth, (text) => terminal.bold(text)));
  return exit.done;
}

async function revokeInvitation(context: Context<InviteFlags>, id: string): Promise<number> {
  const { terminal, flags, config } = context;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) throw usage(`${id.startsWith('pl1-') ? 'that' : `--revoke ${id}`} is no id of an invitation`, 'an id is what potluck invite --list shows', 'potluck invite --revoke 6f0c2d31a8b94e57');
  const { askTracker } = await import('../main/admin.ts');
  const done = (await askTracker(config().homeFolder, trackerPlace(context), { kind: 'revoke', invitation: id })) as { invitation: string; used: number };
  if (flags.json === true) terminal.out(`${JSON.stringify(done)}\n`);
  else terminal.outLines([`invitation ${done.invitation} lets nobody in any more${done.used === 0 ? '' : `; ${counted(done.used, 'machine')} that joined by it stay${done.used === 1 ? 's' : ''}, see potluck members`}`]);
  return exit.done;
}
