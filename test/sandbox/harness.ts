/**
 * Workers under test: real interpreters, events kept, waits with a deadline.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probeInterpreter } from '../../src/sandbox/interpreters.ts';
import type { Interpreter } from '../../src/sandbox/interpreters.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';
import type { LevelProbe } from '../../src/sandbox/levels.ts';
import { listProcesses, readIfThere } from '../../src/sandbox/processes.ts';
import type { WallsNeed } from '../../src/sandbox/try-walls.ts';
import type { Isolation, Job, JobFailed, JobResult, Language, WorkerEvent, WorkerExited } from '../../src/sandbox/types.ts';
import { Workers } from '../../src/sandbox/workers.ts';

/** What a box has to hold for the interpreters of tests. */
export async function wallsNeed(): Promise<WallsNeed> {
  const interpreters = await Promise.all([probeInterpreter('python'), probeInterpreter('javascript')]);
  return { interpreters, guestsFolder, hidden: [homedir()] };
}

/** Whether a box can be asked for at all here. A machine that can, and does not reach level 2, fails. */
export const canBox = process.platform === 'linux' && spawnSync('bwrap', ['--version']).status === 0;

let held: Isolation = 2;

/** In what workers of this test file are held, unless its level says less. */
export function holdIn(isolation: Isolation): void {
  held = isolation;
}

/** This machine's level, with all that workers are to be held in. It must reach that. */
export async function heldLevel(): Promise<LevelProbe> {
  if (held < 2) return await probeLevel(held === 1);
  const level = await probeLevel(true, await wallsNeed());
  if (level.level < held) throw new Error(`this machine has no box for workers: ${level.missing}; ${level.fix}`);
  return level;
}

/** Null when it ended meanwhile. */
function namespaceOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return null;
  }
}

function numberInside(pid: number): number {
  return Number(/^NSpid:.*\s(\d+)$/m.exec(readIfThere(`/proc/${pid}/status`)?.toString('latin1') ?? '')?.[1] ?? 0);
}

export const guestsFolder = fileURLToPath(new URL('../../src/sandbox/guests', import.meta.url));
const DEADLINE_MS = 20_000;

export type Ending = JobResult | JobFailed | WorkerExited;

export interface RunOptions {
  function?: string;
  args?: string;
  kwargs?: string;
}

/** What came of one job: how it ended and what it wrote. */
export interface Ran {
  ending: Ending;
  stdout: string;
  stderr: string;
}

export class Bench {
  readonly events: WorkerEvent[] = [];
  readonly scratchRoot: string;
  readonly folder: string;
  readonly workers: Workers;
  private readonly listeners = new Set<() => void>();
  private readonly jobs = new Map<string, number>();

  private constructor(folder: string, make: (onEvent: (event: WorkerEvent) => void, scratchRoot: string) => Workers) {
    this.folder = folder;
    this.scratchRoot = join(folder, 'scratch');
    this.workers = make((event) => this.onEvent(event), this.scratchRoot);
  }

  static async start(level?: LevelProbe, named?: Partial<Record<Language, Interpreter>>): Promise<Bench> {
    const interpreters = named ?? { python: await probeInterpreter('python'), javascript: await probeInterpreter('javascript') };
    const probed = level ?? (await probeLevel());
    const bench = new Bench(
      mkdtempSync(join(tmpdir(), 'potluck-sandbox-')),
      (onEvent, scratchRoot) =>
        new Workers({ scratchRoot, interpreters, guestsFolder, level: probed, onEvent }),
    );
    await bench.workers.start();
    return bench;
  }

  async stop(): Promise<void> {
    await this.workers.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  spawn(worker: string, language: Language = 'python', memoryMb: number | null = null): string {
    this.workers.spawn({ worker, language, memoryMb, isolation: held, name: 'attic' });
    return worker;
  }

  /** The numbers here of processes that know each other by those inside the worker's box. */
  outside(worker: string, pids: readonly number[]): number[] {
    const interpreter = this.workers.list().find((each) => each.worker === worker)?.pid ?? 0;
    const box = namespaceOf(interpreter);
    if (box === namespaceOf(process.pid)) return [...pids];
    const members = listProcesses().filter((row) => namespaceOf(row.pid) === box);
    return pids.map((pid) => members.find((row) => numberInside(row.pid) === pid)?.pid ?? 0);
  }

  job(worker: string, program: string, options: RunOptions = {}): Job {
    const job = (this.jobs.get(worker) ?? 0) + 1;
    this.jobs.set(worker, job);
    return {
      job,
      programHash: createHash('sha256').update(program).digest('hex'),
      source: Buffer.from(program),
      function: options.function ?? 'main',
      args: Buffer.from(options.args ?? '[]'),
      kwargs: options.kwargs === undefined ? null : Buffer.from(options.kwargs),
    };
  }

  /** Feeds one job and waits for its end. */
  async run(worker: string, program: string, options: RunOptions = {}): Promise<Ran> {
    const job = this.job(worker, program, options);
    this.workers.feed(worker, [job]);
    return await this.ended(worker, job.job);
  }

  async ended(worker: string, job: number): Promise<Ran> {
    const ending = await this.find(
      (event): event is Ending =>
        event.type !== 'gone' &&
        event.worker === worker &&
        (((event.type === 'result' || event.type === 'failed') && event.job === job) ||
          (event.type === 'exited' && event.unanswered.includes(job))),
    );
    return { ending, stdout: this.output(worker, job, 'stdout'), stderr: this.output(worker, job, 'stderr') };
  }

  output(worker: string, job: number, stream: 'stdout' | 'stderr'): string {
    const parts = this.events.flatMap((event) =>
      event.type === 'output' && event.worker === worker && event.job === job && event.stream === stream ? [event.data] : [],
    );
    return Buffer.concat(parts).toString('utf8');
  }

  async gone(worker: string): Promise<void> {
    await this.find((event): event is WorkerEvent => event.type === 'gone' && event.worker === worker);
  }

  async ready(worker: string): Promise<void> {
    await this.find((event): event is WorkerEvent => event.type === 'ready' && event.worker === worker);
  }

  async find<T extends WorkerEvent>(wanted: (event: WorkerEvent) => event is T): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const look = (): void => {
        const found = this.events.find(wanted);
        if (found === undefined) return;
        done();
        resolve(found);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`nothing came within ${DEADLINE_MS} ms; last: ${JSON.stringify(this.events.slice(-3)).slice(0, 1000)}`));
      }, DEADLINE_MS);
      const done = (): void => {
        clearTimeout(timer);
        this.listeners.delete(look);
      };
      this.listeners.add(look);
      look();
    });
  }

  private onEvent(event: WorkerEvent): void {
    this.events.push(event);
    for (const listener of this.listeners) listener();
  }
}

/** The result's JSON text. */
export function resultText(ran: Ran): string {
  if (ran.ending.type !== 'result') throw new Error(`no result: ${JSON.stringify(ran.ending)}`);
  return Buffer.from(ran.ending.result).toString('utf8');
}

export function failure(ran: Ran): JobFailed['error'] {
  if (ran.ending.type !== 'failed') throw new Error(`no failure: ${JSON.stringify(ran.ending).slice(0, 500)}`);
  return ran.ending.error;
}

export function death(ran: Ran): WorkerExited {
  if (ran.ending.type !== 'exited') throw new Error(`no death: ${JSON.stringify(ran.ending).slice(0, 500)}`);
  return ran.ending;
}

/** Waits until it holds. */
export async function eventually(holds: () => boolean, what: string, withinMs = DEADLINE_MS): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
