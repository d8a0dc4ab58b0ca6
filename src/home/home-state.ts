/**
 * The decider of a home: keeps the record of its tasks, finds each a runner, owns its one outcome.
 *
 * Neighbours: home.ts feeds events and carries out effects; ledger-state.ts has the tasks as records leave
 * them, task-state.ts is one task, waiting-state.ts the line, runners-state.ts the table of runners with what is held there, choosing-state.ts picks one,
 * admission-state.ts says what is not accepted, past-state.ts what has ended. The runner (on the other end of
 * the wire) admits or refuses.
 *
 * Invariants
 * 1. What is durable changes by records only, through the ledger, in life as in replay.
 * 2. What a client may see is an `after` effect, so it waits for the disk.
 * 3. A result counts only from the runner, with the number and key, of the current attempt.
 * 4. `runner.attempts` holds what may still occupy that runner, also killed attempts until confirmed.
 * 5. A `once` task is sent only after its assignment is on disk, never ahead, and after a loss is `unknown`.
 */
import type { Decider, Decision } from '../lib/driver.ts';
import type { Now } from '../lib/clock.ts';
import { Prng } from '../lib/prng.ts';
import { limits } from '../limits.ts';
import type { AttemptRef, Message, MessageOf, OutcomeState, Problem } from '../wire/messages.ts';
import { idConflict, refusalOf } from './admission-state.ts';
import { Chooser } from './choosing-state.ts';
import { compactionSteps } from './compacting-state.ts';
import type { HomeAfter, HomeEvent, HomeSend } from './home-events.ts';
import { Ledger } from './ledger-state.ts';
import { contentLost, quarantine, unknownFate } from './loss-state.ts';
import { digestOf, isSubmittedBy, outcomeOf, outputOf } from './past-state.ts';
import type { Choice, Line, Runner } from './placement-state.ts';
import type { HomeRecord, Past, RecordOf, Story } from './records.ts';
import { Runners } from './runners-state.ts';
import { attemptMessage, currentAttempt, endedRecord, type End, isCurrent, newOutput, nextAttempt, type Task } from './task-state.ts';
import type { Waiting } from './waiting-state.ts';
import { whyWaiting } from './why-state.ts';
import { Watchers } from './watchers-state.ts';

type HomeDecision = Decision<HomeSend, HomeRecord, HomeAfter>;

export interface HomeOptions {
  /** Name of the peer that this home is part of. */
  self: string;
  /** The key that this home proves on its links. */
  key: string;
  seed: readonly [number, number, number, number];
}

const followMs = 500;
/** A link that was cut in between is worth a few tries; what is missing at home is missing for all. */
const contentMissesMax = 5;
/** Trying again cannot mend these. */
const hopeless = new Set(['syntax_error', 'function_missing', 'bad_arguments']);

export class HomeState implements Decider<HomeEvent, HomeSend, HomeRecord, HomeAfter> {
  readonly self: string;
  readonly key: string;
  staleResults = 0;
  draining = false;
  readonly #prng: Prng;
  readonly #ledger: Ledger;
  readonly #table: Runners;
  readonly #chooser: Chooser;
  readonly #watchers = new Watchers();
  #followAt = 0;
  #storeProblem: Problem | undefined;
  /** Once the disk has failed: the last record that it kept. */
  #durable = 0;
  #now: Now = { ms: 0, wall: 0 };
  #out: HomeDecision = { send: [], journal: [], after: [], wakeAt: undefined };

  constructor(options: HomeOptions) {
    this.self = options.self;
    this.key = options.key;
    this.#ledger = new Ledger(options.key);
    this.#prng = new Prng(options.seed);
    this.#table = new Runners(options.self);
    this.#chooser = new Chooser({ peer: options.self, key: options.key }, this.#table, this.#prng);
  }

  /** Those that have not ended. */
  get tasks(): ReadonlyMap<string, Task> {
    return this.#ledger.tasks;
  }

  get waiting(): Waiting {
    return this.#ledger.waiting;
  }

  get runners(): ReadonlyMap<string, Runner> {
    return this.#table.map;
  }

  get trackerUp(): boolean {
    return this.#table.trackerUp;
  }

  get isListed(): boolean {
    return this.trackerUp && this.#table.isListed;
  }

  /** Tasks that have ended and are still in memory. */
  get recent(): ReadonlyMap<string, Story> {
    return this.#ledger.recent.stories;
  }

