/**
 * The decider of a runner: takes attempts or turns them away, keeps workers, feeds and ends them.
 *
 * Neighbours: homes-state.ts says what homes must hear and keeps it until stored; runner.ts carries out; src/sandbox does what is told to workers; load.ts reads the machine;
 * the home (over the wire) decides what an end means.
 *
 * Invariants
 * 1. At most `slots` attempts run at a time; one that is being killed occupies its slot until its worker is gone.
 * 2. Every attempt that was taken is answered once: ended (kept until stored) or turned away unstarted.
 * 3. What was sent ahead runs only in slots that nobody else was promised, and goes back when it has to wait.
 * 4. Whose attempts it takes is decided here by keys that were proven, whatever a grant or a home says.
 * 5. A job is in at most one worker; `take_back` is the only way back out of it.
 */
import type { Now } from '../lib/clock.ts';
import type { Decider, Decision } from '../lib/driver.ts';
import { inParts } from '../lib/parts.ts';
import { limits } from '../limits.ts';
import type { AttemptRef, Language, MessageOf, Problem, Refusal, Value } from '../wire/messages.ts';
import { Acceptance, type AcceptanceOptions, type Denial, type Origin } from './acceptance-state.ts';
import { type Attempt, newAttempt, refOf } from './attempt-state.ts';
import { Homes } from './homes-state.ts';
import { Observed } from './observed-state.ts';
import { AttemptOutput } from './output-state.ts';
import type { RunnerEvent, RunnerSend } from './runner-events.ts';
import { endMessage, givenBack, outOfMemory, peerStopped, timedOut, workerDied } from './verdicts-state.ts';
import { type Served, suits, type Worker, WorkerTable } from './workers-state.ts';

export interface RunnerOptions {
  peer: string;
  slots: number;
  languages: readonly Language[];
  memoryMb: number;
  /** How many jobs a worker of that language can hold beyond the one that runs. */
  aheadInPipe: (language: Language) => number;
  acceptance: AcceptanceOptions;
}

export class RunnerState implements Decider<RunnerEvent, RunnerSend, never, never> {
  readonly slots: number;
  cpuLoad = 0;
  draining = false;
  readonly attempts = new Map<string, Attempt>();
  readonly acceptance: Acceptance;
  readonly #o: RunnerOptions;
  readonly #homes = new Homes();
  readonly #observed = new Observed();
  readonly #workers = new WorkerTable();
  /** Taken, with a slot promised; started before those below. */
  readonly #first: Attempt[] = [];
  readonly #ahead: Attempt[] = [];
  #promised = 0;
  #running = 0;
  #lastEndAt = 0;
  #started = new Map<string, AttemptRef[]>();
  #now: Now = { ms: 0, wall: 0 };
  #out: Decision<RunnerSend, never, never> = { send: [], journal: [], after: [], wakeAt: undefined };

  constructor(options: RunnerOptions) {
    this.#o = options;
    this.slots = options.slots;
    this.acceptance = new Acceptance(options.acceptance);
  }

  decide(event: RunnerEvent, now: Now): Decision<RunnerSend, never, never> {
    return this.decideAll([event], now);
  }

  decideAll(events: readonly RunnerEvent[], now: Now): Decision<RunnerSend, never, never> {
    this.#now = now;
    this.#out = { send: [], journal: [], after: [], wakeAt: undefined };
    this.#homes.out = this.#out.send;
    for (const event of events) this.#handle(event);
    this.#homes.say(now.ms);
    if (this.draining) this.#turnAwayUnstarted();
    this.#startWaiting();
    this.#tellStarted();
    this.#homes.tellLoad(this, this.attempts.values(), now.ms);
    this.#out.wakeAt = this.#wakeAt();
    return this.#out;
  }

  /** Whom a worker serves; undefined once it is gone. */
  submitterOf(worker: string): string | undefined {
    return this.#workers.get(worker)?.submitter;
  }

  /** Slots that run something. */
  get running(): number {
    return this.#running;
  }

