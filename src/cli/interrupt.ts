/**
 * Ctrl+C while a task is waited for: the first one cancels it, a second one leaves at once.
 */
import { interrupted } from '../errors.ts';
import type { Task } from '../sdk/index.ts';

/** A cancelled task has this long to say so before Ctrl+C is obeyed without it. */
const PATIENCE_MS = 3_000;

export class Interrupt {
  /** Resolves if the task was cancelled and said nothing in time. */
  readonly givenUp: Promise<undefined>;
  #came = false;
  #giveUp: () => void = () => undefined;
  #late: ReturnType<typeof setTimeout> | undefined;
  readonly #task: Task;
  readonly #onFirst: () => void;

  constructor(task: Task, onFirst: () => void) {
    this.#task = task;
    this.#onFirst = onFirst;
    this.givenUp = new Promise((resolve) => {
      this.#giveUp = () => resolve(undefined);
    });
  }

  start(): this {
    process.on('SIGINT', this.#onSignal);
    return this;
  }

  get came(): boolean {
    return this.#came;
  }

  end(): void {
    clearTimeout(this.#late);
    process.off('SIGINT', this.#onSignal);
  }

  readonly #onSignal = (): void => {
    if (this.#came) process.exit(interrupted);
    this.#came = true;
    this.#onFirst();
    this.#late = setTimeout(this.#giveUp, PATIENCE_MS);
    // How it ended is told to whoever waits for the outcome.
    this.#task.cancel().catch(() => undefined);
  };
}
