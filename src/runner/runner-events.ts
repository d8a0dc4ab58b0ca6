/** What a runner is told (past tense) and what it orders (imperative). See runner-state.ts. */
import type { Origin } from './acceptance-state.ts';
import type { Observation } from './observed-state.ts';
import type { AttemptRef, Language, Message, MessageOf, Problem, Value } from '../wire/messages.ts';

export type RunnerEvent =
  | { type: 'tick' }
  | { type: 'home_linked'; home: string }
  | { type: 'home_unlinked'; home: string }
  /** Its link holds more than it should, or does not any more: what is bulky waits. */
  | { type: 'home_full'; home: string }
  | { type: 'home_drained'; home: string }
  /** `ready`: its program and its arguments are all here. */
  | { type: 'attempt_offered'; home: string; origin: Origin; attempt: MessageOf<'attempt'>; ready: boolean }
  | { type: 'content_arrived'; key: string }
  | { type: 'content_failed'; key: string; why: string }
  | { type: 'kill_told'; home: string; ref: AttemptRef; why: MessageOf<'kill'>['why'] }
  /** Members no more: as homes, and as submitters. */
  | { type: 'revoked'; keys: readonly string[] }
  | { type: 'stored_told'; home: string; refs: AttemptRef[] }
  | { type: 'worker_ready'; worker: string; pid: number }
  | { type: 'worker_output'; worker: string; job: number; stream: 'stdout' | 'stderr'; data: Uint8Array }
  | { type: 'worker_answered'; worker: string; job: number; runUs: number; result?: Value; resultBytes: number; error?: Problem; leftovers: boolean }
  /** `ready`: it had come up; otherwise nothing of its jobs has started. */
  | { type: 'worker_exited'; worker: string; ready: boolean; outOfMemory: { limitMb: number } | null; why: string }
  | { type: 'worker_gone'; worker: string }
  /** The answer to `take_back`: these jobs never started and never will. */
  | { type: 'taken_back'; worker: string; jobs: number[] }
  | { type: 'load_measured'; cpuLoad: number }
  /** A worker for the runner's own user is wanted before the first task. */
  | { type: 'warmed'; language: Language }
  /** The link to the tracker, over which every newer roster comes. */
  | { type: 'tracker_linked' }
  | { type: 'tracker_unlinked' }
  /** Probes have shown another level. */
  | { type: 'level_proved'; level: number }
  | { type: 'draining' }
  /** The process ends soon: what still runs is given back. */
  | { type: 'stopping' };

export type RunnerSend =
  | { to: 'home'; home: string; message: Message }
  /** For the pool's audit. */
  | { to: 'report'; observation: Observation }
  | { to: 'spawn'; worker: string; language: Language; homeKey: string; submitter: string; foreign: boolean; memoryMb: number | null }
  | { to: 'feed'; worker: string; jobs: { job: number; attempt: MessageOf<'attempt'> }[] }
  | { to: 'take_back'; worker: string }
  | { to: 'kill'; worker: string }
  /** Get the content of an admitted attempt from its home. */
  | { to: 'content'; home: string; attempt: MessageOf<'attempt'> }
  /** The attempt is over: its arguments, and its result once it is stored, are no longer needed. */
  | { to: 'forget_content'; key: string }
  | { to: 'forget_result'; hash: string };
