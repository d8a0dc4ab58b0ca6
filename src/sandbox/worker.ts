/**
 * One worker, from its start to the moment when nothing of it is left.
 *
 * Owns the process, its three channels, its enclosure and its folder. Its neighbours:
 * frames.ts knows the bytes, output.ts whose output is whose, enclosure.ts how all of a
 * worker is killed, workers.ts which workers there are.
 *
 * Invariants
 *  1. Answers are reported in the order of the jobs, each after its output.
 *  2. `gone` is the last event, and comes only when no process of the worker is alive.
 *  3. After `kill` there are output and `gone`, nothing else.
 *  4. Output waits to be read (pace.ts) only while one job is outstanding: all that waits is that job's.
 */
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { constants, getPriority, setPriority } from 'node:os';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { limits } from '../limits.ts';
import { CONTROL_CLOSED, describeDeath } from './deaths.ts';
import type { Enclosure } from './enclosure.ts';
import { FrameError, FrameReader, jobFrame, settingsFrame } from './frames.ts';
import type { Answer, GuestFrame } from './frames.ts';
import { OutputStream } from './output.ts';
import type { Pace } from './pace.ts';
import { launch } from './launch.ts';
import type { Launched } from './launch.ts';
import { childOf, endFirstInShortage } from './processes.ts';
import { HeldPrograms } from './programs.ts';
import { removeFolder } from './scratch.ts';
import type { SpawnPlan } from './spawn-plan.ts';
import { TOKENS_MAX } from './tokens.ts';
import type { Tokens } from './tokens.ts';
import type { Job, Language, WorkerEvent, WorkerSpec } from './types.ts';

/** The mark is in the pipe before the answer is sent; only a task that moved its descriptors delays it. */
const MARK_WAIT_MS = 100;
/** A worker's pipes end with its last process; longer means that somebody else holds them. */
const DRAIN_WAIT_MS = 250;
/** A channel that ended is followed at once by the exit, unless the task closed it. */
const EXIT_AFTER_CHANNEL_MS = 50;
const KILL_AGAIN_MS_MAX = 50;
/** A group that stays is removed when the peer stops; nobody is alive in it. */
const REMOVE_LOOKS_MAX = 20;
/** Tasks that take every core must not starve the peer's own heartbeats, nor the machine's owner. Only root may go the other way. */
const NICENESS_ADDED = 3;
const NICENESS_MAX = 19;
const KEPT_STDERR_CHARS = 2048;

/** How many jobs a worker may be given at once: those beyond the first can be taken back. */
export function aheadMax(language: Language): number {
  return language === 'python' ? TOKENS_MAX : 1;
}

export interface WorkerOptions {
  spec: WorkerSpec;
  scratch: string;
  plan: SpawnPlan;
  enclosure: Enclosure;
  /** Null: no job is fed ahead. */
  tokens: Tokens | null;
  pace: Pace;
  onEvent: (event: WorkerEvent) => void;
  monotonicNs: () => bigint;
}

interface Outstanding {
  job: number;
  recallable: boolean;
}

/** bubblewrap outside and, inside, its process 1. */
const BOX_PROCESSES = 2;
const TOKENS_FILLED = 'the task wrote into the descriptor by which its worker learns what to run';

type Ending = { cause: 'died' } | { cause: 'killed' } | { cause: 'memory' } | { cause: 'broken'; why: string };

export class Worker {
  readonly spec: WorkerSpec;
  readonly enclosure: Enclosure;
  jobsRun = 0;
  readonly startedNs: bigint;
  private readonly options: WorkerOptions;
  private readonly mark = Buffer.from(`\0${randomBytes(16).toString('hex')}`, 'latin1');
  private readonly programs = new HeldPrograms();
  private readonly reader: FrameReader;
  private readonly streams: { stdout: OutputStream; stderr: OutputStream };
  private child: ChildProcess | null = null;
  private control: Socket | null = null;
  private launched: Launched | null = null;
  private ready = false;
  private corked = false;
  /** What was read of the output, or is in a pipe, may wait for its turn. */
  private outputWaits = false;
  private takingOutput = false;
  /** Fed before the guest was ready. */
  private waiting: Job[] = [];
  private outstanding: Outstanding[] = [];
  /** Answers that wait for their output, or behind one that does. */
  private answers: Answer[] = [];
  private markTimer: NodeJS.Timeout | null = null;
  private startTimer: NodeJS.Timeout | null = null;
  private lastJob = 0;
  private stderrTail = '';
  private ending: Ending | null = null;
  private exit: { code: number | null; signal: string | null } | null = null;

