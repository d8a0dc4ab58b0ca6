/**
 * The sandbox of a simulated runner: workers that take their time, answer in order, die and are killed
 * as src/sandbox promises (one job at a time, unstarted ones can be taken back, `gone` is the last word).
 */
import type { MessageOf } from '../../src/wire/messages.ts';
import type { WorkerHost } from '../../src/runner/runner.ts';
import type { Job, WorkerEvent, WorkerProcess, WorkerSpec } from '../../src/sandbox/types.ts';
import type { Prng } from '../../src/lib/prng.ts';
import type { Ledger } from './ledger.ts';
import { between, type Life, type World } from './world.ts';

/** What a simulated function does; its task's arguments say it. */
export interface Behaviour {
  runMs: number;
  how: 'returns' | 'raises' | 'exits' | 'eats_memory';
  /** The result has so many bytes more. */
  resultBytes?: number;
  /** Something of it stays behind in the worker. */
  leaves?: boolean;
}

export const argsFor = (behaviour: Behaviour): string => JSON.stringify([behaviour]);

const behaviourOf = (job: Job): Behaviour => (JSON.parse(new TextDecoder().decode(job.args)) as [Behaviour])[0];

/** What an attempt that comes to its end has printed, in three pieces. */
export const printedBy = (key: string): [string, string, string] => [`${key} begins\n`, 'goes on\n', `${key} ends\n`];

/** What it gives: its own key, in a text as long as asked for. */
export const resultOf = (key: string, bytes: number): string => `"${key}${'.'.repeat(bytes)}"`;
export const keyOfResult = (text: string): string => text.slice(1, 17);

interface Held {
  job: Job;
  attempt: MessageOf<'attempt'>;
  /** The first of an idle worker cannot be taken back. */
  recallable: boolean;
}

interface SimWorker {
  readonly id: string;
  readonly spec: WorkerSpec;
  ready: boolean;
  ended: boolean;
  running: Held | undefined;
  jobs: Held[];
  /** Said, and not heard yet. */
  said: WorkerEvent[];
}

export interface SimWorkersOptions {
  world: World;
  life: Life;
  ledger: Ledger;
  runner: string;
  slots: number;
  isFlaky: boolean;
  tell: (event: WorkerEvent) => void;
}

const encoder = new TextEncoder();

export class SimWorkers implements WorkerHost {
  readonly #o: SimWorkersOptions;
  readonly #prng: Prng;
  readonly #workers = new Map<string, SimWorker>();
  /** Which attempt a job is, as the decider fed it; jobs are known by nothing else here. */
  readonly #attempts = new Map<string, MessageOf<'attempt'>>();
  #pids = 100;

  constructor(options: SimWorkersOptions) {
    this.#o = options;
    this.#prng = options.world.stream(`workers ${options.life.name}`);
  }

  /** The decider is about to feed these. */
  fed(worker: string, jobs: readonly { job: number; attempt: MessageOf<'attempt'> }[]): void {
    for (const { job, attempt } of jobs) this.#attempts.set(`${worker} ${job}`, attempt);
  }

