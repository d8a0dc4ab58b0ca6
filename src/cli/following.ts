/**
 * What a person sees while a task goes on: what it prints, what it waits for, whether the link holds.
 *
 * Owns: who may use the terminal's last line. Neighbours: progress.ts paints it, task-output.ts prints.
 */
import type { LinkChange, StateChange, TaskOutput } from '../sdk/index.ts';
import type { ClientFlags, Context } from './context.ts';
import { stateText } from './format.ts';
import { Progress } from './progress.ts';
import { TaskPrinter } from './task-output.ts';

export class Following {
  readonly #progress: Progress;
  readonly #printer: TaskPrinter;
  #reason = 'waiting for the peer to accept the task';

  constructor({ terminal, flags }: Context<ClientFlags>, { mark }: { mark: boolean }) {
    this.#progress = new Progress(terminal, flags.quiet !== true && flags.progress !== false);
    this.#printer = new TaskPrinter(terminal, mark);
  }

  start(): void {
    this.#progress.start();
    this.#progress.say(this.#reason);
  }

  stop(): void {
    this.#progress.stop();
    this.#printer.end();
  }

  readonly onOutput = (output: TaskOutput): void => {
    this.#progress.erase();
    this.#printer.print(output);
    this.#progress.pause(this.#printer.lineIsOpen);
  };

  readonly onState = (change: StateChange): void => {
    this.#reason = reasonOf(change);
    this.#progress.say(this.#reason);
  };

  readonly onLink = ({ up, why }: LinkChange): void => {
    if (up) this.#progress.say(this.#reason);
    else this.#progress.sayNow(`the link to the peer was lost (${why ?? 'no reason known'}); reconnecting, what it accepted goes on`);
  };

  interrupt(): void {
    this.#progress.sayNow('cancelling; Ctrl+C again leaves at once');
  }
}

function reasonOf({ state, attempt, peer, waitingFor }: StateChange): string {
  const again = attempt > 1 ? ` (attempt ${attempt})` : '';
  if (waitingFor !== undefined) return `waiting: ${waitingFor}${again}`;
  if (state === 'assigned') return `on its way to ${peer ?? 'a peer'}${again}`;
  if (state === 'running') return `running on ${peer ?? 'a peer'}${again}`;
  return `${stateText(state)}${again}`;
}
