/**
 * What a home answers to questions, as the documents that `--json` prints.
 * Values are put in as the JSON texts that they are; a result only when it is found to be one, since who ran the
 * task may lie.
 */
import { thousandths } from '../lib/rounding.ts';
import type { Machine, MessageOf, PeerInfo, Value } from '../wire/index.ts';
import type { HistoryEntry } from '../store/index.ts';
import { addressesToTry } from './dial-runner.ts';
import type { HomeState } from './home-state.ts';
import { outcomeOf } from './past-state.ts';
import { loadOf } from './placement-state.ts';
import { invalidResult } from '../errors.ts';
import { jsonTextOf } from '../lib/json-text.ts';
import { continuationBytes, cutCharacterBytes } from '../lib/utf8.ts';
import type { AttemptStory, Kept, PrunedTask, Story } from './records.ts';
import { currentAttempt, type Task } from './task-state.ts';
import type { Viewer } from './viewer.ts';

const tasksListedMax = 100;

/** Those of the viewer; for an admin also that others exist. */
export function statusRows(home: HomeState, viewer: Viewer, nowMs: number) {
  const rows = [];
  for (const task of home.tasks.values()) {
    if (rows.length >= tasksListedMax) break;
    if (task.accepted.submitter === viewer.key) rows.push(taskRow(home, task, nowMs));
    else if (viewer.isAdmin) rows.push(othersRow(task, viewer, nowMs));
  }
  return rows;
}

/** What an admin may know of it. */
function othersRow(task: Task, viewer: Viewer, nowMs: number) {
  const current = currentAttempt(task);
  return { id: task.id, state: task.state, peer: current?.peer ?? null, attempt: current?.attempt ?? task.attempts.length, age_ms: Math.round(nowMs - task.accepted.at), submitter: viewer.nameOf(task.accepted.submitter) };
}

/** A task that has not ended, as a row. */
export function taskRow(home: HomeState, task: Task, nowMs: number) {
  const current = currentAttempt(task);
  return {
    id: task.id,
    state: task.state,
    function: task.accepted.function,
    language: task.accepted.language,
    peer: current?.peer ?? null,
    attempt: current?.attempt ?? task.attempts.length,
    age_ms: Math.round(nowMs - task.accepted.at),
    ...(task.state === 'queued' ? { waiting_for: home.why(task) } : {}),
  };
}

/** @param own where this home runs: of several addresses the row has one that works from here */
export function peerRow(info: PeerInfo, load: number, own: Machine) {
  const { host = '', port = 0 } = addressesToTry(info, own)[0] ?? info.addresses[0] ?? {};
  return {
    peer: info.peer,
    host,
    port,
    web: info.web ?? null,
    cpu_load: thousandths(info.cpu_load),
    load: thousandths(load),
    slots: info.slots,
    running: info.running,
    queue_size: info.queued,
    state: info.state,
    isolation: info.isolation,
    accepts: info.accepts ?? 'own',
    ...(info.withheld === undefined ? {} : { withheld: info.withheld }),
    languages: info.languages,
  };
}

export function peerRows(home: HomeState, own: Machine) {
  const rows = [...home.runners.values()].flatMap((runner) => (runner.info === undefined ? [] : [peerRow(runner.info, tableLoad(runner.info, loadOf(runner)), own)]));
  return rows.sort((a, b) => a.peer.localeCompare(b.peer, 'en', { numeric: true }));
}

/** What the tracker counts for everybody, or what this home itself has there, whichever is more. */
const tableLoad = (info: PeerInfo, own: number): number => (info.slots === 0 ? 0 : Math.max(own, Math.min(1, Math.max(info.granted, info.running) / info.slots)));

/** What the index keeps of an error: its code and message, in one text. */
export function errorOf(kept: string): { code: string; message: string } {
  const at = kept.indexOf(': ');
  return { code: kept.slice(0, at), message: kept.slice(at + 2) };
}