  /** Attempts of that home: what runs here, and results that are not stored yet. */
  heldFor(home: string): (AttemptRef & { ended: boolean })[] {
    const held = [];
    for (const { home: of, message } of this.attempts.values()) if (of === home) held.push({ ...refOf(message), ended: false });
    return [...held, ...this.#homes.keptFor(home).map((ref) => ({ ...ref, ended: true }))];
  }

  #handle(event: RunnerEvent): void {
    switch (event.type) {
      case 'tick':
        return this.#tick();
      case 'home_linked':
        return this.#homes.linked(event.home, this.attempts.values());
      case 'home_unlinked':
        return this.#homes.unlinked(event.home);
      case 'home_full':
        return this.#homes.setFull(event.home, true);
      case 'home_drained':
        return this.#homes.setFull(event.home, false);
      case 'attempt_offered':
        return this.#offered(event);
      case 'content_arrived':
        return this.#contentArrived(event.key);
      case 'content_failed':
        return this.#contentFailed(event.key, event.why);
      case 'kill_told':
        return this.#killTold(event.ref);
      case 'revoked':
        return this.#revoked(event.keys);
      case 'stored_told':
        for (const ref of event.refs) this.#homes.forget(ref.key);
        return;
      case 'worker_ready':
        return this.#workerReady(event.worker, event.pid);
      case 'worker_output':
        return this.#workerOutput(event);
      case 'worker_answered':
        return this.#workerAnswered(event);
      case 'worker_exited':
        return this.#workerExited(event);
      case 'worker_gone':
        return this.#workerGone(event.worker);
      case 'taken_back':
        return this.#takenBack(event.worker, event.jobs);
      case 'load_measured':
        this.cpuLoad = event.cpuLoad;
        return;
      case 'warmed':
        this.#prepare(event.language, { homeKey: this.#o.acceptance.key, submitter: this.#o.acceptance.key }, null, false);
        return;
      case 'tracker_linked':
        return this.acceptance.trackerLinked(true, this.#now.ms);
      case 'tracker_unlinked':
        return this.acceptance.trackerLinked(false, this.#now.ms);
      case 'level_proved':
        this.acceptance.levelProved(event.level);
        return this.#leaveForeign();
      case 'draining':
        this.draining = true;
        return;
      case 'stopping':
        return this.#stop();
    }
  }

  // --- homes -------------------------------------------------------------------------------

  #offered({ home, origin, attempt: message, ready }: Extract<RunnerEvent, { type: 'attempt_offered' }>): void {
    if (this.attempts.has(message.key) || this.#homes.has(message.key)) return;
    const denial = this.#denial(origin, message);
    if (denial !== undefined) {
      if (denial.detail !== undefined) this.#observed.note('refused', message.submitter, denial.detail, this.#now.ms);
      this.#turnAway(home, message, denial.reason, denial.detail);
      return;
    }
    if (this.acceptance.isForeign(origin)) this.#observed.note('foreign_started', message.submitter, `taken by ${this.#o.peer}`, this.#now.ms);
    const attempt = newAttempt(home, origin.homeKey, message, ready, this.#now.ms);
    this.attempts.set(message.key, attempt);
    if (!attempt.ahead) this.#promised += 1;
    if (ready) this.#queue(attempt);
    else this.#out.send.push({ to: 'content', home, attempt: message });
  }

  #denial(origin: Origin, message: MessageOf<'attempt'>): { reason: Refusal; detail?: string } | undefined {
    const denial: Denial | undefined = this.acceptance.denialOf(origin, this.#now.ms);
    if (denial !== undefined) return denial;
    const reason = this.#refusal(message);
    return reason === undefined ? undefined : { reason };
  }

  #refusal(message: MessageOf<'attempt'>): Refusal | undefined {
    if (this.draining) return 'draining';
    if (!this.#o.languages.includes(message.language)) return 'no_interpreter';
    if ((message.memoryMb ?? 0) > this.#o.memoryMb) return 'memory';
    // More than one hello can name would count as lost after a cut link.
    if (this.#homes.keptBytes > limits.resultKeepBytes || this.attempts.size + this.#homes.keptCount >= limits.heldMax) return 'busy';
    if (message.ahead === true) return this.#ahead.length < this.slots * limits.aheadTasksMax ? undefined : 'busy';
    return this.#promised < this.slots ? undefined : 'busy';
  }

  #turnAway(home: string, message: AttemptRef, reason: Refusal, detail?: string): void {
    this.#homes.tell(home, { kind: 'turned_away', ...refOf(message), reason, ...(detail === undefined ? {} : { detail }) });
  }

  #queue(attempt: Attempt): void {
    attempt.state = 'waiting';
    (attempt.ahead ? this.#ahead : this.#first).push(attempt);
  }

  #contentArrived(key: string): void {
    const attempt = this.attempts.get(key);
    if (attempt?.state === 'content') this.#queue(attempt);
  }

  #contentFailed(key: string, why: string): void {
    const attempt = this.attempts.get(key);
    if (attempt?.state !== 'content') return;
    this.#remove(attempt);
    this.#turnAway(attempt.home, attempt.message, 'content_missing', why);
  }

  #killTold(ref: AttemptRef): void {
    const attempt = this.attempts.get(ref.key);
    if (attempt === undefined) {
      this.#homes.forget(ref.key);
      return;
    }
    if (attempt.state === 'running') return this.#kill(attempt, { outcome: 'killed' });
    if (attempt.state === 'ending') {
      attempt.verdict = { outcome: 'killed' };
      return;
    }
    attempt.verdict = { outcome: 'killed' };
    if (attempt.state === 'fed') this.#out.send.push({ to: 'take_back', worker: attempt.worker! });
    else this.#end(attempt, { outcome: 'killed' }, 0);
  }

  /** What runs for them ends, and what is kept for them goes. */
  #revoked(keys: readonly string[]): void {
    for (const attempt of this.attempts.values()) {
      if (!keys.includes(attempt.homeKey) && !keys.includes(attempt.message.submitter)) continue;
      if (attempt.state !== 'ending') this.#killTold(attempt.message);
      // What it would have ended as is nobody's business any more.
      else attempt.verdict = { outcome: 'killed' };
    }
    this.#homes.forgetOf(keys);
    for (const worker of this.#workers.all()) {
      if (worker.state === 'idle' && (keys.includes(worker.homeKey) || keys.includes(worker.submitter))) this.#retire(worker);
    }
  }

