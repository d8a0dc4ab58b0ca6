/** What `potluck audit` shows. */
import { exit } from '../errors.ts';
import { limits } from '../limits.ts';
import { trackerPlace, type TrackerPlaceFlags } from './commands/tracker-flags.ts';
import type { Context } from './context.ts';
import { moment, stateText } from './format.ts';
import { table, type Column } from './table.ts';
import { wholeNumber } from './values.ts';

interface AuditFlags extends TrackerPlaceFlags {
  limit?: string;
}

export interface AuditLine {
  /** ISO 8601. */
  at: string;
  what: string;
  /** A member's name, or the fingerprint of a key; null: nobody with a key. */
  who: string | null;
  detail: string;
  count: number;
}

/** Fits on a screen. */
const ROWS = 20;

const columns: readonly Column<AuditLine>[] = [
  { title: 'WHEN', value: ({ at }) => moment(at) },
  { title: 'WHAT', value: ({ what }) => stateText(what) },
  { title: 'WHO', value: ({ who }) => who ?? '-', drop: 1 },
  { title: 'TIMES', value: ({ count }) => (count === 1 ? '' : String(count)), drop: 2, right: true },
  { title: 'DETAIL', value: ({ detail }) => detail, min: 24 },
];

export async function runAudit(context: Context<AuditFlags>): Promise<number> {
  const { terminal, flags, config } = context;
  const limit = flags.limit === undefined ? ROWS : wholeNumber('--limit', flags.limit, 1, limits.auditRowsMax);
  const { askTracker } = await import('../main/admin.ts');
  const rows = (await askTracker(config().homeFolder, trackerPlace(context), { kind: 'registry', what: 'audit', limit })) as AuditLine[];
  if (flags.json === true) terminal.out(`${JSON.stringify(rows)}\n`);
  else terminal.outLines(auditLines(rows, terminal.outWidth, (text) => terminal.bold(text)));
  return exit.done;
}

export const auditLines = (rows: readonly AuditLine[], width: number, bold: (text: string) => string): string[] => table(columns, rows, width, bold);