export function historyRow(entry: HistoryEntry) {
  return {
    id: entry.id,
    state: entry.state,
    peer: entry.peer,
    attempt: entry.attempt,
    function: entry.function,
    language: entry.language,
    queued_ms: thousandths(entry.queuedMs),
    run_ms: entry.runMs === null ? null : thousandths(entry.runMs),
    accepted_at: new Date(entry.acceptedAt).toISOString(),
    ended_at: new Date(entry.endedAt).toISOString(),
    ...(entry.error === null ? {} : { error: errorOf(entry.error) }),
  };
}

/** What an admin may know of it: an error's message may say what the program said. */
export function othersHistoryRow({ id, state, peer, attempt, queuedMs, runMs, acceptedAt, endedAt }: HistoryEntry, submitter: string) {
  const times = { queued_ms: thousandths(queuedMs), run_ms: runMs === null ? null : thousandths(runMs), accepted_at: new Date(acceptedAt).toISOString(), ended_at: new Date(endedAt).toISOString() };
  return { id, state, peer, attempt, ...times, submitter };
}

/** Of tasks that have not ended and match, the newest first. They are in no index: it is made of outcomes. */
export function openRows(home: HomeState, viewer: Viewer, query: { limit: number; state?: string; peer?: string; since?: number }, nowMs: number) {
  const { limit, state, peer, since = -Infinity } = query;
  const found: Task[] = [];
  for (const task of home.tasks.values()) {
    if (task.accepted.submitter !== viewer.key && !viewer.isAdmin) continue;
    if (task.accepted.wall < since || (state !== undefined && task.state !== state)) continue;
    if (peer === undefined || currentAttempt(task)?.peer === peer) found.push(task);
  }
  // Nearly in this order already, which makes it cheap for a million.
  found.sort((a, b) => a.accepted.wall - b.accepted.wall || a.seq - b.seq);
  return found.slice(-limit).toReversed().map((task) => openHistoryRow(task, viewer, nowMs));
}

function openHistoryRow(task: Task, viewer: Viewer, nowMs: number) {
  const { id, accepted, state, attempts } = task;
  const current = currentAttempt(task);
  return {
    id,
    state,
    peer: current?.peer ?? null,
    attempt: current?.attempt ?? attempts.length,
    ...(accepted.submitter === viewer.key ? { function: accepted.function, language: accepted.language } : { submitter: viewer.nameOf(accepted.submitter) }),
    queued_ms: thousandths((current?.at ?? nowMs) - accepted.at),
    run_ms: null,
    accepted_at: new Date(accepted.wall).toISOString(),
    ended_at: null,
  };
}

const attemptRow = ({ attempt, peer, state, reason, wall }: AttemptStory) => ({ attempt, peer, state, reason, at: new Date(wall).toISOString() });

/** Characters that the gap cut count as dropped, so that the text has none that nobody printed. */
function outputOf(kept: Kept | undefined) {
  if (kept === undefined) return { text: '', dropped_bytes: 0 };
  const { dropped } = kept;
  if (dropped === 0) return { text: Buffer.concat([kept.head, kept.tail]).toString('utf8'), dropped_bytes: 0 };
  const head = kept.head.subarray(0, kept.head.length - cutCharacterBytes(kept.head));
  const tail = kept.tail.subarray(continuationBytes(kept.tail));
  const before = Buffer.from(head).toString('utf8');
  const dropped_bytes = dropped + kept.head.length - head.length + kept.tail.length - tail.length;
  return { text: before + Buffer.from(tail).toString('utf8'), dropped_bytes, dropped_at: before.length };
}

/** Those that are recorded with their time: accepted, each assignment, the outcome. */
function statesOf(accepted: Story['accepted'], attempts: readonly AttemptStory[], ended?: Story['ended']) {
  const assigned = attempts.map(({ wall }) => ({ state: 'assigned', wall }));
  const states = [{ state: 'queued', wall: accepted.wall }, ...assigned, ...(ended === undefined ? [] : [ended])];
  return states.map(({ state, wall }) => ({ state, at: new Date(wall).toISOString() }));
}

function common(accepted: Story['accepted'], attempts: readonly AttemptStory[], stdout: Kept | undefined, stderr: Kept | undefined, ended?: Story['ended']) {
  return {
    function: accepted.function,
    language: accepted.language,
    program: accepted.program,
    options: accepted.options,
    accepted_at: new Date(accepted.wall).toISOString(),
    states: statesOf(accepted, attempts, ended),
    attempts: attempts.map(attemptRow),
    output: { stdout: outputOf(stdout), stderr: outputOf(stderr) },
  };
}