  /** Walls that turned out to have a hole: what runs behind them for other members goes elsewhere, and that is no loss. */
  #leaveForeign(): void {
    if (this.acceptance.standing(this.#now.ms).withheld !== 'isolation') return;
    for (const attempt of this.attempts.values()) {
      const isForeign = this.acceptance.isForeign({ homeKey: attempt.homeKey, submitter: attempt.message.submitter });
      if (isForeign && attempt.state !== 'ending') this.#killTold(attempt.message);
    }
    for (const worker of this.#workers.all()) if (worker.state === 'idle' && this.acceptance.isForeign(worker)) this.#retire(worker);
  }

  /** Whether a home may have that content: a result that is kept for it. */
  servesTo(home: string, hash: string): boolean {
    return this.#homes.keepsResult(home, hash);
  }

  /** Keys that something here runs for, or is kept for. */
  keysServed(): Set<string> {
    const keys = new Set(this.#homes.keysKept());
    for (const { homeKey, message } of this.attempts.values()) keys.add(homeKey).add(message.submitter);
    for (const { homeKey, submitter } of this.#workers.all()) keys.add(homeKey).add(submitter);
    return keys;
  }

  // --- starting ----------------------------------------------------------------------------

  #startWaiting(): void {
    for (const queue of [this.#first, this.#ahead]) {
      while (queue.length > 0 && this.#running < this.slots) this.#start(queue.shift()!);
    }
    if (this.#ahead.length > 0) this.#feedAhead();
  }

  #start(attempt: Attempt): void {
    const worker = this.#workers.free(attempt, 'idle') ?? this.#workers.free(attempt, 'starting') ?? this.#spawn(attempt);
    this.#running += 1;
    attempt.state = 'running';
    attempt.startedAt = this.#now.ms;
    this.#feed(worker, [attempt]);
  }

  #spawn({ homeKey, message }: Attempt): Worker {
    if (this.#workers.size >= this.slots + limits.workersIdleMax) {
      const oldest = this.#workers.oldestIdle();
      if (oldest !== undefined) this.#retire(oldest);
    }
    return this.#prepare(message.language, { homeKey, submitter: message.submitter }, message.memoryMb ?? null, message.fresh ?? false);
  }

  /** Starts a worker; also used to have one warm before the first task. */
  #prepare(language: Language, served: Served, memoryMb: number | null, fresh: boolean): Worker {
    const worker = this.#workers.make(language, served, memoryMb, fresh, this.#now.ms);
    const { homeKey, submitter } = served;
    this.#out.send.push({ to: 'spawn', worker: worker.id, language, homeKey, submitter, foreign: this.acceptance.isForeign(served), memoryMb });
    return worker;
  }

  #feed(worker: Worker, attempts: readonly Attempt[]): void {
    const jobs = attempts.map((attempt) => {
      attempt.worker = worker.id;
      worker.lastJob += 1;
      worker.jobs.push({ job: worker.lastJob, key: attempt.message.key });
      return { job: worker.lastJob, attempt: attempt.message };
    });
    if (worker.state === 'idle') worker.state = 'busy';
    this.#out.send.push({ to: 'feed', worker: worker.id, jobs });
  }

  /** Puts tiny attempts behind the running one of the same submitter, to spare a round trip for each. */
  #feedAhead(): void {
    const busy = [...this.#workers.all()].filter((worker) => worker.state === 'busy' && this.#isQuick(worker));
    const fed = busy.reduce((sum, worker) => sum + worker.jobs.length - 1, 0);
    const share = Math.ceil((this.#ahead.length + fed) / Math.max(1, busy.length));
    for (const worker of busy) {
      const room = Math.min(share, limits.pipeTasksMax, this.#o.aheadInPipe(worker.language)) - (worker.jobs.length - 1);
      // Refilled by halves, so that jobs travel in batches.
      if (room <= 0 || (worker.jobs.length > 1 && room * 2 < limits.pipeTasksMax)) continue;
      const batch: Attempt[] = [];
      while (batch.length < room && this.#ahead.length > 0 && suits(worker, this.#ahead[0]!)) {
        const attempt = this.#ahead.shift()!;
        attempt.state = 'fed';
        batch.push(attempt);
      }
      if (batch.length > 0) this.#feed(worker, batch);
    }
  }

  /** What runs in the worker is not slow, so far. */
  #isQuick(worker: Worker): boolean {
    const running = this.#runningIn(worker);
    return running !== undefined && this.#now.ms - running.startedAt <= limits.aheadMs;
  }

  #runningIn(worker: Worker): Attempt | undefined {
    const attempt = worker.jobs[0] === undefined ? undefined : this.attempts.get(worker.jobs[0].key);
    return attempt?.state === 'running' ? attempt : undefined;
  }

  // --- workers -----------------------------------------------------------------------------

  #workerReady(id: string, pid: number): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.pid = pid;
    if (worker.state !== 'starting') return;
    worker.state = worker.jobs.length > 0 ? 'busy' : 'idle';
    worker.idleSince = this.#now.ms;
    // The start of an interpreter is not the task's time.
    const waiting = worker.jobs[0] === undefined ? undefined : this.attempts.get(worker.jobs[0].key);
    if (waiting !== undefined) waiting.startedAt = this.#now.ms;
  }

  #workerOutput({ worker: id, job, stream, data }: Extract<RunnerEvent, { type: 'worker_output' }>): void {
    const worker = this.#workers.get(id);
    const key = worker?.jobs.find((entry) => entry.job === job)?.key;
    const attempt = key === undefined ? undefined : this.attempts.get(key);
    // What an interpreter says while it comes up is nobody's: the attempt may yet be turned away.
    if (attempt === undefined || worker?.state === 'starting') return;
    attempt.output ??= new AttemptOutput();
    attempt.output.add(stream, data);
    this.#homes.talks(attempt);
  }

  #workerAnswered({ worker: id, job, runUs, result, resultBytes, error, leftovers }: Extract<RunnerEvent, { type: 'worker_answered' }>): void {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.jobs[0]?.job !== job) return;
    const attempt = this.attempts.get(worker.jobs[0].key);
    // A kill was on its way: what it was told to be is what it is, once the worker is gone.
    if (attempt?.state === 'ending') return;
    worker.jobs.shift();
    if (attempt !== undefined) this.#answered(attempt, runUs, result, resultBytes, error);
    // The next one may have begun: it has its slot until it was taken back, or the worker is gone.
    this.#advance(worker);
    if (leftovers || worker.fresh) this.#retire(worker, worker.jobs.length > 0);
  }