  constructor(options: WorkerOptions) {
    this.options = options;
    this.spec = options.spec;
    this.enclosure = options.enclosure;
    this.startedNs = options.monotonicNs();
    this.reader = new FrameReader((frame) => this.onFrame(frame));
    this.streams = { stdout: this.outputStream('stdout'), stderr: this.outputStream('stderr') };
  }

  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /** The interpreter's; in a box it is not the process that was started. */
  get interpreterPid(): number | null {
    if (!this.boxed) return this.pid;
    const inner = this.launched?.inner() ?? null;
    return inner === null ? null : childOf(inner);
  }

  get boxed(): boolean {
    return this.options.plan.gate !== null;
  }

  get busy(): boolean {
    return this.outstanding.length + this.waiting.length > 0;
  }

  start(): void {
    const { plan, spec } = this.options;
    this.launched = launch(plan, (pid) => this.enclose(pid));
    const { child } = this.launched;
    this.child = child;
    child.on('error', (error) => this.end({ cause: 'broken', why: `the worker cannot be started: ${error.message}` }));
    child.on('exit', (code, signal) => {
      this.exit = this.boxed ? exitInside(code, signal) : { code, signal };
      this.end({ cause: 'died' });
    });
    if (child.pid === undefined) return;
    for (const name of ['stdout', 'stderr'] as const) this.attach(child[name], (chunk) => this.onOutput(name, chunk));
    this.control = child.stdio[3] as Socket;
    this.attach(this.control, (chunk) => this.onControl(chunk));
    this.control.on('end', () => void this.onControlEnd());
    this.control.write(
      settingsFrame({
        mark: this.mark.toString('latin1'),
        name: spec.name,
        memoryMb: spec.memoryMb,
        othersCounted: this.enclosure.processCountFd === null ? null : this.boxed ? BOX_PROCESSES : 0,
        boxed: this.boxed,
      }),
    );
    const late = `the worker did not start within ${limits.workerStartMs / 1000} s`;
    this.startTimer = setTimeout(() => this.end({ cause: 'broken', why: late }), limits.workerStartMs);
  }

  private enclose(pid: number): void {
    this.enclosure.enter(pid);
    endFirstInShortage(pid);
    try {
      setPriority(pid, Math.min(NICENESS_MAX, getPriority() + NICENESS_ADDED));
    } catch (error) {
      if (!gone(error)) throw error;
    }
  }

  /** @throws RangeError when that is more than `aheadMax` allows, or the numbers do not increase */
  feed(jobs: Job[]): void {
    const fed = this.outstanding.length + this.waiting.length + jobs.length;
    if (fed > aheadMax(this.spec.language)) throw new RangeError(`${fed} jobs at once in worker ${this.spec.worker}`);
    for (const job of jobs) {
      if (job.job <= this.lastJob) throw new RangeError(`job ${job.job} after ${this.lastJob}`);
      this.lastJob = job.job;
    }
    this.waiting.push(...jobs);
    if (this.ready) this.sendWaiting();
  }

  /** The jobs that had not started and now never will. */
  takeBack(): number[] {
    const unsent = this.waiting.map((job) => job.job);
    this.waiting = [];
    const held = this.ending === null ? (this.options.tokens?.takeAll() ?? []) : [];
    // A task can write there, too.
    const taken = held.filter((job) => this.outstanding.some((entry) => entry.job === job && entry.recallable));
    const gone = new Set(taken);
    this.outstanding = this.outstanding.filter((entry) => !gone.has(entry.job));
    return [...taken, ...unsent];
  }

  kill(): void {
    this.end({ cause: 'killed' });
  }

  /** Called every now and then, and before answers, for workers with a limit that the kernel keeps. */
  checkMemory(): boolean {
    if (this.spec.memoryMb === null || this.ending !== null || this.enclosure.outOfMemoryKills() === 0) return false;
    this.overMemory();
    return true;
  }

  overMemory(): void {
    this.end({ cause: 'memory' });
  }

  overProcesses(limit: number): void {
    this.end({ cause: 'broken', why: `the task started more than ${limit} processes` });
  }

  // --- what the guest sends -----------------------------------------------------------

  private attach(stream: Readable | null, onData: (chunk: Buffer) => void): void {
    stream?.on('data', onData);
    // A reset means that the process died: its exit tells the rest.
    stream?.on('error', () => undefined);
  }

  private onOutput(name: 'stdout' | 'stderr', chunk: Buffer): void {
    this.streams[name].push(chunk);
    const stream = this.child?.[name];
    if (stream && this.options.pace.took(stream, chunk.length, this.outstanding.length <= 1)) this.outputWaits = true;
  }

