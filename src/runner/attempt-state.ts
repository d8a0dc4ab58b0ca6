/** One attempt at its runner, from being taken to its end. */
import type { AttemptEnd, AttemptRef, MessageOf, Problem } from '../wire/messages.ts';
import type { AttemptOutput } from './output-state.ts';

export interface Attempt {
  readonly home: string;
  /** The key that its home proved. */
  readonly homeKey: string;
  readonly message: MessageOf<'attempt'>;
  readonly ahead: boolean;
  /** content: fetching. waiting: for a slot or a worker. fed: behind another in a worker's pipe. ending: being killed. */
  state: 'content' | 'waiting' | 'fed' | 'running' | 'ending';
  worker: string | undefined;
  takenAt: number;
  startedAt: number;
  announced: boolean;
  /** How it ends, once its worker is gone. */
  verdict: { outcome: AttemptEnd['outcome']; error?: Problem } | undefined;
  /** Why its worker did not come up: no fault of the task. */
  unstarted: string | undefined;
  /** Once it has printed. */
  output: AttemptOutput | undefined;
}

export const newAttempt = (home: string, homeKey: string, message: MessageOf<'attempt'>, isReady: boolean, nowMs: number): Attempt => ({
  home,
  homeKey,
  message,
  ahead: message.ahead === true,
  state: isReady ? 'waiting' : 'content',
  worker: undefined,
  takenAt: nowMs,
  startedAt: 0,
  announced: false,
  verdict: undefined,
  unstarted: undefined,
  output: undefined,
});

/** The three that name an attempt. */
export const refOf = ({ id, attempt, key }: AttemptRef): AttemptRef => ({ id, attempt, key });
