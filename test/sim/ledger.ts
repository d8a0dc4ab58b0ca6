/**
 * What an observer who sees all of a simulated pool writes down, and the promises checked against it.
 *
 * Owns: what clients saw, what workers ran, what homes recorded. A broken promise is thrown where it breaks, as
 * `Broken`.
 */
import type { Story } from '../../src/home/records.ts';
import type { Outcome as SdkOutcome } from '../../src/sdk/outcome.ts';
import type { MessageOf, TaskOptions } from '../../src/wire/messages.ts';
import { keyOfResult, printedBy } from './sim-workers.ts';

/** From a cancel or a timeout to the end of what it ran. */
const killedWithinMs = 1_000;
/** Beyond its timeout: the tick that notices, and the worker's end. */
const timeoutLateMs = 1_500;

/** Of its home's clock, whose tick that is. */
const waitLateMs = 1_500;

export class Broken extends Error {
  override name = 'Broken';
}

type Outcome = MessageOf<'outcome'>;

interface Entry {
  readonly options: TaskOptions;
  /** The key of who planned it. */
  readonly submitter: string;
  submittedAt: number | undefined;
  /** Somebody was told so. */
  accepted: boolean;
  refused: string | undefined;
  outcome: Outcome | undefined;
  runs: number;
  /** Keys of attempts whose run came to its end. */
  readonly finished: Set<string>;
}

interface Run {
  readonly id: string;
  readonly runner: string;
  readonly sinceMs: number;
  /** When somebody knew that the task had ended. */
  endedAt: number | undefined;
}

export class Ledger {
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Map<string, number>();
  /** Runs under way, by attempt key. */
  readonly #runs = new Map<string, Run>();
  /** Every attempt that ever ran. */
  readonly #ran = new Set<string>();
  /** By runner and worker: whom it serves. */
  readonly #submitters = new Map<string, string>();
  /** Tasks that clients wait for. */
  readonly #open = new Set<string>();
  readonly #others = new Set<string>();
  /** Members no more: nobody is owed the outcomes of their tasks. */
  readonly #abandoned = new Set<string>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  planned(id: string, options: TaskOptions, submitter: string): void {
    if (!this.#entries.has(id)) this.#entries.set(id, { options, submitter, submittedAt: undefined, accepted: false, refused: undefined, outcome: undefined, runs: 0, finished: new Set() });
  }

