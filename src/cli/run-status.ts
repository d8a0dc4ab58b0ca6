/** What `potluck status` shows. */
import { exit } from '../errors.ts';
import type { PoolStatus, TaskRow } from '../sdk/index.ts';
import { connectTo, type ClientFlags, type Context } from './context.ts';
import { acceptsText, counted, duration, functionText, percent, stateText } from './format.ts';
import { table, type Column } from './table.ts';
import { cleanLine, flow, wrap } from './text.ts';

export async function runStatus(context: Context<ClientFlags>): Promise<number> {
  const { terminal, flags } = context;
  const pool = await connectTo(context);
  try {
    if (flags.json === true) terminal.out(`${await pool.askText({ what: 'status' })}\n`);
    else terminal.outLines(statusLines(await pool.status(), terminal.outWidth, (text) => terminal.bold(text)));
    return exit.done;
  } finally {
    await pool.close();
  }
}

const isolationText = ['bare', 'limits', 'walls'];

const taskColumns: readonly Column<TaskRow>[] = [
  { title: 'TASK', value: ({ id }) => id },
  { title: 'STATE', value: ({ state }) => stateText(state) },
  { title: 'FUNCTION', value: functionText, drop: 3, min: 8 },
  { title: 'LANGUAGE', value: ({ language }) => language ?? '-', drop: 6 },
  { title: 'ON', value: ({ peer }) => peer ?? '-', drop: 2 },
  { title: 'TRY', value: ({ attempt }) => String(attempt), drop: 5, right: true },
  { title: 'AGE', value: (task) => duration(task.age_ms), drop: 4, right: true },
  { title: 'WAITING FOR', value: (task) => task.waiting_for ?? '-', drop: 1, min: 12 },
];

const processColumns: readonly Column<PoolStatus['processes'][number]>[] = [
  { title: 'PROCESS', value: ({ pid }) => String(pid) },
  { title: 'LANGUAGE', value: ({ language }) => language },
  { title: 'STATE', value: ({ state }) => stateText(state), drop: 1 },
  { title: 'TASKS', value: (process) => String(process.tasks_run), drop: 3, right: true },
  { title: 'MEMORY', value: (process) => `${process.rss_mb} MB`, drop: 2, right: true },
  { title: 'SINCE', value: (process) => duration(process.since_ms), drop: 4, right: true },
];

/** @param width columns; 0: no limit */
export function statusLines(status: PoolStatus, width: number, bold: (text: string) => string): string[] {
  const { tracker, tasks, processes, health } = status;
  const head = [
    `peer ${status.peer}`,
    status.pool === '' ? 'no pool yet' : `pool ${status.pool.slice(0, 12)}`,
    `potluck ${status.version}`,
    `up ${duration(status.uptime_ms)}`,
    `CPU ${percent(status.cpu_load)}`,
    `load ${percent(status.load)}`,
    `${status.running} of ${counted(status.slots, 'slot')} busy`,
    `${status.queue_size} waiting`,
    `tracker ${tracker.host}:${tracker.port} ${tracker.connected ? 'connected' : 'not connected'}`,
    `isolation ${status.isolation} (${isolationText[status.isolation] ?? 'unknown'})`,
    `takes ${acceptsText(status)}`,
    status.python === null ? 'no Python' : `Python ${status.python}`,
    ...turnedAway(status.links),
  ].map((part) => cleanLine(part));
  const lines = width > 0 ? flow(head, width) : flow(head, 100);
  if (tasks.length > 0) lines.push('', ...table(taskColumns, tasks, width, bold));
  if (processes.length > 0) lines.push('', ...table(processColumns, processes, width, bold));
  return [...lines, '', ...healthLines(health, width)];
}

/** Said only where there was somebody. */
function turnedAway({ refused, malformed }: NonNullable<PoolStatus['links']> = { refused: 0, malformed: 0, unknown_kinds: 0 }): string[] {
  return [...(refused > 0 ? [`${counted(refused, 'connection')} turned away`] : []), ...(malformed > 0 ? [`${counted(malformed, 'link')} closed for malformed messages`] : [])];
}

function healthLines(health: PoolStatus['health'], width: number): string[] {
  if (health.length === 0) return ['health: all is well'];
  return [`health: ${counted(health.length, 'problem')}`, ...health.flatMap(({ problem, fix }) => [...wrap(cleanLine(problem), width - 2).map((line) => `  ${line}`), ...wrap(`fix: ${cleanLine(fix)}`, width - 4).map((line) => `    ${line}`)])];
}