  /** Takes in what was read and waits: it came before whatever is done next. (Which a mark in it may do at once.) */
  private takeOutput(): void {
    if (!this.outputWaits || this.takingOutput) return;
    this.takingOutput = true;
    const waiting = [this.child?.stdout, this.child?.stderr].filter((stream) => stream?.isPaused() === true);
    for (const stream of waiting) stream?.read();
    this.outputWaits = waiting.length > 0;
    this.takingOutput = false;
  }

  /** From here on it may be several jobs' and must not wait. */
  private waitNoMore(): void {
    this.takeOutput();
    if (!this.outputWaits) return;
    this.outputWaits = false;
    this.child?.stdout?.resume();
    this.child?.stderr?.resume();
  }

  private onControl(chunk: Buffer): void {
    if (this.ending?.cause === 'killed') return;
    try {
      this.reader.push(chunk);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.end({ cause: 'broken', why: `the task wrote into the descriptor by which its worker answers (${error.message})` });
    }
  }

  private async onControlEnd(): Promise<void> {
    await delay(EXIT_AFTER_CHANNEL_MS);
    if (this.exit === null) this.end({ cause: 'broken', why: CONTROL_CLOSED });
  }

  private onFrame(frame: GuestFrame): void {
    if (frame.kind !== 'ready') {
      this.answers.push(frame);
      this.deliver();
      return;
    }
    if (this.ready) throw new FrameError('a second greeting');
    if (this.startTimer !== null) clearTimeout(this.startTimer);
    this.startTimer = null;
    this.ready = true;
    this.emit({ type: 'ready', worker: this.spec.worker, pid: this.interpreterPid ?? this.pid ?? 0, version: frame.version });
    this.sendWaiting();
  }

  // --- feeding ------------------------------------------------------------------------

  private sendWaiting(): void {
    if (this.waiting.length === 0 || this.ending !== null) return;
    this.waitNoMore();
    const jobs = this.waiting;
    this.waiting = [];
    const first = this.outstanding.length === 0 ? 1 : 0;
    const ahead = jobs.slice(first).map((job) => job.job);
    if (ahead.length > 0 && this.options.tokens?.give(ahead) === false) {
      this.outstanding.push(...jobs.map(({ job }) => ({ job, recallable: false })));
      this.end({ cause: 'broken', why: TOKENS_FILLED });
      return;
    }
    jobs.forEach((job, index) => {
      const recallable = index >= first;
      for (const frame of this.programs.framesFor(job)) this.write(frame);
      this.write(jobFrame(job, recallable));
      this.outstanding.push({ job: job.job, recallable });
    });
  }

  /** All that is written in one turn of the event loop leaves in one system call. */
  private write(bytes: Uint8Array): void {
    const { control } = this;
    if (control === null) return;
    if (!this.corked) {
      this.corked = true;
      control.cork();
      process.nextTick(() => {
        this.corked = false;
        control.uncork();
      });
    }
    control.write(bytes);
  }

  // --- output and answers -------------------------------------------------------------

  private outputStream(stream: 'stdout' | 'stderr'): OutputStream {
    return new OutputStream({
      mark: this.mark,
      monotonicNs: this.options.monotonicNs,
      current: () => ({ job: this.outstanding[0]?.job ?? this.lastJob, outstanding: this.outstanding.length }),
      onMark: () => this.deliver(),
      emit: (job, data) => {
        if (stream === 'stderr') this.keepTail(data);
        this.emit({ type: 'output', worker: this.spec.worker, job, stream, data });
      },
    });
  }

  private deliver(): void {
    this.takeOutput();
    // Of a worker that died by itself the last answers still count.
    while (this.ending === null || this.ending.cause === 'died') {
      const answer = this.answers[0];
      if (answer === undefined || this.checkMemory()) return;
      if (this.outstanding[0]?.job !== answer.job) {
        this.answers = [];
        this.end({ cause: 'broken', why: `the worker answered job ${answer.job}, which it was not running` });
        return;
      }
      if (!this.outputIsHere(answer)) {
        this.markTimer ??= setTimeout(() => this.deliverLate(answer), MARK_WAIT_MS);
        return;
      }
      this.report(answer);
    }
  }

  private outputIsHere(answer: Answer): boolean {
    const { stdout, stderr } = this.streams;
    return (!answer.marked.stdout || stdout.marked >= answer.job) && (!answer.marked.stderr || stderr.marked >= answer.job);
  }

  private deliverLate(answer: Answer): void {
    this.markTimer = null;
    if (this.answers[0] !== answer || this.checkMemory()) return;
    this.streams.stdout.releaseAll(answer.job);
    this.streams.stderr.releaseAll(answer.job);
    this.report(answer);
    this.deliver();
  }