  /** Relives one record of the journal. Returns the story when the record ended a task. */
  replay(record: HomeRecord, seq: number): Story | undefined {
    return this.#ledger.apply(record, seq);
  }

  /** Why nothing can be recorded, since the disk failed. */
  get storeProblem(): Problem | undefined {
    return this.#storeProblem;
  }

  decide(event: HomeEvent, now: Now): HomeDecision {
    return this.decideAll([event], now);
  }

  /** Placement, demand and the next waking are worked out once after all of the events. */
  decideAll(events: readonly HomeEvent[], now: Now): HomeDecision {
    this.#now = now;
    this.#out = { send: [], journal: [], after: [], wakeAt: undefined };
    for (const event of events) {
      if (this.#storeProblem === undefined) this.#handle(event);
      else this.#handleWithoutDisk(event, this.#storeProblem);
    }
    if (this.#storeProblem !== undefined) return this.#out;
    this.#place();
    const demand = this.#table.demand(this.waiting, this.key, this.#now.ms);
    if (demand !== undefined) this.#out.send.push({ to: 'tracker', message: demand });
    for (const peer of this.#table.dials.splice(0)) this.#out.send.push({ to: 'dial', peer });
    this.#out.wakeAt = this.#wakeAt();
    return this.#out;
  }

  #handle(event: HomeEvent): void {
    switch (event.type) {
      case 'tick':
        return this.#tick();
      case 'started':
        return this.#started();
      case 'submitted':
        return this.#submitted(event);
      case 'watched':
        return this.#watched(event.client, event.by, event.id, event.follow);
      case 'unwatched':
        return this.#watchers.remove(event.client, event.id);
      case 'cancelled':
        return this.#cancelled(event.client, event.by, event.id);
      case 'client_gone':
        return this.#watchers.gone(event.client);
      case 'tracker_up':
        return this.#table.trackerCame(event.seen ?? 0);
      case 'tracker_away':
        this.#table.trackerUp = false;
        return;
      case 'granted':
        return this.#table.granted(event.grant, this.#now.ms);
      case 'peers_told':
        return this.#table.peersTold(event.all, event.peers);
      case 'runner_linked':
        return this.#runnerLinked(event);
      case 'runner_unlinked':
        return this.#table.unlinked(this.#table.get(event.peer), this.#now.ms);
      case 'runner_load':
        return this.#table.loadTold(event);
      case 'attempts_started':
        for (const ref of event.attempts) this.#attemptStarted(event.peer, ref);
        return;
      case 'turned_away':
        return this.#turnedAway(event);
      case 'attempt_output':
        return this.#attemptOutput(event);
      case 'attempt_ended':
        return this.#attemptEnded(event.peer, event.end);
      case 'revoked':
        return this.#revoked(event.keys);
      case 'commit_failed':
        return this.#commitFailed(event);
      case 'compacting':
        return this.#compacting(event);
      case 'draining':
        this.draining = true;
    }
  }

  // --- records -----------------------------------------------------------------------------

  #record(record: HomeRecord): Story | undefined {
    this.#out.journal.push(record);
    return this.#ledger.apply(record, this.#ledger.seq + 1);
  }

  // --- clients -----------------------------------------------------------------------------

  #submitted({ client, follow, submission, prior }: Extract<HomeEvent, { type: 'submitted' }>): void {
    const { id } = submission;
    const known = this.#ledger.known(id, prior);
    if (known !== undefined) {
      if (digestOf(known) !== submission.digest || !isSubmittedBy(known, submission.submitter, this.key)) return this.#refuse(client, id, idConflict(id));
      this.#out.after.push({ to: 'accepted', client, id });
      if (prior !== undefined && !this.tasks.has(id)) this.#tellEnd(client, prior, follow);
      else this.#watched(client, submission.submitter, id, follow);
      return;
    }
    const problem = refusalOf(submission, this);
    if (problem !== undefined) return this.#refuse(client, id, problem);
    const { ms: at, wall } = this.#now;
    const { program, language, function: name, args, kwargs, options, digest, submitter } = submission;
    this.#record({ kind: 'accepted', id, program, language, function: name, args, kwargs, options, digest, submitter, at, wall });
    this.#watchers.add(client, id, follow);
    this.#out.after.push({ to: 'accepted', client, id, seq: this.#ledger.seq });
  }

