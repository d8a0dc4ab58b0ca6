/** What `potluck history` shows. */
import { exit } from '../errors.ts';
import { limits } from '../limits.ts';
import type { HistoryFilter, HistoryRow } from '../sdk/index.ts';
import { taskStates } from '../wire/messages.ts';
import { connectTo, type ClientFlags, type Context } from './context.ts';
import { duration, functionText, moment, stateText } from './format.ts';
import { table, type Column } from './table.ts';
import { oneOf, pastMoment, wholeNumber } from './values.ts';

export interface HistoryFlags extends ClientFlags {
  limit?: string;
  state?: string;
  peer?: string;
  since?: string;
}

/** Fits on a screen. */
const ROWS = 20;

const columns: readonly Column<HistoryRow>[] = [
  { title: 'TASK', value: ({ id }) => id },
  { title: 'STATE', value: ({ state }) => stateText(state) },
  { title: 'FUNCTION', value: functionText, drop: 4, min: 8 },
  { title: 'ON', value: ({ peer }) => peer ?? '-', drop: 1 },
  { title: 'TRY', value: ({ attempt }) => String(attempt), drop: 7, right: true },
  { title: 'WAITED', value: (task) => duration(task.queued_ms), drop: 6, right: true },
  { title: 'RAN', value: (task) => duration(task.run_ms), drop: 3, right: true },
  { title: 'ACCEPTED', value: (task) => moment(task.accepted_at), drop: 2 },
  { title: 'ERROR', value: ({ error }) => error?.message ?? '-', drop: 5, min: 16 },
];

export async function runHistory(context: Context<HistoryFlags>): Promise<number> {
  const { terminal, flags } = context;
  const filter = filterOf(flags);
  const { historyQuestion } = await import('../sdk/index.ts');
  const pool = await connectTo(context);
  try {
    if (flags.json === true) terminal.out(`${await pool.askText(historyQuestion(filter))}\n`);
    else terminal.outLines(historyLines(await pool.history(filter), terminal.outWidth, (text) => terminal.bold(text)));
    return exit.done;
  } finally {
    await pool.close();
  }
}

export function filterOf({ limit, state, peer, since }: HistoryFlags): HistoryFilter {
  const filter: HistoryFilter = { limit: limit === undefined ? ROWS : wholeNumber('--limit', limit, 1, limits.historyRowsMax) };
  if (state !== undefined) filter.state = oneOf('--state', state.replaceAll(/[- ]/g, '_'), taskStates);
  if (peer !== undefined) filter.peer = peer;
  if (since !== undefined) filter.since = pastMoment('--since', since);
  return filter;
}

export function historyLines(rows: readonly HistoryRow[], width: number, bold: (text: string) => string): string[] {
  return rows.length === 0 ? ['no such tasks'] : table(columns, rows, width, bold);
}
