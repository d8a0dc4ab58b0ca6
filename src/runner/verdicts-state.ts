/** How an attempt ends that does not answer by itself, in the words that its submitter reads; and the message of an end. */
import type { MessageOf, Problem, Value } from '../wire/messages.ts';
import { type Attempt, refOf } from './attempt-state.ts';

type Verdict = NonNullable<Attempt['verdict']>;

/** It was in the way when its worker had to be ended: no fault of its task, which its home gives to another runner. */
export const givenBack: Verdict = { outcome: 'killed', error: { code: 'worker_died', message: 'its worker was ended because of what ran in it before' } };

export const workerDied = (why: string): Verdict => ({ outcome: 'failed', error: { code: 'worker_died', message: why } });

export const peerStopped = (peer: string): Verdict => ({ outcome: 'killed', error: { code: 'draining', message: `${peer} was stopped` } });

export const timedOut = (timeoutMs: number): Verdict => ({
  outcome: 'timed_out',
  error: { code: 'timed_out', message: `the task ran longer than its timeout of ${timeoutMs / 1000} s and was killed`, hint: 'give it more time with --timeout' },
});

/** @param peerMb the most that any task gets on this peer */
export const outOfMemory = (limitMb: number, peerMb: number): Verdict => ({
  outcome: 'out_of_memory',
  error: {
    code: 'out_of_memory',
    message: `the task used more than its limit of ${limitMb} MB of memory`,
    hint: limitMb < peerMb ? 'give it more with --memory, or make it use less' : 'no task gets more on this peer; ask for more with --memory to have it run on another, or make it use less',
  },
});

/** What is known of an end. */
export interface Ending {
  outcome: Verdict['outcome'];
  error: Problem | undefined;
  runUs: number;
  result: Value | undefined;
  pid: number | undefined;
}

export const endMessage = ({ message }: Attempt, { outcome, error, runUs, result, pid }: Ending): MessageOf<'attempt_ended'> => ({
  kind: 'attempt_ended',
  ...refOf(message),
  outcome,
  runUs,
  ...(result === undefined ? {} : { result }),
  ...(error === undefined ? {} : { error }),
  ...(pid === undefined ? {} : { pid }),
});