  #refuse(client: number, id: string, error: Problem): void {
    this.#tell(client, { kind: 'refused', id, error });
  }

  #tell(client: number, message: Extract<HomeAfter, { to: 'client' }>['message']): void {
    this.#out.after.push({ to: 'client', client, message });
  }

  #watched(client: number, by: string, id: string, follow: boolean): void {
    const task = this.#ledger.taskOf(id, by);
    if (task !== undefined) {
      this.#watchers.add(client, id, follow);
      if (follow) {
        this.#tellState(task, [client]);
        this.#replayOutput(task, client);
      }
      return;
    }
    const story = this.recent.get(id);
    if (story?.accepted.submitter === by) this.#tellEnd(client, story, follow);
    else this.#out.after.push({ to: 'lookup', client, id, follow });
  }

  /** A follower may have missed the last words. */
  #tellEnd(client: number, story: Past, follow: boolean): void {
    for (const news of follow ? outputOf(story) : []) this.#out.after.push({ to: 'output', client, news });
    this.#tell(client, outcomeOf(story));
  }

  #replayOutput(task: Task, client: number): void {
    const attempt = currentAttempt(task);
    if (attempt === undefined) return;
    for (const stream of ['stdout', 'stderr'] as const) {
      const source = task[stream];
      if (source !== undefined) this.#out.after.push({ to: 'output', client, news: { id: task.id, attempt: attempt.attempt, peer: attempt.peer, stream, source, again: true } });
    }
  }

  #cancelled(client: number, by: string, id: string): void {
    const task = this.#ledger.taskOf(id, by);
    if (task === undefined) return this.#watched(client, by, id, false);
    this.#watchers.add(client, id, false);
    this.#kill(task, 'cancelled');
    this.#finish(task, 'cancelled', { error: { code: 'cancelled', message: 'the task was cancelled' } });
  }

  #kill(task: Task, why: MessageOf<'kill'>['why']): void {
    const current = currentAttempt(task);
    if (current === undefined) return;
    const effect = { to: 'runner', peer: current.peer, message: { kind: 'kill', id: task.id, attempt: current.attempt, key: current.key, why } } as const;
    // Behind its attempt, which may still wait for the disk.
    if (task.accepted.options.once === true) this.#out.after.push(effect);
    else this.#out.send.push(effect);
  }

  /** Whether a `once` attempt that waited for the disk may go out: it may have been given up meanwhile. */
  mayGo(peer: string, message: Message): boolean {
    return message.kind !== 'attempt' || this.runners.get(peer)?.attempts.has(message.key) === true;
  }

  /** Journals the outcome; then everybody may see it. */
  #finish(task: Task, state: OutcomeState, more: End): void {
    const record = endedRecord(task, state, more, this.#now);
    const story = this.#record(record);
    if (story === undefined) return;
    const outcome = outcomeOf(story);
    for (const client of this.#watchers.take(task.id)) this.#tell(client, outcome);
    this.#out.after.push({ to: 'history', story, seq: this.#ledger.seq });
  }

  #tellState(task: Task, clients: readonly number[]): void {
    if (clients.length === 0) return;
    const current = currentAttempt(task);
    const waitingFor = task.state === 'queued' ? this.why(task) : undefined;
    if (waitingFor !== undefined) this.#watchers.followed().set(task.id, waitingFor);
    for (const client of clients) {
      this.#tell(client, {
        kind: 'task_state',
        id: task.id,
        state: task.state,
        attempt: current?.attempt ?? task.attempts.length,
        peer: current?.peer ?? null,
        ...(waitingFor === undefined ? {} : { waiting_for: waitingFor }),
      });
    }
  }

  /** What a queued task waits for, in one sentence. */
  why(task: Task): string {
    return whyWaiting(task, this.waiting.lineOf(task), this);
  }

  // --- attempts ----------------------------------------------------------------------------

  #attemptStarted(peer: string, ref: AttemptRef): void {
    const task = this.tasks.get(ref.id);
    if (!isCurrent(task, peer, ref) || task.state !== 'assigned') return;
    task.state = 'running';
    task.attempts.at(-1)!.state = 'running';
    this.#tellState(task, this.#watchers.followers(task.id));
  }

  #attemptOutput({ peer, ref, stream, offset, data }: Extract<HomeEvent, { type: 'attempt_output' }>): void {
    const task = this.tasks.get(ref.id);
    if (!isCurrent(task, peer, ref)) return;
    const source = (task[stream] ??= newOutput());
    source.add(data, offset);
    const news = { id: task.id, attempt: ref.attempt, peer, stream, source, again: false };
    for (const client of this.#watchers.followers(task.id)) this.#out.after.push({ to: 'output', client, news });
  }

  #turnedAway({ peer, ref, reason, detail }: Extract<HomeEvent, { type: 'turned_away' }>): void {
    const runner = this.#table.get(peer);
    this.#table.release(runner, ref.key, this.#now.ms);
    const task = this.tasks.get(ref.id);
    this.#table.block(runner, reason === 'busy' || reason === 'draining', this.#now.ms);
    if (!isCurrent(task, peer, ref)) return;
    if (reason === 'content_missing' && (task.contentMisses += 1) >= contentMissesMax) return this.#finish(task, 'failed', { error: contentLost(detail) });
    this.#requeue(task, 'refused', detail ?? reason);
  }

  #requeue(task: Task, why: RecordOf<'requeued'>['why'], reason: string): void {
    this.#record({ kind: 'requeued', id: task.id, why, reason, at: this.#now.ms, wall: this.#now.wall });
    this.#tellState(task, this.#watchers.followers(task.id));
    // One that was not taken after all may be too late to start.
    if (why === 'refused') this.#alarm(task.id);
  }

  #attemptEnded(peer: string, end: MessageOf<'attempt_ended'>): void {
    const ref: AttemptRef = { id: end.id, attempt: end.attempt, key: end.key };
    const runner = this.#table.get(peer);
    this.#table.release(runner, end.key, this.#now.ms);
    this.#table.unblock(runner);
    const task = this.tasks.get(end.id);
    const current = isCurrent(task, peer, ref);
    if (current) this.#recordEnd(task, end);
    else if (end.outcome !== 'killed') this.staleResults += 1;
    if (end.outcome !== 'killed') this.#out.after.push({ to: 'stored', peer, ref });
  }

  #recordEnd(task: Task, end: MessageOf<'attempt_ended'>): void {
    if (end.outcome === 'killed') return this.#givenBack(task, end.error?.message ?? 'its runner gave it back');
    this.#chooser.learn(task, end.runUs);
    const { outcome: state, error, result, runUs } = end;
    const retryable = state !== 'done' && !hopeless.has(error?.code ?? '');
    if (retryable && task.failures < (task.accepted.options.retries ?? 0) && task.accepted.options.once !== true) {
      return this.#requeue(task, 'failed', error?.message ?? state);
    }
    this.#finish(task, state, { runUs, ...(result === undefined ? {} : { result }), ...(error === undefined ? {} : { error }) });
  }

  /** Its runner was stopped while it ran: no fault of the task, and no loss. */
  #givenBack(task: Task, reason: string): void {
    if (task.accepted.options.once === true) this.#finish(task, 'unknown', { error: unknownFate(task, reason) });
    else this.#requeue(task, 'moved', reason);
  }

  /** The attempts of a runner that will not come back with them. */
  #lose(runner: Runner, isLost: (task: Task) => boolean, reason: string, mayHaveStarted: boolean): void {
    for (const [key, id] of runner.attempts) {
      const task = this.tasks.get(id);
      const current = task === undefined ? undefined : currentAttempt(task);
      if (task === undefined || current?.key !== key) {
        runner.attempts.delete(key);
        continue;
      }
      if (!isLost(task)) continue;
      runner.attempts.delete(key);
      this.#lost(task, reason, mayHaveStarted);
    }
    this.#table.giveBackRecalled(runner);
  }

  #lost(task: Task, reason: string, mayHaveStarted: boolean): void {
    if (!mayHaveStarted) return this.#requeue(task, 'refused', reason);
    if (task.accepted.options.once === true) return this.#finish(task, 'unknown', { error: unknownFate(task, reason) });
    if (task.losses + 1 >= limits.lossesMax) return this.#finish(task, 'quarantined', { error: quarantine(task) });
    this.#requeue(task, 'lost', reason);
  }

  // --- runners and tracker -----------------------------------------------------------------

  /** After replay: attempts assigned by the former process may still be running. */
  #started(): void {
    for (const task of this.tasks.values()) {
      const current = currentAttempt(task);
      if (current === undefined) continue;
      const runner = this.#table.get(current.peer);
      runner.attempts.set(current.key, task.id);
      runner.lostAt = this.#now.ms + limits.leaseMs;
    }
    for (const runner of this.runners.values()) if (runner.attempts.size > 0) this.#table.dial(runner);
  }

  #runnerLinked({ peer, key, incarnation, held, roundTripMs }: Extract<HomeEvent, { type: 'runner_linked' }>): void {
    const runner = this.#table.get(peer);
    const sameProcess = runner.incarnation === incarnation && runner.key === key;
    runner.link = 'up';
    runner.roundTripMs = roundTripMs;
    runner.lostAt = undefined;
    runner.blockedUntil = 0;
    const listed = new Set(held.map((ref) => ref.key));
    const restarted = runner.incarnation !== undefined && !sameProcess;
    const reason = sameProcess ? `${peer} had not received it` : `${peer} ${restarted ? 'restarted' : 'no longer has it'}`;
    this.#lose(runner, (task) => !listed.has(currentAttempt(task)?.key ?? ''), reason, !sameProcess);
    runner.incarnation = incarnation;
    runner.key = key;
    for (const ref of held) this.#adopt(runner, ref);
  }

  /** An attempt that a runner says it holds: keep, stored, or kill. */
  #adopt(runner: Runner, ref: AttemptRef & { ended: boolean }): void {
    const task = this.tasks.get(ref.id);
    if (isCurrent(task, runner.peer, ref)) {
      runner.attempts.set(ref.key, ref.id);
      if (!ref.ended) this.#attemptStarted(runner.peer, ref);
      return;
    }
    const { id, attempt, key } = ref;
    if (ref.ended) {
      // The result itself comes behind, and is counted then.
      this.#out.after.push({ to: 'stored', peer: runner.peer, ref: { id, attempt, key } });
      return;
    }
    runner.attempts.set(key, id);
    this.#out.send.push({ to: 'runner', peer: runner.peer, message: { kind: 'kill', id, attempt, key, why: 'stale' } });
  }

  /** What ran there runs elsewhere, and that counts as no loss; what they submitted here ends. */
  #revoked(keys: readonly string[]): void {
    for (const runner of this.runners.values()) {
      if (!keys.includes(runner.info?.key ?? '')) continue;
      const attempts = this.#table.revoked(runner);
      for (const [key, id] of attempts) {
        const task = this.tasks.get(id);
        if (task !== undefined && currentAttempt(task)?.key === key) this.#givenBack(task, `${runner.peer} was revoked`);
      }
    }
    for (const task of this.tasks.values()) {
      if (!keys.includes(task.accepted.submitter)) continue;
      this.#kill(task, 'cancelled');
      this.#finish(task, 'cancelled', { error: { code: 'cancelled', message: 'who submitted the task was revoked' } });
    }
  }

  // --- placement ---------------------------------------------------------------------------

  #place(): void {
    if (this.waiting.count === 0 || this.#storeProblem !== undefined) return;
    const blocked = new Set<Line>();
    const fittingOf = new Map<Line, Runner[]>();
    for (let first = this.waiting.firstLine(blocked); first !== undefined; first = this.waiting.firstLine(blocked)) {
      const { line, task } = first;
      let fitting = fittingOf.get(line);
      if (fitting === undefined) fittingOf.set(line, (fitting = this.#chooser.fitting(line, this.#now.ms)));
      const choice = this.#chooser.choose(line, task, fitting);
      if (choice === undefined) blocked.add(line);
      else this.#assign(task, choice);
    }
  }

  #assign(task: Task, { runner, receipt }: Choice): void {
    const attempt = nextAttempt(task);
    const key = this.#prng.hex64();
    const ahead = receipt.decided === 'ahead';
    this.#record({ kind: 'assigned', id: task.id, attempt, key, peer: runner.peer, receipt, at: this.#now.ms, wall: this.#now.wall });
    this.#table.use(runner, key, task.id, this.#now.ms);
    const message = attemptMessage(task, attempt, key, ahead);
    if (task.accepted.options.once === true) this.#out.after.push({ to: 'runner', peer: runner.peer, message });
    else this.#out.send.push({ to: 'runner', peer: runner.peer, message });
    this.#tellState(task, this.#watchers.followers(task.id));
  }

  // --- time --------------------------------------------------------------------------------

  #tick(): void {
    const { ms } = this.#now;
    for (const runner of this.runners.values()) {
      if (runner.lostAt !== undefined && runner.lostAt <= ms && runner.link !== 'up') this.#runnerOverdue(runner);
      this.#table.tidy(runner, this.#now.ms);
    }
    for (let next = this.#ledger.alarms.peek(); next !== undefined && next.key <= ms; next = this.#ledger.alarms.peek()) {
      this.#ledger.alarms.pop();
      this.#alarm(next.value);
    }
    if (this.#followAt <= ms) this.#follow();
  }

  #runnerOverdue(runner: Runner): void {
    const once = (task: Task) => task.accepted.options.once === true;
    this.#lose(runner, (task) => !once(task), `${runner.peer} fell silent`, true);
    const left = [...runner.attempts.values()].map((id) => this.tasks.get(id)).filter((task) => task !== undefined);
    const overdue = (task: Task) => this.#now.ms - Math.max(task.assignedAt, runner.lostAt! - limits.linkGraceMs) >= limits.leaseMs;
    if (left.every(overdue)) {
      this.#lose(runner, once, `${runner.peer} fell silent`, true);
      runner.lostAt = undefined;
    } else {
      this.#table.dial(runner);
    }
  }

  #alarm(id: string): void {
    const task = this.tasks.get(id);
    if (task === undefined || task.state !== 'queued') return;
    const { waitMs } = task.accepted.options;
    if (waitMs !== undefined && task.attempts.length === 0 && this.#now.ms >= task.accepted.at + waitMs) {
      const why = this.why(task);
      return this.#finish(task, 'expired', { error: { code: 'expired', message: `it had not started within ${waitMs / 1000} s: ${why}`, hint: 'give --wait more time, or add a peer' } });
    }
    if (task.line === '' && task.notBefore <= this.#now.ms) {
      this.waiting.add(task);
    }
  }

  #follow(): void {
    this.#followAt = this.#now.ms + followMs;
    for (const [id, last] of this.#watchers.followed()) {
      const task = this.tasks.get(id);
      if (task?.state === 'queued' && this.why(task) !== last) this.#tellState(task, this.#watchers.followers(id));
    }
  }

  #wakeAt(): number {
    const { ms } = this.#now;
    let at = Math.min(ms + limits.tickMsMax, this.#table.wakeAt(this.waiting.count, ms));
    const alarm = this.#ledger.alarms.peek()?.key;
    if (alarm !== undefined) at = Math.min(at, alarm);
    if (this.#watchers.followed().size > 0) at = Math.min(at, this.#followAt);
    return Math.max(at, ms + 1);
  }

  // --- the disk ----------------------------------------------------------------------------

  #compacting(event: Extract<HomeEvent, { type: 'compacting' }>): void {
    const { steps, ended } = compactionSteps(event, this.tasks, this.#now);
    for (const { record, tell } of steps) {
      this.#record(record);
      if (tell !== undefined) this.#out.after.push(tell(this.#ledger.seq));
    }
    this.#out.after.push({ to: 'compacted', ended });
  }

  /** What was not on disk is refused; the shell then starts a new state from the journal. */
  #commitFailed({ durable, problem, lost = [] }: Extract<HomeEvent, { type: 'commit_failed' }>): void {
    this.#storeProblem = problem;
    this.#durable = durable;
    const mayHaveRun = { ...problem, message: `${problem.message}; the task may have run` };
    for (const task of this.tasks.values()) {
      if (task.seq <= durable) continue;
      this.#kill(task, 'refused');
      const error = currentAttempt(task) === undefined ? problem : mayHaveRun;
      for (const client of this.#watchers.take(task.id)) this.#refuse(client, task.id, error);
    }
    for (const effect of lost) {
      // It was over before the disk had it. (One said again was accepted before: its client says it once more, on its next link.)
      if (effect.to === 'accepted' && (effect.seq ?? 0) > durable && !this.tasks.has(effect.id)) {
        this.#ledger.recent.forget(effect.id);
        this.#refuse(effect.client, effect.id, mayHaveRun);
      } else if (effect.to === 'lookup' || (effect.to === 'client' && effect.message.kind === 'refused')) this.#out.after.push(effect);
    }
  }

  /**
   * Nothing can be recorded, so nothing begins and nothing ends. What is left out here is said again on
   * the new links with which the next state starts.
   */
  #handleWithoutDisk(event: HomeEvent, problem: Problem): void {
    if (event.type === 'client_gone') this.#watchers.gone(event.client);
    if (event.type !== 'submitted') return;
    const { client, submission } = event;
    const task = this.tasks.get(submission.id);
    // One that has ended was accepted once: it is not refused now.
    if (this.recent.has(submission.id) || event.prior !== undefined) return;
    const isKept = task !== undefined && task.seq <= this.#durable && task.accepted.digest === submission.digest && task.accepted.submitter === submission.submitter;
    if (isKept) this.#out.after.push({ to: 'accepted', client, id: submission.id });
    else this.#refuse(client, submission.id, problem);
  }
}
