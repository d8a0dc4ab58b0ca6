/**
 * The workers of a runner, as its decider sees them.
 *
 * Invariants
 * 1. A worker serves one submitter at the homes of one key, one language and one memory limit for its whole
 *    life: what a home of another key says about the submitter opens no worker but its own.
 * 2. `jobs` are the attempts fed to it and not answered, in order; the first is running, the others wait in its pipe.
 */
import type { Language } from '../wire/messages.ts';
import type { Attempt } from './attempt-state.ts';

/** Whom a worker serves. */
export interface Served {
  readonly homeKey: string;
  readonly submitter: string;
}

export interface Worker extends Served {
  readonly id: string;
  readonly language: Language;
  readonly memoryMb: number | null;
  /** Used for one attempt only. */
  readonly fresh: boolean;
  state: 'starting' | 'idle' | 'busy' | 'dying';
  pid: number | undefined;
  readonly jobs: { job: number; key: string }[];
  lastJob: number;
  idleSince: number;
}

export class WorkerTable {
  readonly #workers = new Map<string, Worker>();
  #made = 0;

  get(id: string): Worker | undefined {
    return this.#workers.get(id);
  }

  all(): IterableIterator<Worker> {
    return this.#workers.values();
  }

  get size(): number {
    return this.#workers.size;
  }

  make(language: Language, { homeKey, submitter }: Served, memoryMb: number | null, fresh: boolean, nowMs: number): Worker {
    this.#made += 1;
    const worker: Worker = { id: `w${this.#made}`, language, homeKey, submitter, memoryMb, fresh, state: 'starting', pid: undefined, jobs: [], lastJob: 0, idleSince: nowMs };
    this.#workers.set(worker.id, worker);
    return worker;
  }

  remove(id: string): void {
    this.#workers.delete(id);
  }

  /** A worker that may take this attempt at once, or, with `starting`, as soon as it is up. */
  free(attempt: Attempt, state: 'idle' | 'starting'): Worker | undefined {
    for (const worker of this.#workers.values()) {
      if (worker.state === state && worker.jobs.length === 0 && suits(worker, attempt)) return worker;
    }
    return undefined;
  }

  /** The worker that has been idle longest. */
  oldestIdle(): Worker | undefined {
    let oldest: Worker | undefined;
    for (const worker of this.#workers.values()) {
      if (worker.state === 'idle' && (oldest === undefined || worker.idleSince < oldest.idleSince)) oldest = worker;
    }
    return oldest;
  }
}

export function suits(worker: Worker, { homeKey, message }: Attempt): boolean {
  return (
    !worker.fresh &&
    message.fresh !== true &&
    worker.language === message.language &&
    worker.homeKey === homeKey &&
    worker.submitter === message.submitter &&
    worker.memoryMb === (message.memoryMb ?? null)
  );
}
