/**
 * Acts as tasks: in workers started as any other, at the level that is to be measured.
 *
 * One worker per language and bounds; one that an act ended is replaced for the next.
 */
import { createHash } from 'node:crypto';
import type { Interpreter } from '../sandbox/interpreters.ts';
import type { LevelProbe } from '../sandbox/levels.ts';
import type { Language, WorkerEvent, WorkerSpec } from '../sandbox/types.ts';
import { Workers } from '../sandbox/workers.ts';
import type { Act, Answer } from './types.ts';

/** Acts bound themselves below this. */
const ANSWER_MS = 30_000;
/** A kill takes milliseconds; on a machine that is short of everything, longer. */
const GONE_MS = 5_000;

export interface InsideOptions {
  /** For these workers alone. */
  scratchRoot: string;
  guestsFolder: string;
  interpreters: Partial<Record<Language, Interpreter>>;
  level: LevelProbe;
  sources: Record<Language, string>;
}

export class Inside {
  readonly #options: InsideOptions;
  readonly #workers: Workers;
  readonly #listeners = new Set<(event: WorkerEvent) => void>();
  readonly #jobs = new Map<string, number>();
  #started = 0;
  #stopping: Promise<void> | undefined;

  constructor(options: InsideOptions) {
    this.#options = options;
    const { scratchRoot, guestsFolder, interpreters, level } = options;
    this.#workers = new Workers({
      scratchRoot,
      guestsFolder,
      interpreters,
      level,
      onEvent: (event) => {
        for (const listener of this.#listeners) listener(event);
      },
    });
  }

  async start(): Promise<void> {
    await this.#workers.start();
  }

  /** Ends them all, also what is in the middle of an act. */
  async stop(): Promise<void> {
    await (this.#stopping ??= this.#workers.stop());
  }

  /** A worker; it may not have come up yet. */
  open(language: Language, limits: Pick<WorkerSpec, 'processesMax'> & { memoryMb: number | null } = { memoryMb: null }): string {
    const worker = `probe-${(this.#started += 1)}`;
    this.#workers.spawn({ worker, language, ...limits, name: 'probes' });
    this.#jobs.set(worker, 0);
    return worker;
  }

  isOpen(worker: string): boolean {
    return this.#jobs.has(worker);
  }

  /**
   * One act. A worker that the act ended is closed; what had come through would have been answered.
   * @throws Error when the worker did not come up, or the act failed in a way that no wall explains
   */
  async run(worker: string, language: Language, { act, target }: Act): Promise<Answer> {
    const job = (this.#jobs.get(worker) ?? 0) + 1;
    this.#jobs.set(worker, job);
    const source = this.#options.sources[language];
    const answer = this.#wait(
      worker,
      (event) => {
        if (event.type === 'result' && event.job === job) return JSON.parse(Buffer.from(event.result).toString('utf8')) as Answer;
        if (event.type === 'failed' && event.job === job) {
          if (event.error.code === 'out_of_memory') return { reached: false, why: event.error.message };
          throw new Error(`${event.error.type}: ${event.error.message}`);
        }
        if (event.type === 'gone') throw new Error('its worker was killed');
        if (event.type !== 'exited') return undefined;
        this.#jobs.delete(worker);
        if (!event.ready) throw new Error(event.why);
        return { reached: false, why: event.outOfMemory === null ? event.why : `ended at its ${event.outOfMemory.limitMb} MB` };
      },
      ANSWER_MS,
    );
    this.#workers.feed(worker, [
      {
        job,
        programHash: createHash('sha256').update(source).digest('hex'),
        source: Buffer.from(source),
        function: 'main',
        args: Buffer.from(JSON.stringify([act, target])),
        kwargs: null,
      },
    ]);
    const answered = await answer;
    if (answered !== undefined) return answered;
    await this.close(worker);
    return { reached: false, why: 'no answer' };
  }

  /** Kills it. @returns whether it was gone in the time that a kill may take */
  async close(worker: string): Promise<boolean> {
    const gone = this.#wait(worker, (event) => (event.type === 'gone' ? true : undefined), GONE_MS);
    this.#jobs.delete(worker);
    this.#workers.kill(worker);
    return (await gone) ?? false;
  }

  #wait<T>(worker: string, look: (event: WorkerEvent) => T | undefined, withinMs: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(listener);
        settle();
      };
      const timer = setTimeout(() => end(() => resolve(undefined)), withinMs);
      const listener = (event: WorkerEvent): void => {
        if (event.worker !== worker) return;
        try {
          const found = look(event);
          if (found !== undefined) end(() => resolve(found));
        } catch (error) {
          end(() => reject(error));
        }
      };
      this.#listeners.add(listener);
    });
  }
}
