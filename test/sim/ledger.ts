/**
 * What an observer who sees all of a simulated pool writes down, and the promises checked against it.
 *
 * Owns: what clients saw, what workers ran. A broken promise is thrown where it breaks, as `Broken`.
 */
import type { Outcome } from '../../src/wire/messages.ts';

/** From a cancel or a timeout to the end of what it ran. */
const killedWithinMs = 1_000;

export class Broken extends Error {
  override name = 'Broken';
}

interface Entry {
  readonly once: boolean;
  /** The key of who planned it. */
  readonly submitter: string;
  submitted: boolean;
  accepted: boolean;
  refused: string | undefined;
  outcome: Outcome | undefined;
  runs: number;
  /** Its submitter is a member no more: nobody is owed its outcome. */
  abandoned: boolean;
  /** Keys of attempts whose run came to its end. */
  readonly finished: Set<string>;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #abandoned = new Set<string>();
  readonly #running = new Map<string, number>();
  /** Runs under way, by attempt key. */
  readonly #runs = new Map<string, { id: string; runner: string; endedAt: number | undefined }>();
  runs = 0;

  planned(id: string, once: boolean, submitter = 'member'): void {
    this.#entries.set(id, { once, submitter, submitted: false, accepted: false, refused: undefined, outcome: undefined, abandoned: this.#abandoned.has(submitter), runs: 0, finished: new Set() });
  }

  entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Broken(`nobody planned a task ${id}`);
    return entry;
  }

  abandon(submitter: string): void {
    this.#abandoned.add(submitter);
    for (const entry of this.#entries.values()) if (entry.submitter === submitter) entry.abandoned = true;
  }

  /** Runs under way, with whose they are. */
  running(): { id: string; runner: string; submitter: string }[] {
    return [...this.#runs.values()].map(({ id, runner }) => ({ id, runner, submitter: this.entry(id).submitter }));
  }

  // --- what clients see --------------------------------------------------------------------

  accepted(id: string): void {
    this.entry(id).accepted = true;
  }

  refused(id: string, code: string): void {
    const entry = this.entry(id);
    if (entry.accepted) throw new Broken(`${id} was refused (${code}) after it had been accepted`);
    entry.refused = code;
  }

  missing(id: string): void {
    if (this.entry(id).accepted) throw new Broken(`${id} was accepted and is not known any more`);
  }

  ended(outcome: Outcome): void {
    const entry = this.entry(outcome.id);
    const { outcome: before } = entry;
    if (before !== undefined && facts(before) !== facts(outcome)) {
      throw new Broken(`the outcome of ${outcome.id} changed from ${facts(before)} to ${facts(outcome)}`);
    }
    if (before === undefined && outcome.state === 'done' && !entry.finished.has(textOf(outcome))) {
      throw new Broken(`${outcome.id} is done by an attempt that never finished: ${textOf(outcome)}`);
    }
    entry.outcome = outcome;
  }

  // --- what workers do ---------------------------------------------------------------------

  began(runner: string, slots: number, id: string, key: string): void {
    this.runs += 1;
    this.#runs.set(key, { id, runner, endedAt: undefined });
    const entry = this.entry(id);
    entry.runs += 1;
    if (entry.once && entry.runs > 1) throw new Broken(`${id} may run only once and ran ${entry.runs} times`);
    const running = (this.#running.get(runner) ?? 0) + 1;
    if (running > slots) throw new Broken(`${runner} has ${slots} slots and runs ${running} tasks`);
    this.#running.set(runner, running);
  }

  finished(id: string, key: string): void {
    this.entry(id).finished.add(key);
  }

  /** The run is over, one way or another. */
  over(runner: string, key: string): void {
    this.#runs.delete(key);
    this.#running.set(runner, (this.#running.get(runner) ?? 0) - 1);
  }

  runnerDied(runner: string): void {
    this.#running.delete(runner);
    for (const [key, run] of this.#runs) if (run.runner === runner) this.#runs.delete(key);
  }

  /** Nothing runs on for a task that has ended; `reachable`: whether its home can reach that runner. */
  checkKilled(ms: number, reachable: (runner: string) => boolean): void {
    for (const run of this.#runs.values()) {
      if (this.entry(run.id).outcome === undefined || !reachable(run.runner)) run.endedAt = undefined;
      else if (ms - (run.endedAt ??= ms) > killedWithinMs) throw new Broken(`${run.id} has ended as ${this.entry(run.id).outcome?.state} and still runs on ${run.runner} after ${ms - run.endedAt} ms`);
    }
  }

  // --- how it stands -----------------------------------------------------------------------

  /** Tasks that a client was promised, or may still be, and that have no outcome yet. */
  open(): string[] {
    return [...this.#entries].filter(([, { submitted, refused, outcome, abandoned }]) => submitted && !abandoned && refused === undefined && outcome === undefined).map(([id]) => id);
  }

  outcomes(): Map<string, Outcome> {
    return new Map([...this.#entries].flatMap(([id, { outcome }]) => (outcome === undefined ? [] : [[id, outcome] as const])));
  }

  count(state: string): number {
    return [...this.#entries.values()].filter(({ outcome }) => outcome?.state === state).length;
  }
}

const textOf = ({ result }: Outcome): string => (result instanceof Uint8Array ? new TextDecoder().decode(result) : '');
const facts = (outcome: Outcome): string => `${outcome.state} by ${outcome.peer} in attempt ${outcome.attempt} (${textOf(outcome)})`;
