/**
 * How a task ended, as a program sees it, and the errors it may meet.
 *
 * Owns: the shape of an outcome outside of potluck. The home decides outcomes; nothing here changes one.
 */
import { PotluckError, invalidResult, isErrorCode } from '../errors.ts';
import { jsonTextOf } from '../lib/json-text.ts';
import type { MessageOf, OutcomeState, Problem, Receipt } from '../wire/messages.ts';
import { parseExact } from './json.ts';

export interface Outcome {
  readonly id: string;
  readonly state: OutcomeState;
  /** The peer that ran it; null if none did. */
  readonly peer: string | null;
  /** From 1; 0 if no attempt was made. */
  readonly attempt: number;
  readonly queuedMs: number;
  /** null if it never ran. */
  readonly runMs: number | null;
  /** Why that peer; null if it was never placed. */
  readonly receipt: Receipt | null;
  /** The result's exact JSON text, checked to be one; there if `state` is `done`, the result is still kept, and it is JSON. */
  readonly resultJson?: string;
  /** There exactly if `resultJson` is not. */
  readonly error?: Problem;
}

/** Thrown by `await task` for every outcome but `done`, and for that too when its result is no longer kept. */
export class TaskError extends Error {
  override name = 'TaskError';
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    const { error } = outcome;
    const text = error?.message ?? `the task ended ${outcome.state}`;
    // The type of what the program raised; potluck's own messages come without a traceback and need none.
    super(error?.type === undefined || error.traceback === undefined || text.startsWith(error.type) ? text : `${error.type}: ${text}`);
    this.outcome = outcome;
  }

  /** How the task ended. */
  get state(): OutcomeState {
    return this.outcome.state;
  }

  /** The code of the error, as listed in the reference of errors. */
  get code(): string {
    return this.outcome.error?.code ?? this.outcome.state;
  }
}

/** @param result the result's bytes, wherever they came from; undefined unless the outcome is `done` */
export function toOutcome(message: MessageOf<'outcome'>, result: Uint8Array | undefined): Outcome {
  const { id, state, peer, attempt, queued_ms: queuedMs, run_ms: runMs, receipt, error } = message;
  const common = { id, state, peer, attempt, queuedMs, runMs, receipt };
  if (state === 'done' && error === undefined) {
    const resultJson = jsonTextOf(result ?? new Uint8Array());
    return resultJson === undefined ? { ...common, error: invalidResult(id, peer).toProblem() } : { ...common, resultJson };
  }
  return { ...common, error: error ?? { code: state, message: `the task ended ${state}` } };
}

/**
 * The value of the result.
 * @throws TaskError unless the outcome is `done` and has one
 */
export function resultOf(outcome: Outcome): unknown {
  if (outcome.state !== 'done' || outcome.resultJson === undefined) throw new TaskError(outcome);
  return parseExact(outcome.resultJson);
}

/** What the other side said went wrong, as an error of this side. Errors travel as `what: why`. */
export function errorOf({ code, message, hint }: Problem): PotluckError {
  if (!isErrorCode(code)) return new PotluckError('internal', message, { why: `the peer calls it ${code}, which this version does not know`, fix: hint });
  const colon = message.indexOf(': ');
  if (colon === -1) return new PotluckError(code, message, { fix: hint });
  return new PotluckError(code, message.slice(0, colon), { why: message.slice(colon + 2), fix: hint });
}
