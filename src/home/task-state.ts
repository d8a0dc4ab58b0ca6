/**
 * One task at its home: its durable story, and how a record changes it.
 *
 * Owns: `Task` and `applyToTask`. Who decides on records: home-state.ts.
 *
 *   queued ──assigned──▶ assigned ──(runner says so)──▶ running ──ended──▶ one outcome
 *      ▲                    │                             │
 *      └──requeued: refused, lost, failed, moved──────────┘
 *
 * Invariants
 * 1. Only records change what is durable; `running` is news from a runner and is not.
 * 2. An ended task is never changed again.
 * 3. A refused attempt leaves no trace: the next one has the same number and another key.
 */
import type { Now } from '../lib/clock.ts';
import { limits } from '../limits.ts';
import { StreamEnds } from '../lib/stream-ends.ts';
import type { AttemptRef, MessageOf, OutcomeState, Problem, Receipt, Value } from '../wire/messages.ts';
import type { AttemptStory, RecordOf, Story } from './records.ts';

/** The peer that this home is part of: its name, and the key that it proves to runners. */
export interface Self {
  readonly peer: string;
  readonly key: string;
}

export interface Task {
  readonly id: string;
  readonly accepted: RecordOf<'accepted'>;
  /** The number of the record that accepted it. */
  readonly seq: number;
  /** Its place in line: accepted − 60 s × priority. */
  readonly order: number;
  state: 'queued' | 'assigned' | 'running';
  attempts: AttemptStory[];
  receipt: Receipt | null;
  losses: number;
  failures: number;
  /** The runner of the last attempt that was lost or failed: another goes first. */
  avoid: string | null;
  /** Times that a runner could not get its content. */
  contentMisses: number;
  /** A retry waits until then. */
  notBefore: number;
  /** Ms in its home's clock at which the present attempt was assigned. */
  assignedAt: number;
  /** Line in which it waits now. */
  line: string;
  stdout: StreamEnds | undefined;
  stderr: StreamEnds | undefined;
}

export const newOutput = (): StreamEnds => new StreamEnds({ headBytes: limits.outputHeadBytes, tailBytes: limits.outputTailBytes, windowBytes: limits.followedOutputBytes });

/** A story of a thousand attempts must still fit into one record of the journal. */
const longReasonsMax = 100;
const shortReasonLength = 500;

export function newTask(record: RecordOf<'accepted'>, seq: number): Task {
  return {
    id: record.id,
    accepted: record,
    seq,
    order: record.at - limits.priorityStepMs * (record.options.priority ?? 0),
    state: 'queued',
    attempts: [],
    receipt: null,
    losses: 0,
    failures: 0,
    avoid: null,
    contentMisses: 0,
    notBefore: 0,
    assignedAt: 0,
    line: '',
    stdout: undefined,
    stderr: undefined,
  };
}

/** The attempt that counts, if there is one. */
export const currentAttempt = (task: Task): AttemptStory | undefined => (task.state === 'queued' ? undefined : task.attempts.at(-1));

/** Whether a message about an attempt speaks of the one that counts. */
export function isCurrent(task: Task | undefined, peer: string, ref: AttemptRef): task is Task {
  const current = task === undefined ? undefined : currentAttempt(task);
  return current !== undefined && current.attempt === ref.attempt && current.key === ref.key && current.peer === peer;
}

/** What follows the last of so many failures. */
export const retryPauseMs = (failures: number): number => Math.min(limits.retryMsMax, limits.retryMsMin * 2 ** (failures - 1));

/** The number of the next attempt. */
export const nextAttempt = (task: Task): number => task.attempts.length + 1;

/** All that is durable of a task that has not ended, as one record: `taskFrom` gives the same task again. */
export function restate(task: Task, now: Now): RecordOf<'restated'> {
  const { id, accepted, seq, receipt, losses, failures, avoid, notBefore, assignedAt } = task;
  // Copies: the record is written a moment later.
  const attempts = task.attempts.map((attempt) => ({ ...attempt, state: attempt.state === 'running' ? ('assigned' as const) : attempt.state }));
  const isAssigned = task.state !== 'queued';
  return { kind: 'restated', id, accepted, seq, attempts, receipt, losses, failures, avoid, notBefore, assignedAt, isAssigned, at: now.ms, wall: now.wall };
}

