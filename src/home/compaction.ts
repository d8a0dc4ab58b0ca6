/**
 * Keeps the journal bounded: says again, at its head, what of its oldest segments must stay, then drops them.
 *
 * Neighbours: retention-state.ts judges which segments are past the retention; home-state.ts writes the
 * records (`compacting`), so that they stand in order with all others; home-store.ts reads and drops.
 *
 * What becomes of a task that the old segments tell of:
 *   it ended in them           → `pruned`: id, digest and outcome
 *   it waits or runs           → `restated`
 *   it ended in a later one    → `retold`: its outcome is within the retention, and its beginning goes
 *   it was pruned before       → `pruned` again, until that is too old or one too many
 *
 * Invariants
 * 1. A segment is dropped only when all that was said again is on disk. A crash before that leaves both, and
 *    what is said twice changes nothing.
 * 2. Nothing here takes long at once: reading gives way after some milliseconds, records are written in
 *    steps, each of which waits for the one before to be on disk.
 * 3. What fails here stops the compaction and nothing else; the next occasion begins anew.
 */
import { PotluckError } from '../errors.ts';
import { HistoryUnavailable } from '../store/store-errors.ts';
import type { HomeEvent, Pruning } from './home-events.ts';
import type { HomeStore } from './home-store.ts';
import type { Outline } from './record-codec.ts';
import { isPruned, type PrunedTask, type RecordOf, type Story } from './records.ts';
import type { SegmentFacts } from './retention-state.ts';

/** Segments handled together: a task that began in one of them and ended in the next is pruned at once. Their tasks are in memory. */
const segmentsMax = 2;
/** Tasks per step: some milliseconds of work. */
const stepTasks = 500;
/** Stories asked of the index at once, and per step: they may have large values in them. */
const stepStories = 50;

type Step = Extract<HomeEvent, { type: 'compacting' }>;

export interface CompactionOptions {
  store: HomeStore;
  /** To the decider; when what it wrote is on disk, `stepDone` is called. */
  dispatch: (step: Step) => void;
  /** The home's clock. */
  nowMs: () => number;
  /** Whether somebody relies on a blob that no record names. */
  isKept: (hash: string) => boolean;
  log: (line: string) => void;
  /** A fault in potluck itself. */
  broken: (error: unknown) => void;
}

class Stopped extends Error {
  override name = 'Stopped';
}

/** What old segments say of a task. */
interface Told {
  digest: string;
  ended: { state: PrunedTask['state']; endedWall: number } | undefined;
}

export class Compaction {
  readonly #o: CompactionOptions;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #step: { resolve: (ended: readonly string[]) => void; reject: (error: Error) => void } | undefined;

  constructor(options: CompactionOptions) {
    this.#o = options;
  }

  /** Compacts as far as there is something past the retention. Never rejects. */
  async run(): Promise<void> {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    await this.#running;
  }

  /** The step is on disk. `ended`: those that do not wait or run any more. */
  stepDone(ended: readonly string[]): void {
    const step = this.#step;
    this.#step = undefined;
    step?.resolve(ended);
  }

  /** Resolves when nothing of it is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#step?.reject(new Stopped());
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#again) {
        this.#again = false;
        for (let past = this.#past(); past.length > 0; past = this.#past()) await this.#compact(past);
        await this.#o.store.sweep(this.#o.isKept);
      }
    } catch (error) {
      if (error instanceof Stopped) return;
      const isKnown = error instanceof PotluckError || error instanceof HistoryUnavailable || (error instanceof Error && 'syscall' in error);
      if (isKnown) this.#o.log(`the journal could not be compacted: ${error.message}`);
      else this.#o.broken(error);
    }
  }

  #past(): SegmentFacts[] {
    const { store, nowMs } = this.#o;
    return store.segments.past(store.retention, nowMs(), segmentsMax);
  }

  async #compact(past: readonly SegmentFacts[]): Promise<void> {
    const tasks = await this.#read(past);
    for (const ids of parts(open(tasks), stepTasks)) await this.#retell(await this.#write({ restate: ids }));
    const since = this.#o.nowMs();
    for (const part of parts(ended(tasks), stepTasks)) await this.#write({ prune: [{ since, tasks: part }] });
    this.#mayGoOn();
    await this.#o.store.dropOldest(past.length);
  }

  /** What the segments tell of tasks; on the way, what they tell of pruned ones is written again. */
  async #read(past: readonly SegmentFacts[]): Promise<Map<string, Told>> {
    const { store } = this.#o;
    const tasks = new Map<string, Told>();
    let surplus = store.segments.pruned - store.retention.prunedTasksMax;
    for (const segment of past) {
      await store.outline(segment, (outline) => {
        this.#mayGoOn();
        if (outline.kind !== 'pruned') return tell(tasks, outline);
        const kept = this.#stillPruned(outline, surplus);
        surplus -= outline.tasks.length - kept.length;
        return kept.length === 0 ? undefined : this.#write({ prune: [{ since: outline.since, tasks: kept }] }).then(() => {});
      });
    }
    return tasks;
  }

  /** Those of a record that are kept on; the first ones are the oldest. */
  #stillPruned({ since, tasks }: RecordOf<'pruned'>, surplus: number): PrunedTask[] {
    if (since + this.#o.store.retention.prunedAgeMsMax < this.#o.nowMs()) return [];
    return tasks.slice(Math.max(0, surplus));
  }

  /** Of these the outcome lies in a later segment, and the beginning is about to go. */
  async #retell(missing: readonly string[]): Promise<void> {
    for (const ids of parts(missing, stepStories)) {
      const pasts = await Promise.all(ids.map((id) => this.#o.store.past(id)));
      const stories: Story[] = [];
      for (const [at, past] of pasts.entries()) {
        if (past === undefined) throw new HistoryUnavailable(new Error(`it lacks the task ${ids[at]!}`));
        // One that a compaction before a crash had pruned already.
        if (!isPruned(past)) stories.push(past);
      }
      if (stories.length > 0) await this.#write({ retell: stories });
    }
  }

  /** Resolves when it is on disk. */
  #write({ restate = [], retell = [], prune = [] }: { restate?: readonly string[]; retell?: readonly Story[]; prune?: readonly Pruning[] }): Promise<readonly string[]> {
    this.#mayGoOn();
    return new Promise((resolve, reject) => {
      this.#step = { resolve, reject };
      this.#o.dispatch({ type: 'compacting', restate, retell, prune });
    });
  }

  #mayGoOn(): void {
    if (this.#stopped) throw new Stopped();
  }
}

function tell(tasks: Map<string, Told>, outline: Exclude<Outline, { kind: 'pruned' }>): void {
  const { id } = outline;
  if (outline.kind === 'accepted') {
    tasks.set(id, { digest: outline.digest, ended: undefined });
    return;
  }
  const end = { state: outline.state, endedWall: outline.endedWall };
  // An end without a beginning: that one is told again later.
  const told = tasks.get(id);
  if (outline.kind === 'retold') tasks.set(id, { digest: outline.digest, ended: end });
  else if (told !== undefined) told.ended = end;
}

function* open(tasks: ReadonlyMap<string, Told>): Generator<string> {
  for (const [id, told] of tasks) if (told.ended === undefined) yield id;
}

function* ended(tasks: ReadonlyMap<string, Told>): Generator<PrunedTask> {
  for (const [id, told] of tasks) if (told.ended !== undefined) yield { id, digest: told.digest, ...told.ended };
}

function* parts<T>(all: Iterable<T>, size: number): Generator<readonly T[]> {
  let part: T[] = [];
  for (const one of all) {
    part.push(one);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}
