/**
 * One task: what the pool knows of it (TaskView) and what the program holds of it (Task).
 *
 * Owns: the state of one task on the client's side, and that nothing is told twice.
 *
 * Invariants
 * 1. Each byte of output is told once, though a home that is watched again replays what it kept; what is
 *    missing between what was told and what is told next is counted.
 * 2. Listeners run after the message that caused them was handled; what they throw is the program's
 *    own uncaught exception, never the end of the link.
 */
import type { PotluckError } from '../errors.ts';
import type { MessageOf, TaskState } from '../wire/messages.ts';
import { Latch } from '../lib/latch.ts';
import { resultOf, type Outcome } from './outcome.ts';
import type { StateChange, Submission, TaskOutput, TaskRequest } from './submission.ts';

type Listeners = Pick<TaskRequest, 'onOutput' | 'onState'>;

/**
 * Where the submission is: in line here; on its way; kept by the home; over. A watched task begins as
 * accepted.
 */
export type Phase = 'in line' | 'sent' | 'accepted' | 'over';

export class TaskView {
  readonly id: string;
  readonly digest: string | undefined;
  readonly accepted = new Latch<void>();
  readonly outcome = new Latch<Outcome>();
  phase: Phase;
  /** Until it is accepted. */
  submission: Submission | undefined;
  cancelWanted = false;
  /** Somebody listens. */
  follow = false;
  /** What the home was last asked to tell. */
  asked: 'the outcome' | 'everything' | undefined;
  /** The last state that was heard of. */
  state: TaskState = 'queued';
  #listeners: Listeners[] | undefined;
  #printed: Map<string, Printed> | undefined;

  constructor(id: string, submission: Submission | undefined) {
    this.id = id;
    this.submission = submission;
    this.digest = submission?.digest;
    this.phase = submission === undefined ? 'accepted' : 'in line';
    if (submission === undefined) this.accepted.set();
  }

  listen({ onOutput, onState }: Listeners): void {
    if (onOutput === undefined && onState === undefined) return;
    this.follow = true;
    (this.#listeners ??= []).push({ ...(onOutput && { onOutput }), ...(onState && { onState }) });
  }

  /** The home will tell the output that it kept, from its beginning. */
  replays(): void {
    for (const printed of this.#printed?.values() ?? []) printed.at = 0;
  }

  stateChanged(message: MessageOf<'task_state'>): void {
    this.state = message.state;
    const { id, state, attempt, peer, waiting_for: waitingFor } = message;
    const change: StateChange = waitingFor === undefined ? { id, state, attempt, peer } : { id, state, attempt, peer, waitingFor };
    for (const { onState } of this.#listeners ?? []) if (onState) queueMicrotask(() => onState(change));
  }

  printed({ id, peer, attempt, stream, offset, data }: MessageOf<'output'>): void {
    const printed = this.#printedOf(`${attempt} ${stream}`);
    // An older home says no offsets: it tells everything in order.
    const at = offset ?? printed.at;
    printed.at = at + data.length;
    if (printed.at <= printed.told) return;
    const dropped = Math.max(0, at - printed.told);
    const fresh = data.subarray(Math.max(0, printed.told - at));
    printed.told = printed.at;
    const output: TaskOutput = { id, peer, attempt, stream, offset: printed.at - fresh.length, dropped, data: fresh };
    for (const { onOutput } of this.#listeners ?? []) if (onOutput) queueMicrotask(() => onOutput(output));
  }

  #printedOf(key: string): Printed {
    this.#printed ??= new Map();
    const known = this.#printed.get(key);
    if (known !== undefined) return known;
    const printed: Printed = { at: 0, told: 0 };
    this.#printed.set(key, printed);
    return printed;
  }
}

/** Of one stream of one attempt: bytes up to where the home is telling, and bytes told to listeners. */
interface Printed {
  at: number;
  told: number;
}

/**
 * A task that was submitted or is watched. It is under way whether or not anybody awaits it.
 *
 * `await task` gives the result, or throws: TaskError if it ended otherwise than `done`, PotluckError
 * if it was refused or nobody can say how it ended (the pool was closed, the link given up). An error
 * nobody awaits is silent.
 */
export class Task<T = unknown> implements PromiseLike<T> {
  readonly #view: TaskView;
  readonly #cancel: (view: TaskView) => void;
  #result: Promise<T> | undefined;

  /** Made by Pool.submit and Pool.watch. */
  constructor(view: TaskView, cancel: (view: TaskView) => void) {
    this.#view = view;
    this.#cancel = cancel;
  }

  get id(): string {
    return this.#view.id;
  }

  /** The last state that was heard of; kept up to date only with `onState` or `onOutput`, until the end. */
  get state(): TaskState {
    return this.#view.state;
  }

  /** Resolves when the task is on the home's disk: from then on it cannot be lost. @throws PotluckError if it was refused */
  get accepted(): Promise<void> {
    return this.#view.accepted.promise();
  }

  /**
   * How it ended, `done` or not.
   * @throws PotluckError if it was refused, is unknown, or the pool was closed before it ended
   */
  outcome(): Promise<Outcome> {
    return this.#view.outcome.promise();
  }

  /** Ends it, wherever it is. Gives the outcome: `cancelled`, or the one it already had. */
  cancel(): Promise<Outcome> {
    this.#cancel(this.#view);
    return this.outcome();
  }

  // A task is awaitable on purpose, like the promise that it stands for.
  // oxlint-disable-next-line unicorn/no-thenable
  then<A = T, B = never>(fulfilled?: ((value: T) => A | PromiseLike<A>) | null, rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    this.#result ??= this.outcome().then((outcome) => resultOf(outcome) as T);
    return this.#result.then(fulfilled, rejected);
  }

  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(undefined, rejected);
  }

  finally(settled?: (() => void) | null): Promise<T> {
    return this.then().finally(settled);
  }
}

/** Ends a view without an outcome. */
export function failView(view: TaskView, error: PotluckError): void {
  view.phase = 'over';
  view.accepted.fail(error);
  view.outcome.fail(error);
}