  abandon(submitter: string): void {
    this.#abandoned.add(submitter);
    for (const id of this.#open) if (this.entry(id).submitter === submitter) this.#open.delete(id);
  }

  isAbandoned(id: string): boolean {
    return this.#abandoned.has(this.entry(id).submitter);
  }

  /** Runs under way, with whose they are. */
  running(): { id: string; runner: string; submitter: string }[] {
    return [...this.#runs.values()].map(({ id, runner }) => ({ id, runner, submitter: this.entry(id).submitter }));
  }

  knows(id: string): boolean {
    return this.#entries.has(id);
  }

  entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Broken(`nobody planned a task ${id}`);
    return entry;
  }

  // --- what clients see --------------------------------------------------------------------

  submitted(id: string): void {
    const entry = this.entry(id);
    entry.submittedAt ??= this.#nowMs();
    if (entry.outcome === undefined && entry.refused === undefined && !this.#abandoned.has(entry.submitter)) this.#open.add(id);
  }

  accepted(id: string): void {
    this.entry(id).accepted = true;
  }

  /** What that machine says under this id is another task. */
  another(machine: string, id: string): void {
    this.#others.add(`${machine} ${id}`);
  }

  refused(id: string, code: string, machine: string): void {
    if (this.#others.has(`${machine} ${id}`)) return;
    const entry = this.entry(id);
    if (entry.accepted) throw new Broken(`${id} was refused (${code}) after it had been accepted`);
    entry.refused = code;
    this.#open.delete(id);
  }

  missing(id: string): void {
    const { accepted, submitter } = this.entry(id);
    if (accepted && !this.#abandoned.has(submitter)) throw new Broken(`${id} was accepted and is not known any more`);
    this.#open.delete(id);
  }

  ended(outcome: Outcome): void {
    const entry = this.entry(outcome.id);
    const { outcome: before } = entry;
    const isPruned = outcome.error?.code === 'no_longer_kept';
    if (before !== undefined && (isPruned ? before.state !== outcome.state : facts(before) !== facts(outcome))) {
      throw new Broken(`the outcome of ${outcome.id} changed from ${facts(before)} to ${facts(outcome)}`);
    }
    if (before !== undefined) return;
    const text = textOf(outcome);
    if (text !== undefined && !entry.finished.has(keyOfResult(text))) throw new Broken(`${outcome.id} is done by an attempt that never finished: ${text.slice(0, 30)}`);
    entry.outcome = outcome;
    this.#open.delete(outcome.id);
  }

  /** What a program gets from the SDK. */
  given({ id, state, resultJson, error }: SdkOutcome): void {
    const { outcome, accepted, finished } = this.entry(id);
    if (state === 'cancelled' && error?.message === 'the task was cancelled before it was submitted') {
      // It had not left the program; another one may have submitted it.
      if (!accepted) this.#open.delete(id);
      return;
    }
    if (outcome?.state !== state) throw new Broken(`a program was told that ${id} is ${state}, and its home said ${outcome?.state}`);
    if (resultJson !== undefined && !finished.has(keyOfResult(resultJson))) throw new Broken(`a program got for ${id} what no attempt gave: ${resultJson.slice(0, 30)}`);
  }

  // --- what homes record -------------------------------------------------------------------

  assigned(id: string, key: string): void {
    const { outcome } = this.entry(id);
    if (outcome !== undefined) throw new Broken(`${id} was assigned again (${key}) after its outcome ${outcome.state} had been seen`);
  }

  recorded({ accepted, attempts, ended }: Story): void {
    const { id, options } = accepted;
    const last = attempts.at(-1);
    const failures = attempts.slice(0, -1).filter(({ state }) => state === 'failed').length;
    if (ended.state === 'done') this.#recordedDone(id, last?.key ?? '', ended);
    const startedMs = (attempts[0]?.at ?? accepted.at) - accepted.at;
    if (options.waitMs !== undefined && startedMs > options.waitMs + waitLateMs) throw new Broken(`${id} had to start within ${options.waitMs} ms and was started after ${startedMs}`);
    if (options.once === true && attempts.length > 1) throw new Broken(`${id} may run only once and had ${attempts.length} attempts`);
    if (ended.state === 'failed' && ended.error?.code === 'exception' && options.once !== true && failures < (options.retries ?? 0)) {
      throw new Broken(`${id} ended as failed after ${failures} failures, with ${options.retries ?? 0} retries`);
    }
    if (failures > (options.retries ?? 0)) throw new Broken(`${id} was retried after ${failures} failures, with ${options.retries ?? 0} retries`);
    const losses = attempts.filter(({ state }) => state === 'lost').length;
    if (ended.state === 'quarantined' && losses < 4) throw new Broken(`${id} was quarantined after ${losses} losses`);
    if (options.once !== true && ended.state === 'unknown') throw new Broken(`${id} may run again and ended as unknown`);
  }

  #recordedDone(id: string, key: string, ended: Story['ended']): void {
    if (!this.entry(id).finished.has(key)) throw new Broken(`the record of ${id} says that it is done by ${key}, which never finished`);
    const text = ended.result instanceof Uint8Array ? decoder.decode(ended.result) : undefined;
    if (text !== undefined && keyOfResult(text) !== key) throw new Broken(`the record of ${id} has the result of ${keyOfResult(text)} under the attempt ${key}`);
    const output = decoder.decode(ended.stdout?.head);
    const printed = printedBy(key).join('');
    // Whatever became of links and homes on the way.
    if (output !== printed) throw new Broken(`the record of ${id} has the output ${JSON.stringify(output)} in place of ${JSON.stringify(printed)}`);
  }

  // --- what workers do ---------------------------------------------------------------------

  began(runner: string, slots: number, id: string, key: string, submitter: string, worker: string): void {
    if (this.#ran.has(key)) throw new Broken(`the attempt ${key} of ${id} ran twice`);
    this.#ran.add(key);
    this.#runs.set(key, { id, runner, sinceMs: this.#nowMs(), endedAt: undefined });
    const entry = this.entry(id);
    entry.runs += 1;
    if (entry.options.once === true && entry.runs > 1) throw new Broken(`${id} may run only once and ran ${entry.runs} times`);
    const running = (this.#running.get(runner) ?? 0) + 1;
    if (running > slots) throw new Broken(`${runner} has ${slots} slots and runs ${running} tasks`);
    this.#running.set(runner, running);
    const serves = this.#submitters.get(`${runner} ${worker}`);
    this.#submitters.set(`${runner} ${worker}`, submitter);
    if (serves !== undefined && serves !== submitter) throw new Broken(`the worker ${worker} of ${runner} served ${serves} and then ${submitter}`);
  }

  finished(id: string, key: string): void {
    this.entry(id).finished.add(key);
  }

  /** The run is over, one way or another. */
  over(runner: string, key: string): void {
    if (this.#runs.delete(key)) this.#running.set(runner, (this.#running.get(runner) ?? 0) - 1);
  }

  runnerDied(runner: string): void {
    this.#running.delete(runner);
    for (const [key, run] of this.#runs) if (run.runner === runner) this.#runs.delete(key);
    for (const worker of this.#submitters.keys()) if (worker.startsWith(`${runner} `)) this.#submitters.delete(worker);
  }

  /** Nothing runs on for a task that has ended, nor beyond its timeout. Only while all can reach all. */
  checkKilled(): void {
    const ms = this.#nowMs();
    for (const run of this.#runs.values()) {
      const { outcome, options } = this.entry(run.id);
      const { timeoutMs } = options;
      if (timeoutMs !== undefined && ms - run.sinceMs > timeoutMs + timeoutLateMs) throw new Broken(`${run.id} has run ${ms - run.sinceMs} ms on ${run.runner}, with a timeout of ${timeoutMs} ms`);
      if (outcome === undefined) run.endedAt = undefined;
      else if (ms - (run.endedAt ??= ms) > killedWithinMs) throw new Broken(`${run.id} has ended as ${outcome.state} and still runs on ${run.runner} after ${ms - run.endedAt} ms`);
    }
  }

  // --- how it stands -----------------------------------------------------------------------

  /** Tasks that a client was promised, or may still be, and that have no outcome yet. */
  open(): string[] {
    return [...this.#open];
  }

  get openCount(): number {
    return this.#open.size;
  }

  outcomes(): Map<string, Outcome> {
    return new Map([...this.#entries].flatMap(([id, { outcome }]) => (outcome === undefined ? [] : [[id, outcome] as const])));
  }

  count(state: string): number {
    return [...this.#entries.values()].filter(({ outcome }) => outcome?.state === state).length;
  }
}

const decoder = new TextDecoder();
/** Undefined when it travels by content. */
const textOf = ({ result }: Outcome): string | undefined => (result instanceof Uint8Array ? decoder.decode(result) : undefined);
const facts = (outcome: Outcome): string => `${outcome.state} by ${outcome.peer} in attempt ${outcome.attempt} (${textOf(outcome) ?? (outcome.result === undefined ? '' : (outcome.result as { hash: string }).hash.slice(0, 12))})`;