  spawn(spec: WorkerSpec): void {
    const worker: SimWorker = { id: spec.worker, spec, ready: false, ended: false, running: undefined, jobs: [], said: [] };
    this.#workers.set(worker.id, worker);
    // Some interpreters do not come up.
    if (this.#o.isFlaky && this.#prng.below(200) === 0) return this.#die(worker, null, false);
    this.#after(between(this.#prng, 5, 60), worker, () => {
      worker.ready = true;
      this.#tell(worker, { type: 'ready', worker: worker.id, pid: (this.#pids += 1), version: '3' });
      this.#next(worker);
    });
  }

  feed(id: string, jobs: Job[]): void {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.ended) return;
    const idle = worker.running === undefined && worker.jobs.length === 0;
    for (const [at, job] of jobs.entries()) {
      const attempt = this.#attempts.get(`${id} ${job.job}`);
      if (attempt === undefined) throw new Error(`job ${job.job} of ${id} was fed by nobody`);
      this.#attempts.delete(`${id} ${job.job}`);
      worker.jobs.push({ job, attempt, recallable: !idle || at > 0 });
    }
    if (worker.ready) this.#next(worker);
  }

  takeBack(id: string): number[] {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.ended) return [];
    const taken = worker.jobs.filter(({ recallable }) => recallable);
    worker.jobs = worker.jobs.filter(({ recallable }) => !recallable);
    return taken.map(({ job }) => job.job);
  }

  kill(id: string): void {
    const worker = this.#workers.get(id);
    if (worker !== undefined && !worker.ended) this.#end(worker, []);
  }

  list(): WorkerProcess[] {
    return [];
  }

  /** A worker dies by itself, whatever it was doing. */
  dieOne(which: number): void {
    const alive = [...this.#workers.values()].filter(({ ended }) => !ended);
    const worker = alive[Math.floor(which * alive.length)];
    if (worker !== undefined) this.#die(worker, null, worker.ready);
  }

  #next(worker: SimWorker): void {
    if (worker.ended || worker.running !== undefined) return;
    const held = worker.jobs.shift();
    if (held === undefined) return;
    worker.running = held;
    const { ledger, runner, slots, world } = this.#o;
    const { id, key } = held.attempt;
    world.history.add(world.ms, this.#o.life.name, `runs ${id} ${key}`);
    ledger.began(runner, slots, id, key, held.attempt.submitter, worker.id);
    const { runMs, how, resultBytes = 0, leaves = false } = behaviourOf(held.job);
    const [first, second, third] = printedBy(key);
    this.#print(worker, held, first);
    this.#after(runMs / 2, worker, () => this.#print(worker, held, second));
    this.#after(runMs, worker, () => {
      if (how === 'exits' || how === 'eats_memory') return this.#die(worker, how === 'exits' ? null : { limitMb: held.attempt.memoryMb ?? 64 }, true);
      this.#print(worker, held, third);
      ledger.over(runner, key);
      ledger.finished(id, key);
      worker.running = undefined;
      const { job } = held.job;
      const runUs = Math.round(runMs * 1000);
      if (how === 'raises') this.#tell(worker, { type: 'failed', worker: worker.id, job, runUs, leftovers: leaves, error: { code: 'exception', type: 'Error', message: 'it raises' } });
      else this.#tell(worker, { type: 'result', worker: worker.id, job, runUs, leftovers: leaves, result: encoder.encode(resultOf(key, resultBytes)) });
      this.#next(worker);
    });
  }

  #die(worker: SimWorker, outOfMemory: { limitMb: number } | null, ready: boolean): void {
    const unanswered = [...(worker.running === undefined ? [] : [worker.running]), ...worker.jobs].map(({ job }) => job.job);
    // Its last answers still count.
    this.#end(worker, [...worker.said.splice(0), { type: 'exited', worker: worker.id, code: 1, signal: null, outOfMemory, ready, unanswered, why: 'the worker ended' }]);
  }

  #end(worker: SimWorker, last: WorkerEvent[]): void {
    worker.ended = true;
    const run = worker.running;
    this.#o.world.later(between(this.#prng, 0.5, 20), this.#o.life, () => {
      if (run !== undefined) this.#o.ledger.over(this.#o.runner, run.attempt.key);
      this.#workers.delete(worker.id);
      for (const event of last) this.#o.tell(event);
      this.#o.tell({ type: 'gone', worker: worker.id });
    });
  }

  #print(worker: SimWorker, { job }: Held, text: string): void {
    this.#tell(worker, { type: 'output', worker: worker.id, job: job.job, stream: 'stdout', data: encoder.encode(text) });
  }

  #tell(worker: SimWorker, event: WorkerEvent): void {
    worker.said.push(event);
    this.#after(0.05, worker, () => {
      const next = worker.said.shift();
      if (next !== undefined) this.#o.tell(next);
    });
  }

  #after(delayMs: number, worker: SimWorker, act: () => void): void {
    this.#o.world.later(delayMs, this.#o.life, () => (worker.ended ? undefined : act()));
  }
}

