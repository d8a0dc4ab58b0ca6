/** What `potluck task` shows. */
import { exit } from '../errors.ts';
import type { KeptOutput, Receipt, TaskStory } from '../sdk/index.ts';
import { writeExact } from '../sdk/json.ts';
import { connectTo, type ClientFlags, type Context } from './context.ts';
import { duration, moment, percent, stateText } from './format.ts';
import { table, type Column } from './table.ts';
import { checkId } from './task-id.ts';
import { clean, cleanLine, cut, droppedText, flow, wrap } from './text.ts';

export async function runTask(context: Context<ClientFlags>): Promise<number> {
  const { terminal, flags } = context;
  const id = checkId(context.args[0]!);
  const pool = await connectTo(context);
  try {
    if (flags.json === true) terminal.out(`${await pool.askText({ what: 'task', id })}\n`);
    else terminal.outLines(storyLines(await pool.task(id), terminal.outWidth, (text) => terminal.bold(text)));
    return exit.done;
  } finally {
    await pool.close();
  }
}

const attemptColumns: readonly Column<TaskStory['attempts'][number]>[] = [
  { title: 'TRY', value: ({ attempt }) => String(attempt), right: true },
  { title: 'ON', value: ({ peer }) => peer },
  { title: 'STATE', value: ({ state }) => stateText(state) },
  { title: 'REASON', value: ({ reason }) => reason ?? '-', drop: 1, min: 10 },
];

const candidateColumns: readonly Column<Receipt['candidates'][number]>[] = [
  { title: 'CANDIDATE', value: ({ peer }) => peer },
  { title: 'LOAD', value: ({ load }) => percent(load), right: true },
  { title: 'CPU', value: (candidate) => percent(candidate.cpu_load), right: true },
];

/** A result longer than this is what `potluck wait` is for. */
const RESULT_CHARS = 400;

/** @param width columns; 0: no limit */
export function storyLines(story: TaskStory, width: number, bold: (text: string) => string): string[] {
  const { receipt, attempts, states } = story;
  const limit = width > 0 ? width : 100;
  const lines = [bold(`task ${cleanLine(story.id)}`), ...flow(headOf(story), limit)];
  const options = Object.entries(story.options ?? {}).map(([name, value]) => cleanLine(`${name} ${String(value)}`));
  if (options.length > 0) lines.push(...flow(options, limit));
  if (typeof story.waiting_for === 'string') lines.push(...wrap(`waiting: ${cleanLine(story.waiting_for)}`, width));
  if ((states ?? []).length > 0) lines.push('', ...flow(states.map(({ state, at }) => cleanLine(`${stateText(state)} ${moment(at)}`)), limit, ' → '));
  if (attempts.length > 0) lines.push('', ...table(attemptColumns, attempts, width, bold));
  if (receipt !== null) lines.push('', ...receiptLines(receipt, width, bold));
  lines.push(...outputLines('stdout', story.output?.stdout, bold), ...outputLines('stderr', story.output?.stderr, bold));
  return [...lines, '', ...endLines(story)];
}

function headOf(story: TaskStory): string[] {
  if (story.function === undefined && story.submitter === undefined) return [stateText(story.state)];
  const on = story.peer === null ? [] : [`on ${story.peer}`];
  const what = story.function === undefined ? [`a task of ${story.submitter}: only it can read more`] : [`${story.language} ${story.function}()`, `program ${(story.program ?? '').slice(0, 12)}`];
  const parts = [stateText(story.state), ...on, `waited ${duration(story.queued_ms)}`, `ran ${duration(story.run_ms)}`, ...what];
  return parts.map((part) => cleanLine(part));
}

const deciders: Record<Receipt['decided'], string> = {
  only_one: 'it was the only one that fits and had room',
  cpu_load: 'its machine was the least busy',
  load: 'it had the most free slots',
  rotation: 'all were equal and it was its turn',
  confidential: 'the task is confidential and never leaves its home',
  ahead: 'it works off tasks like this one in no time',
  from_memory: 'the tracker was away; it was the better of two known peers',
};

function receiptLines({ peer, decided, candidates, passed_over: passedOver }: Receipt, width: number, bold: (text: string) => string): string[] {
  const lines = wrap(`why ${cleanLine(peer)}: ${deciders[decided] ?? cleanLine(decided)}`, width);
  if (candidates.length > 0) lines.push(...table(candidateColumns, candidates, width, bold));
  for (const [reason, count] of Object.entries(passedOver ?? {})) lines.push(...wrap(`passed over: ${count} (${cleanLine(reason)})`, width));
  return lines;
}

function outputLines(name: string, output: KeptOutput | undefined, bold: (text: string) => string): string[] {
  if (output === undefined || output.text === '') return [];
  const linesOf = (text: string): string[] => clean(text).trimEnd().split('\n').map((line) => `  ${line}`);
  const { text, dropped_bytes: dropped, dropped_at: at = text.length } = output;
  if (dropped === 0) return ['', bold(name), ...linesOf(text)];
  return ['', bold(name), ...linesOf(text.slice(0, at)), `  ${droppedText(dropped)}`, ...(at < text.length ? linesOf(text.slice(at)) : [])];
}

function endLines({ id, state, result, error, submitter }: TaskStory): string[] {
  if (submitter !== undefined) return ['its result and output are its submitter\'s'];
  if (state === 'done' && result !== undefined) {
    const text = cleanLine(writeExact(result, 'result'));
    return text.length <= RESULT_CHARS ? [`result: ${text}`] : [`result: ${cut(text, RESULT_CHARS)}`, `the whole of it: potluck wait ${id}`];
  }
  if (error === undefined) return [`not ended yet; potluck wait ${id} waits for it`];
  const traceback = error.traceback === undefined ? [] : clean(error.traceback).trimEnd().split('\n');
  const fix = typeof error.hint === 'string' ? [`  fix: ${cleanLine(error.hint)}`] : [];
  return [...traceback, `error: ${error.type === undefined ? '' : `${cleanLine(error.type)}: `}${cleanLine(error.message)} (${cleanLine(error.code)})`, ...fix];
}