  private report(answer: Answer): void {
    if (this.markTimer !== null) clearTimeout(this.markTimer);
    this.markTimer = null;
    const { job, runUs, leftovers } = answer;
    this.streams.stdout.release(job, answer.drainedNs, answer.marked.stdout);
    this.streams.stderr.release(job, answer.drainedNs, answer.marked.stderr);
    this.answers.shift();
    this.outstanding.shift();
    this.jobsRun += 1;
    const { worker } = this.spec;
    if (answer.kind === 'result') this.emit({ type: 'result', worker, job, runUs, result: answer.result, leftovers });
    else this.emit({ type: 'failed', worker, job, runUs, error: answer.error, leftovers });
  }

  private keepTail(data: Uint8Array): void {
    // What says why an interpreter did not start, and that V8 met its own limit.
    if (this.ready && this.spec.language === 'python') return;
    const end = Buffer.from(data.subarray(-KEPT_STDERR_CHARS)).toString('latin1');
    this.stderrTail = (this.stderrTail + end).slice(-KEPT_STDERR_CHARS);
  }

  // --- the end ------------------------------------------------------------------------

  private end(ending: Ending): void {
    if (this.ending !== null) {
      // Being killed outranks what was about to be reported.
      if (ending.cause === 'killed') this.ending = ending;
      return;
    }
    this.ending = ending;
    if (this.startTimer !== null) clearTimeout(this.startTimer);
    void this.finish();
  }

  private async finish(): Promise<void> {
    const { child, enclosure } = this;
    const closed = child === null || child.pid === undefined ? Promise.resolve() : once(child, 'close').then(() => undefined);
    await this.launched?.shut();
    for (let wait = 1; !enclosure.killAll() || this.isRunning(); wait *= 2) {
      await delay(Math.min(wait, KILL_AGAIN_MS_MAX));
    }
    await Promise.race([closed, delay(DRAIN_WAIT_MS)]);
    if (this.markTimer !== null) clearTimeout(this.markTimer);
    this.options.tokens?.close();
    this.streams.stdout.releaseAll(this.outstanding[0]?.job ?? this.lastJob);
    this.streams.stderr.releaseAll(this.outstanding[0]?.job ?? this.lastJob);
    child?.stdout?.destroy();
    child?.stderr?.destroy();
    this.control?.destroy();
    const last = this.exited();
    for (let look = 0; look < REMOVE_LOOKS_MAX && !enclosure.remove(); look++) await delay(KILL_AGAIN_MS_MAX);
    if (last !== null) this.emit(last);
    await removeFolder(this.options.scratch);
    this.emit({ type: 'gone', worker: this.spec.worker });
  }

  private isRunning(): boolean {
    return this.pid !== null && this.exit === null;
  }

  private exited(): WorkerEvent | null {
    const ending = this.ending ?? { cause: 'died' };
    if (ending.cause === 'killed') return null;
    const { spec, exit, outstanding, waiting } = this;
    const unanswered = [...outstanding.map((entry) => entry.job), ...waiting.map((job) => job.job)];
    const outOfMemory = this.outOfMemory(ending);
    const code = exit?.code ?? null;
    const signal = exit?.signal ?? null;
    // It may have died of something else while we were about to kill it.
    const byUs = exit === null || (signal === 'SIGKILL' && outOfMemory === null);
    const why =
      ending.cause === 'broken' && byUs
        ? ending.why
        : describeDeath({
            language: spec.language,
            code,
            signal,
            outOfMemory,
            busy: outstanding.length > 0,
            ready: this.ready,
            stderr: this.stderrTail,
          });
    return { type: 'exited', worker: spec.worker, code, signal, outOfMemory, ready: this.ready, unanswered, why };
  }

  private outOfMemory(ending: Ending): { limitMb: number } | null {
    const { memoryMb } = this.spec;
    if (memoryMb === null) return null;
    const heap = this.exit?.signal === 'SIGABRT' && this.stderrTail.includes('heap out of memory');
    const over = ending.cause === 'memory' || heap || this.enclosure.outOfMemoryKills() > 0;
    return over ? { limitMb: memoryMb } : null;
  }

  private emit(event: WorkerEvent): void {
    this.options.onEvent(event);
  }
}

/** A process that ended before it was looked at. */
function gone(error: unknown): boolean {
  return error instanceof Error && 'info' in error && (error.info as { code?: unknown }).code === 'ESRCH';
}

/** bubblewrap tells a signal inside as shells do: 128 and its number. */
function exitInside(code: number | null, signal: string | null): { code: number | null; signal: string | null } {
  const name = code === null ? undefined : Object.entries(constants.signals).find(([, number]) => code === 128 + number)?.[0];
  return name === undefined ? { code, signal } : { code: null, signal: name };
}
