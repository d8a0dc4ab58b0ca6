/** What `potluck cpu` does: from flags to a submission, then until its outcome. */
import { PotluckError, exit, exitStatusOf, interrupted } from '../errors.ts';
import { escapedJson } from '../lib/json-text.ts';
import { limits } from '../limits.ts';
import type { Outcome, Pool, TaskRequest } from '../sdk/index.ts';
import { connectTo, nextCommand, type ClientFlags, type Context } from './context.ts';
import { errorJson, errorLines, shownOf } from './errors.ts';
import { Following } from './following.ts';
import { Interrupt } from './interrupt.ts';
import { failureLines, outcomeJson, ranLine, statusOfOutcome } from './outcomes.ts';
import { fileText, jsonText, oneOf, secondsAsMs, usage, wholeNumber } from './values.ts';

export interface CpuFlags extends ClientFlags {
  program?: string;
  file?: string;
  language?: string;
  function?: string;
  args?: string;
  kwargs?: string;
  timeout?: string;
  wait?: string;
  retries?: string;
  priority?: string;
  confidential?: boolean;
  once?: boolean;
  memory?: string;
  fresh?: boolean;
  detach?: boolean;
  id?: string;
  mark?: boolean;
}

export async function runCpu(context: Context<CpuFlags>): Promise<number> {
  const { flags } = context;
  const request = await requestOf(flags);
  const following = new Following(context, { mark: flags.mark !== false });
  const pool = await connectTo(context, { onLink: following.onLink });
  try {
    return flags.detach === true ? await detach(context, pool, request) : await untilItEnds(context, pool, request, following);
  } finally {
    following.stop();
    await pool.close();
  }
}

/** @throws PotluckError for flags that will not do, before anything is dialled */
export async function requestOf(flags: CpuFlags): Promise<TaskRequest> {
  const { checkJson } = await import('../sdk/json.ts');
  if ([flags.file, flags.args, flags.kwargs].filter((value) => value === '-').length > 1) {
    throw usage('standard input was asked for twice', 'it can be read once', 'put one of them into a file');
  }
  const language = languageOf(flags);
  const request: TaskRequest = { language, program: programOf(flags) };
  const args = flags.args === undefined ? undefined : jsonText('--args', flags.args);
  const kwargs = flags.kwargs === undefined ? undefined : jsonText('--kwargs', flags.kwargs);
  if (args !== undefined) {
    checkJson(args, 'array', '--args');
    request.args = { json: args };
  }
  if (kwargs !== undefined) {
    if (language !== 'python') throw usage('--kwargs is for Python', 'JavaScript has no keyword arguments', 'pass an object in --args');
    checkJson(kwargs, 'object', '--kwargs');
    request.kwargs = { json: kwargs };
  }
  if (flags.function !== undefined) request.function = functionOf(flags.function);
  if (flags.id !== undefined) request.id = idOf(flags.id);
  return Object.assign(request, optionsOf(flags));
}

function programOf({ program, file }: CpuFlags): string {
  if (program !== undefined && file !== undefined) throw usage('--program and --file were both given', 'a task has one program', 'leave one of them out');
  if (program !== undefined) return program;
  if (file !== undefined) return fileText('--file', file);
  throw usage('no program was given', 'cpu runs a function of a program', 'give it with --program "def main(x): return x * x", or --file PATH');
}

function languageOf({ language, file }: CpuFlags): TaskRequest['language'] {
  if (language !== undefined) return oneOf('--language', language, ['python', 'javascript']);
  return file !== undefined && /\.(?:js|mjs)$/i.test(file) ? 'javascript' : 'python';
}

function functionOf(name: string): string {
  if (name !== '' && name.length <= limits.functionNameLengthMax) return name;
  throw usage('--function will not do', `a name has 1 to ${limits.functionNameLengthMax} characters`, 'write it like --function main');
}

function idOf(id: string): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return id;
  throw usage(`--id ${id} will not do`, `an id has at most ${limits.idLengthMax} letters, digits, _ or -`, 'leave it out to get a new one');
}