export function taskFrom({ accepted, seq, attempts, receipt, losses, failures, avoid, notBefore, assignedAt, isAssigned }: RecordOf<'restated'>): Task {
  return { ...newTask(accepted, seq), state: isAssigned ? 'assigned' : 'queued', attempts, receipt, losses, failures, avoid, notBefore, assignedAt };
}

/** Changes a task as its record says; it is its home that adds and removes it. */
export function applyToTask(task: Task, record: RecordOf<'assigned' | 'requeued'>): void {
  if (record.kind === 'assigned') {
    task.state = 'assigned';
    task.receipt = record.receipt;
    task.assignedAt = record.at;
    const { attempt, key, peer, at, wall } = record;
    task.attempts.push({ attempt, key, peer, state: 'assigned', reason: null, at, wall });
    return;
  }
  const last = task.attempts.at(-1);
  task.state = 'queued';
  task.stdout = undefined;
  task.stderr = undefined;
  if (last === undefined) return;
  if (record.why === 'refused') {
    task.attempts.pop();
    return;
  }
  last.state = record.why;
  last.reason = task.attempts.length > longReasonsMax ? record.reason.slice(0, shortReasonLength) : record.reason;
  if (record.why === 'lost') task.losses += 1;
  if (record.why === 'failed') task.failures += 1;
  task.avoid = last.peer;
}

/** What is known of an end besides its state. */
export interface End {
  result?: Value;
  error?: Problem;
  runUs?: number;
}

/** The record of a task's outcome. */
export function endedRecord(task: Task, state: OutcomeState, { result, error, runUs }: End, now: Now): RecordOf<'ended'> {
  const stdout = task.stdout?.kept();
  const stderr = task.stderr?.kept();
  return {
    kind: 'ended',
    id: task.id,
    state,
    peer: currentAttempt(task)?.peer ?? null,
    attempt: task.attempts.length,
    runMs: runUs === undefined ? null : runUs / 1000,
    at: now.ms,
    wall: now.wall,
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
    ...(stdout === undefined ? {} : { stdout }),
    ...(stderr === undefined ? {} : { stderr }),
  };
}

/** Hashes of its program and of what does not travel inside messages. */
export function contentOf({ accepted: { program, args, kwargs } }: Task): string[] {
  const hashes = [program];
  for (const value of [args, kwargs]) if (value !== undefined && !(value instanceof Uint8Array)) hashes.push(value.hash);
  return hashes;
}

/** What its runner is told. Built without spreads: there is one for every attempt. */
export function attemptMessage(task: Task, attempt: number, key: string, ahead: boolean): MessageOf<'attempt'> {
  const { program, language, function: name, args, kwargs, options, submitter } = task.accepted;
  const message: MessageOf<'attempt'> = { kind: 'attempt', id: task.id, attempt, key, program, language, function: name, args, submitter };
  if (kwargs !== undefined) message.kwargs = kwargs;
  if (options.timeoutMs !== undefined) message.timeoutMs = options.timeoutMs;
  if (options.memoryMb !== undefined) message.memoryMb = options.memoryMb;
  if (options.fresh !== undefined) message.fresh = options.fresh;
  if (ahead) message.ahead = true;
  return message;
}

/** The whole story of a task that this record ends. */
export function endedStory(task: Task, record: RecordOf<'ended'>): Story {
  const last = task.attempts.at(-1);
  if (last !== undefined && task.state !== 'queued') {
    last.state = record.state;
    last.reason = record.error?.message ?? null;
  }
  const queuedMs = Math.max(0, (last === undefined ? record.at : last.at) - task.accepted.at);
  return { accepted: task.accepted, attempts: task.attempts, receipt: task.receipt, queuedMs, ended: record };
}
