/** Outcomes on the command line: the document, the lines for people, the exit status. */
import { thousandths } from '../lib/rounding.ts';
import { exit, exitStatusOf } from '../errors.ts';
import type { Outcome, Problem } from '../sdk/index.ts';
import { counted, duration, stateText } from './format.ts';
import { clean, cleanLine } from './text.ts';

export function statusOfOutcome({ state, error }: Outcome): number {
  switch (state) {
    case 'done':
      return error === undefined ? exit.done : exitStatusOf(error.code);
    case 'cancelled':
      return exit.cancelled;
    case 'timed_out':
    case 'expired':
      return exit.late;
    case 'failed':
      return error?.code === 'impossible' ? exitStatusOf('impossible') : exit.failed;
    default:
      return exit.failed;
  }
}

/** The document of `cpu --json` and `wait --json`; the result verbatim. */
export function outcomeJson(outcome: Outcome): string {
  const { id, state, peer, attempt, queuedMs, runMs, receipt, resultJson, error } = outcome;
  const common = JSON.stringify({ id, state, peer, attempt, queued_ms: thousandths(queuedMs), run_ms: runMs === null ? null : thousandths(runMs), receipt });
  const last = resultJson === undefined ? `"error":${JSON.stringify(problemJson(error))}` : `"result":${resultJson}`;
  return `${common.slice(0, -1)},${last}}`;
}

/** To a microsecond. */
function problemJson(error: Problem | undefined): object {
  if (error === undefined) return { code: 'internal', message: 'no error was given', hint: null };
  const { code, message, hint, type, traceback } = error;
  return { code, message, hint: hint ?? null, ...(type !== undefined && { type }), ...(traceback !== undefined && { traceback }) };
}

/** Where and how long it ran. */
export function ranLine({ state, peer, attempt, queuedMs, runMs, receipt }: Outcome): string {
  if (peer === null) return `${stateText(state)} after ${duration(queuedMs)} without having run`;
  const tries = attempt > 1 ? `, attempt ${attempt}` : '';
  const memory = receipt?.decided === 'from_memory' ? '; placed from memory, as the tracker is away' : '';
  return `${stateText(state)} on ${cleanLine(peer)}${tries}: waited ${duration(queuedMs)}, ran ${duration(runMs)}${memory}`;
}

/** Why a task is not done: its traceback if there is one, then what, why and what to do. */
export function failureLines(outcome: Outcome, red: (text: string) => string): string[] {
  const { error, attempt, peer, state } = outcome;
  const what = whatText(outcome).split('\n');
  const traceback = error?.traceback === undefined ? [] : clean(error.traceback).trimEnd().split('\n');
  // Its last line says what the next one says.
  if (traceback.at(-1) === what[0]) traceback.pop();
  const lines = [...traceback, ...what.map((line, at) => (at === 0 ? `${red('error:')} ${line}` : `       ${line}`))];
  lines.push(`  why: the task ${whyText(outcome)}${peer === null ? '' : ` on ${cleanLine(peer)}`}${attempt > 1 ? ` after ${counted(attempt, 'attempt')}` : ''}`);
  lines.push(`  fix: ${error?.hint === undefined ? fixText(state) : clean(error.hint)}`);
  return lines;
}

/** The type belongs to what the program raised; potluck's own messages need none. */
function whatText({ error, state }: Outcome): string {
  const message = clean(error?.message ?? `the task ended ${stateText(state)}`);
  const type = error?.traceback === undefined || error.type === undefined ? undefined : cleanLine(error.type);
  return type === undefined || message.startsWith(type) ? message : `${type}: ${message}`;
}

const fixText = (state: Outcome['state']): string => (state === 'failed' ? 'mend the program and submit it again' : 'submit it again if it is still wanted');

function whyText({ state, error }: Outcome): string {
  const verbs: Partial<Record<Outcome['state'], string>> = {
    done: 'was done',
    failed: 'failed',
    timed_out: 'timed out',
    out_of_memory: 'ran out of memory',
    cancelled: 'was cancelled',
    expired: 'had not started in time',
    unknown: 'may or may not have run',
    quarantined: 'was quarantined',
  };
  // The code of an outcome that is no failure is its name, which was just said.
  return `${verbs[state] ?? stateText(state)}${error === undefined || error.code === state ? '' : ` (${error.code})`}`;
}