/** The whole story of a task that has not ended. */
export function openTask(home: HomeState, task: Task, nowMs: number): string {
  const { id, state, peer, attempt, waiting_for } = taskRow(home, task, nowMs);
  const queuedMs = (currentAttempt(task)?.at ?? nowMs) - task.accepted.at;
  return JSON.stringify({
    id,
    state,
    peer,
    attempt,
    queued_ms: thousandths(queuedMs),
    run_ms: null,
    receipt: task.receipt,
    waiting_for: waiting_for ?? null,
    ...common(task.accepted, task.attempts, task.stdout?.kept(), task.stderr?.kept()),
  });
}

/** The whole story of one that has. `result` is its exact text, there exactly when it is done; what is no JSON is not passed on. */
export function endedTask(story: Story, result: Uint8Array | undefined): Buffer {
  const outcome = outcomeOf(story);
  const isInvalid = story.ended.state === 'done' && jsonTextOf(result ?? new Uint8Array()) === undefined;
  const document = JSON.stringify({
    ...plainOutcome(isInvalid ? { ...outcome, error: invalidResult(outcome.id, outcome.peer).toProblem() } : outcome),
    waiting_for: null,
    ...common(story.accepted, story.attempts, story.ended.stdout, story.ended.stderr, story.ended),
    ended_at: new Date(story.ended.wall).toISOString(),
  });
  if (result === undefined || isInvalid) return Buffer.from(document);
  return Buffer.concat([Buffer.from(`${document.slice(0, -1)},"result":`), result, Buffer.from('}')]);
}

/** That somebody else's task exists, when, where and how it ended: no program, arguments, output, result or error. */
export function othersTaskDocument(task: Task | Story, viewer: Viewer, nowMs: number): Buffer {
  const { accepted, attempts } = task;
  const ended = 'ended' in task ? task.ended : undefined;
  const last = attempts.at(-1);
  return Buffer.from(
    JSON.stringify({
      id: accepted.id,
      state: 'ended' in task ? task.ended.state : task.state,
      submitter: viewer.nameOf(accepted.submitter),
      peer: ended === undefined ? (last?.state === 'assigned' || last?.state === 'running' ? last.peer : null) : ended.peer,
      attempt: attempts.length,
      queued_ms: thousandths('ended' in task ? task.queuedMs : (last?.at ?? nowMs) - accepted.at),
      run_ms: ended?.runMs === undefined || ended.runMs === null ? null : thousandths(ended.runMs),
      accepted_at: new Date(accepted.wall).toISOString(),
      ended_at: ended === undefined ? null : new Date(ended.wall).toISOString(),
      states: statesOf(accepted, attempts, ended),
      attempts: attempts.map((attempt) => ({ ...attemptRow(attempt), reason: null })),
      receipt: null,
      waiting_for: null,
      output: { stdout: outputOf(undefined), stderr: outputOf(undefined) },
    }),
  );
}

function plainOutcome({ kind: _kind, result: _result, queued_ms, run_ms, error, ...rest }: MessageOf<'outcome'>) {
  const times = { queued_ms: thousandths(queued_ms), run_ms: run_ms === null ? null : thousandths(run_ms) };
  if (error === undefined) return { ...rest, ...times };
  const { code, message, hint, ...more } = error;
  return { ...rest, ...times, error: { code, message, hint: hint ?? null, ...more } };
}

/** What is left of one that was pruned: how it ended, and that this is all. */
export function prunedTask(past: PrunedTask): Buffer {
  const output = { stdout: outputOf(undefined), stderr: outputOf(undefined) };
  return Buffer.from(JSON.stringify({ ...plainOutcome(outcomeOf(past)), waiting_for: null, attempts: [], output, ended_at: new Date(past.endedWall).toISOString() }));
}

export const resultOf = (story: Story): Value | undefined => (story.ended.state === 'done' ? story.ended.result : undefined);