  /** The first job of the worker is the one that runs. */
  #advance(worker: Worker): void {
    if (worker.state !== 'busy') return;
    const next = worker.jobs[0] === undefined ? undefined : this.attempts.get(worker.jobs[0].key);
    if (next === undefined) {
      worker.state = 'idle';
      worker.idleSince = this.#now.ms;
      return;
    }
    if (next.state !== 'fed') return;
    this.#running += 1;
    next.state = 'running';
    next.startedAt = this.#now.ms;
    // It was to be killed and could not be taken back.
    if (next.verdict !== undefined) this.#kill(next, next.verdict);
  }

  #answered(attempt: Attempt, runUs: number, result: Value | undefined, resultBytes: number, error: Problem | undefined): void {
    if (error === undefined) this.#end(attempt, { outcome: 'done' }, runUs, result, resultBytes);
    else this.#end(attempt, { outcome: error.code === 'out_of_memory' ? 'out_of_memory' : 'failed', error }, runUs);
  }

  #workerExited({ worker: id, ready, outOfMemory: exceeded, why }: Extract<RunnerEvent, { type: 'worker_exited' }>): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    worker.state = 'dying';
    const [first, ...others] = worker.jobs.splice(0);
    for (const { key } of others.toReversed()) this.#unfeed(key);
    const attempt = first === undefined ? undefined : this.attempts.get(first.key);
    if (attempt === undefined) return;
    worker.jobs.push(first!);
    if (attempt.state === 'fed') this.#running += 1;
    attempt.state = 'ending';
    if (!ready && exceeded === null) {
      attempt.unstarted = why;
      return;
    }
    attempt.verdict ??= exceeded === null ? workerDied(why) : outOfMemory(exceeded.limitMb, this.#o.memoryMb);
  }

  #workerGone(id: string): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    this.#workers.remove(id);
    // What could not be taken back when the worker was to be ended may have begun.
    const [first, ...others] = worker.jobs.map(({ key }) => this.attempts.get(key));
    for (const other of others) if (other !== undefined) this.#end(other, other.verdict ?? givenBack, 0);
    if (first === undefined) return;
    if (first.verdict === undefined && first.unstarted !== undefined) {
      this.#remove(first);
      this.#turnAway(first.home, first.message, 'no_interpreter', first.unstarted);
      return;
    }
    this.#end(first, first.verdict ?? givenBack, Math.round((this.#now.ms - first.startedAt) * 1000));
  }

  /** A job that had not started goes back to the head of its queue, or ends if it was told to. */
  #unfeed(key: string): void {
    const attempt = this.attempts.get(key);
    if (attempt === undefined) return;
    if (attempt.verdict !== undefined) return this.#end(attempt, attempt.verdict, 0);
    if (attempt.state === 'running') this.#running -= 1;
    attempt.state = 'waiting';
    attempt.worker = undefined;
    (attempt.ahead ? this.#ahead : this.#first).unshift(attempt);
  }

  #takenBack(id: string, jobs: readonly number[]): void {
    const worker = this.#workers.get(id);
    if (worker === undefined) return;
    const taken = worker.jobs.filter(({ job }) => jobs.includes(job));
    for (const { job, key } of taken.toReversed()) {
      worker.jobs.splice(worker.jobs.findIndex((entry) => entry.job === job), 1);
      this.#unfeed(key);
    }
    this.#advance(worker);
  }

  #kill(attempt: Attempt, verdict: NonNullable<Attempt['verdict']>): void {
    attempt.state = 'ending';
    attempt.verdict = verdict;
    const worker = this.#workers.get(attempt.worker ?? '');
    if (worker !== undefined) this.#retire(worker);
  }

  /** @param isShared jobs that did not cause its end may not have begun */
  #retire(worker: Worker, isShared: boolean = worker.jobs.length > 1): void {
    if (worker.state === 'dying') return;
    if (isShared) this.#out.send.push({ to: 'take_back', worker: worker.id });
    worker.state = 'dying';
    this.#out.send.push({ to: 'kill', worker: worker.id });
  }

  // --- ends --------------------------------------------------------------------------------

  #end(attempt: Attempt, { outcome, error }: NonNullable<Attempt['verdict']>, runUs: number, result?: Value, resultBytes = 0): void {
    const worker = this.#workers.get(attempt.worker ?? '');
    this.#remove(attempt);
    const end = endMessage(attempt, { outcome, error, runUs, result, pid: worker?.pid });
    if (outcome === 'killed') return this.#homes.tell(attempt.home, end);
    this.#homes.keep(attempt, end, resultBytes, this.#now.ms);
  }

  #remove(attempt: Attempt): void {
    this.attempts.delete(attempt.message.key);
    this.#homes.isSilent(attempt);
    if (!attempt.ahead) this.#promised -= 1;
    if (attempt.state === 'running' || attempt.state === 'ending') {
      this.#running -= 1;
      this.#lastEndAt = this.#now.ms;
    }
    if (attempt.state === 'waiting') drop(attempt.ahead ? this.#ahead : this.#first, attempt);
    this.#out.send.push({ to: 'forget_content', key: attempt.message.key });
  }

  /** Nothing runs here, and every home that can be reached has stored its results. */
  get isDone(): boolean {
    return this.attempts.size === 0 && this.#homes.isSettled;
  }

  /** That it is stopped is no fault of what runs: homes are told, so that it counts as no loss. */
  #stop(): void {
    for (const attempt of this.attempts.values()) {
      if (attempt.state === 'running') this.#kill(attempt, peerStopped(this.#o.peer));
    }
  }

  #turnAwayUnstarted(): void {
    for (const attempt of this.attempts.values()) {
      if (attempt.state !== 'waiting' && attempt.state !== 'content') continue;
      this.#remove(attempt);
      this.#turnAway(attempt.home, attempt.message, 'draining');
    }
  }

  // --- time --------------------------------------------------------------------------------

  #tick(): void {
    const { ms } = this.#now;
    for (const attempt of this.attempts.values()) {
      const { timeoutMs } = attempt.message;
      if (attempt.state === 'running' && timeoutMs !== undefined && ms >= attempt.startedAt + timeoutMs && !this.#isStarting(attempt)) {
        this.#kill(attempt, timedOut(timeoutMs));
      }
    }
    this.#sendBackAhead();
    for (const observation of this.#observed.take(ms)) this.#out.send.push({ to: 'report', observation });
    this.#homes.forgetOld(ms);
    for (const worker of this.#workers.all()) {
      if (worker.state === 'idle' && ms - worker.idleSince >= limits.workerIdleMs) this.#retire(worker);
    }
  }

  /** Its worker's interpreter is not up yet: that is not the task's time. */
  #isStarting(attempt: Attempt): boolean {
    return this.#workers.get(attempt.worker ?? '')?.state === 'starting';
  }

  /** Out of a pipe when the job before it is slow; back to its home when nothing at all ended for a while. */
  #sendBackAhead(): void {
    for (const worker of this.#workers.all()) {
      const running = worker.jobs.length > 1 ? this.#runningIn(worker) : undefined;
      if (running !== undefined && this.#now.ms - running.startedAt >= limits.aheadWaitMsMax) this.#out.send.push({ to: 'take_back', worker: worker.id });
    }
    if (this.#now.ms - this.#lastEndAt < limits.aheadWaitMsMax) return;
    for (const attempt of this.#ahead.slice()) {
      if (this.#now.ms - attempt.takenAt < limits.aheadWaitMsMax) continue;
      this.#remove(attempt);
      this.#turnAway(attempt.home, attempt.message, 'busy');
    }
  }

  /** For an attempt that is over in no time its end says enough. */
  #tellStarted(): void {
    for (const worker of this.#workers.all()) {
      const attempt = this.#runningIn(worker);
      if (attempt === undefined || attempt.announced) continue;
      if (this.#now.ms - attempt.startedAt < limits.announceMs) continue;
      attempt.announced = true;
      const refs = this.#started.get(attempt.home) ?? [];
      refs.push(refOf(attempt.message));
      this.#started.set(attempt.home, refs);
    }
    if (this.#started.size === 0) return;
    for (const [home, attempts] of this.#started) {
      for (const part of inParts(attempts, limits.listPartMax)) this.#homes.tell(home, { kind: 'started', attempts: part });
    }
    this.#started.clear();
  }

  #wakeAt(): number {
    const { ms } = this.#now;
    let at = Math.min(ms + limits.tickMsMax, this.#homes.wakeAt(ms));
    for (const worker of this.#workers.all()) {
      const running = this.#runningIn(worker);
      if (running === undefined) continue;
      const { timeoutMs } = running.message;
      if (timeoutMs !== undefined && worker.state !== 'starting') at = Math.min(at, running.startedAt + timeoutMs);
      if (!running.announced) at = Math.min(at, running.startedAt + limits.announceMs);
      if (worker.jobs.length > 1) at = Math.min(at, running.startedAt + limits.aheadWaitMsMax);
    }
    const oldest = this.#ahead[0];
    if (oldest !== undefined) at = Math.min(at, Math.max(oldest.takenAt, this.#lastEndAt) + limits.aheadWaitMsMax);
    return Math.max(at, ms + 1);
  }
}

function drop<T>(from: T[], value: T): void {
  const at = from.indexOf(value);
  if (at >= 0) from.splice(at, 1);
}
