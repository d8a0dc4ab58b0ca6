/**
 * The sandbox of a simulated runner: workers that take their time, answer in order, die and are killed
 * as src/sandbox promises (one job at a time, unstarted ones can be taken back, `gone` is the last word).
 */
import type { RunnerEvent } from '../../src/runner/runner-events.ts';
import type { MessageOf } from '../../src/wire/messages.ts';
import type { Ledger } from './ledger.ts';
import type { Life, World } from './world.ts';

/** What a simulated function does; its task's arguments say it. */
export interface Behaviour {
  runMs: number;
  how: 'returns' | 'raises' | 'exits' | 'eats_memory';
}

export const argsFor = (behaviour: Behaviour): Uint8Array => new TextEncoder().encode(JSON.stringify([behaviour]));

const behaviourOf = (attempt: MessageOf<'attempt'>): Behaviour => {
  if (!(attempt.args instanceof Uint8Array)) throw new Error('simulated arguments travel inside their message');
  return (JSON.parse(new TextDecoder().decode(attempt.args)) as [Behaviour])[0];
};

/** What an attempt that comes to its end has printed, in three pieces. */
export const printedBy = (key: string): [string, string, string] => [`${key} begins\n`, 'goes on\n', `${key} ends\n`];

interface Job {
  job: number;
  attempt: MessageOf<'attempt'>;
  /** The first of an idle worker cannot be taken back. */
  recallable: boolean;
}

interface SimWorker {
  readonly id: string;
  ready: boolean;
  ended: boolean;
  running: Job | undefined;
  jobs: Job[];
}

export interface SimWorkersOptions {
  world: World;
  life: Life;
  ledger: Ledger;
  runner: string;
  slots: number;
  tell: (event: RunnerEvent) => void;
}

export class SimWorkers {
  readonly #o: SimWorkersOptions;
  readonly #workers = new Map<string, SimWorker>();
  #pids = 100;

  constructor(options: SimWorkersOptions) {
    this.#o = options;
  }

  spawn(id: string): void {
    const worker: SimWorker = { id, ready: false, ended: false, running: undefined, jobs: [] };
    this.#workers.set(id, worker);
    this.#after(this.#o.world.between(5, 60), worker, () => {
      worker.ready = true;
      this.#tell(worker, { type: 'worker_ready', worker: id, pid: (this.#pids += 1) });
      this.#next(worker);
    });
  }

  feed(id: string, jobs: { job: number; attempt: MessageOf<'attempt'> }[]): void {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.ended) return;
    const idle = worker.running === undefined && worker.jobs.length === 0;
    worker.jobs.push(...jobs.map((job, at) => ({ ...job, recallable: !idle || at > 0 })));
    if (worker.ready) this.#next(worker);
  }

  takeBack(id: string): number[] {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.ended) return [];
    const taken = worker.jobs.filter(({ recallable }) => recallable);
    worker.jobs = worker.jobs.filter(({ recallable }) => !recallable);
    return taken.map(({ job }) => job);
  }

  kill(id: string): void {
    const worker = this.#workers.get(id);
    if (worker === undefined || worker.ended) return;
    this.#end(worker, []);
  }

  /** A worker dies by itself, whatever it was doing. */
  dieOne(): void {
    const alive = [...this.#workers.values()].filter(({ ended }) => !ended);
    if (alive.length > 0) this.#die(this.#o.world.pick(alive), null);
  }

  #next(worker: SimWorker): void {
    if (worker.ended || worker.running !== undefined) return;
    const job = worker.jobs.shift();
    if (job === undefined) return;
    worker.running = job;
    const { ledger, runner, slots } = this.#o;
    ledger.began(runner, slots, job.attempt.id, job.attempt.key);
    const { runMs, how } = behaviourOf(job.attempt);
    const [first, second, third] = printedBy(job.attempt.key);
    this.#print(worker, job, first);
    this.#after(runMs / 2, worker, () => this.#print(worker, job, second));
    this.#after(runMs, worker, () => {
      if (how === 'exits' || how === 'eats_memory') return this.#die(worker, how === 'exits' ? null : { limitMb: job.attempt.memoryMb ?? 64 });
      this.#print(worker, job, third);
      ledger.over(runner, job.attempt.key);
      ledger.finished(job.attempt.id, job.attempt.key);
      worker.running = undefined;
      const answer = { type: 'worker_answered', worker: worker.id, job: job.job, runUs: Math.round(runMs * 1000), resultBytes: 16, leftovers: false } as const;
      if (how === 'raises') this.#tell(worker, { ...answer, error: { code: 'exception', message: 'it raises' } });
      else this.#tell(worker, { ...answer, result: new TextEncoder().encode(job.attempt.key) });
      this.#next(worker);
    });
  }

  #die(worker: SimWorker, outOfMemory: { limitMb: number } | null): void {
    this.#end(worker, [{ type: 'worker_exited', worker: worker.id, ready: true, outOfMemory, why: 'the worker ended' }]);
  }

  #end(worker: SimWorker, last: RunnerEvent[]): void {
    worker.ended = true;
    const run = worker.running;
    this.#o.world.later(this.#o.world.between(0.5, 20), this.#o.life, () => {
      if (run !== undefined) this.#o.ledger.over(this.#o.runner, run.attempt.key);
      for (const event of last) this.#o.tell(event);
      this.#workers.delete(worker.id);
      this.#o.tell({ type: 'worker_gone', worker: worker.id });
    });
  }

  #print(worker: SimWorker, { job }: Job, text: string): void {
    this.#tell(worker, { type: 'worker_output', worker: worker.id, job, stream: 'stdout', data: new TextEncoder().encode(text) });
  }

  #tell(worker: SimWorker, event: RunnerEvent): void {
    this.#after(0.05, worker, () => this.#o.tell(event));
  }

  #after(delayMs: number, worker: SimWorker, act: () => void): void {
    this.#o.world.later(delayMs, this.#o.life, () => (worker.ended ? undefined : act()));
  }
}
