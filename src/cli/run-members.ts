/** What `potluck members` shows. */
import { exit } from '../errors.ts';
import { trackerPlace, type TrackerPlaceFlags } from './commands/tracker-flags.ts';
import type { Context } from './context.ts';
import { moment } from './format.ts';
import { table, type Column } from './table.ts';

interface MembersFlags extends TrackerPlaceFlags {
  all?: boolean;
}

export interface MemberRow {
  name: string;
  role: string;
  state: string;
  machine: string;
  connected: boolean;
  /** ISO 8601; null: never. */
  last_seen: string | null;
  fingerprint: string;
  tracker: boolean;
}

const columns: readonly Column<MemberRow>[] = [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'ROLE', value: ({ role, state, tracker }) => (state === 'revoked' ? `revoked ${role}` : tracker ? `${role}, tracker` : role) },
  { title: 'MACHINE', value: ({ machine }) => machine, drop: 3 },
  { title: 'LAST SEEN', value: (row) => (row.connected ? 'now' : row.last_seen === null ? 'never' : moment(row.last_seen)), drop: 1 },
  { title: 'FINGERPRINT', value: ({ fingerprint }) => fingerprint, drop: 2 },
];

export async function runMembers(context: Context<MembersFlags>): Promise<number> {
  const { terminal, flags, config } = context;
  const { askTracker } = await import('../main/admin.ts');
  const rows = (await askTracker(config().homeFolder, trackerPlace(context), { kind: 'registry', what: 'members' })) as MemberRow[];
  const shown = flags.all === true ? rows : rows.filter(({ state }) => state === 'active');
  if (flags.json === true) terminal.out(`${JSON.stringify(shown)}\n`);
  else terminal.outLines(membersLines(shown, terminal.outWidth, (text) => terminal.bold(text)));
  return exit.done;
}

export const membersLines = (rows: readonly MemberRow[], width: number, bold: (text: string) => string): string[] => table(columns, rows, width, bold);