function optionsOf(flags: CpuFlags): Partial<TaskRequest> {
  const options: Partial<TaskRequest> = {};
  if (flags.timeout !== undefined) options.timeoutMs = secondsAsMs('--timeout', flags.timeout, limits.timeoutMsMax);
  if (flags.wait !== undefined) options.waitMs = secondsAsMs('--wait', flags.wait, limits.timeoutMsMax);
  if (flags.retries !== undefined) options.retries = wholeNumber('--retries', flags.retries, 0, limits.retriesMax);
  if (flags.priority !== undefined) options.priority = wholeNumber('--priority', flags.priority, -limits.priorityMax, limits.priorityMax);
  if (flags.memory !== undefined) options.memoryMb = wholeNumber('--memory', flags.memory, 1, limits.memoryMbMax);
  if (flags.confidential === true) options.confidential = true;
  if (flags.once === true) options.once = true;
  if (flags.fresh === true) options.fresh = true;
  return options;
}

async function detach(context: Context<CpuFlags>, pool: Pool, request: TaskRequest): Promise<number> {
  const { terminal, flags } = context;
  const task = pool.submit(request);
  await task.accepted;
  if (flags.json === true) terminal.out(`${JSON.stringify({ id: task.id, state: task.state })}\n`);
  else terminal.out(`${task.id}\n`);
  if (flags.quiet !== true && flags.json !== true) terminal.errLine(`accepted; next: ${nextCommand(context, `wait ${task.id}`)}`);
  return exit.done;
}

async function untilItEnds(context: Context<CpuFlags>, pool: Pool, request: TaskRequest, following: Following): Promise<number> {
  const task = pool.submit({ ...request, onOutput: following.onOutput, onState: following.onState });
  if (context.flags.quiet !== true) context.terminal.errLine(`task ${task.id}`);
  following.start();
  const interrupt = new Interrupt(task, () => following.interrupt()).start();
  try {
    const outcome = await Promise.race([task.outcome(), interrupt.givenUp]);
    following.stop();
    if (outcome !== undefined) showOutcome(context, outcome);
    else showGivenUp(context, task.id);
    return outcome === undefined || interrupt.came ? interrupted : statusOfOutcome(outcome);
  } catch (error) {
    throw mayStillRun(error, nextCommand(context, `task ${task.id}`));
  } finally {
    interrupt.end();
  }
}

/** Who loses sight of a task must not think that it is over. */
function mayStillRun(error: unknown, next: string): unknown {
  if (!(error instanceof PotluckError) || exitStatusOf(error.code) !== exit.unreachable) return error;
  const fix = `the task may still run; when the peer can be reached: ${next}`;
  return new PotluckError(error.code, error.message, { why: error.why, fix: error.fix === undefined ? fix : `${error.fix}; ${fix}`, cause: error });
}

/** Prints how a task ended: the result alone on stdout, everything else on stderr. */
export function showOutcome(context: Context<ClientFlags>, outcome: Outcome): void {
  const { terminal, flags } = context;
  if (flags.json === true) terminal.out(`${outcomeJson(outcome)}\n`);
  else if (outcome.resultJson !== undefined) terminal.out(`${terminal.outIsTerminal ? escapedJson(outcome.resultJson) : outcome.resultJson}\n`);
  else for (const line of failureLines(outcome, (text) => terminal.red(text))) terminal.errLine(line);
  if (flags.quiet === true || flags.json === true) return;
  if (outcome.resultJson !== undefined) terminal.errLine(terminal.dim(ranLine(outcome)));
  terminal.errLine(terminal.dim(`next: ${nextCommand(context, `task ${outcome.id}`)} tells its whole story`));
}

function showGivenUp({ terminal, flags }: Context<CpuFlags>, id: string): void {
  const what = `the peer has not confirmed that task ${id} is cancelled`;
  const error = new PotluckError('cancelled', what, { why: 'no answer came in time; it may still run', fix: `cancel it again: potluck cancel ${id}` });
  const shown = shownOf(error);
  if (flags.json === true) terminal.out(`${errorJson(shown)}\n`);
  else for (const line of errorLines(shown, (text) => terminal.red(text))) terminal.errLine(line);
}
