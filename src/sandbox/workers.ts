/**
 * All workers of one peer: which there are, under which limits, and that none outlives it.
 *
 * Its user decides what runs where; worker.ts owns each worker's life. This file owns what
 * they share: the peer's cgroup, the marker in their environment, the keeper, the watchdog,
 * and the folder in which they have theirs.
 *
 * Invariants
 *  1. A worker that was spawned is in `workers` until its `gone` was reported.
 *  2. What an earlier peer left under the same folder is dead before the first spawn.
 */
import { causeText } from '../errors.ts';
import { codeOf } from '../lib/system-errors.ts';
import { limits } from '../limits.ts';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Cgroup, foldersOf, makeParent, placeBelow } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import { ProcessTree } from './enclosure.ts';
import type { Enclosure } from './enclosure.ts';
import type { Interpreter } from './interpreters.ts';
import { Keeper } from './keeper.ts';
import { Pace } from './pace.ts';
import type { LevelProbe } from './levels.ts';
import { listProcesses, readRow } from './processes.ts';
import { removeFolder } from './scratch.ts';
import { barePlan, boxedPlan, MARKER_VARIABLE } from './spawn-plan.ts';
import { endMarked, removeGroups } from './stale.ts';
import { Tokens, TokenStock } from './tokens.ts';
import type { Isolation, Job, Language, WorkerEvent, WorkerProcess, WorkerSpec } from './types.ts';
import { Box } from './walls.ts';
import { Worker } from './worker.ts';

/** Memory grows by some GB/s at most; a machine with 1 GB to spare survives this long. */
const WATCH_EVERY_MS = 150;
/** Workers without a memory limit are looked at for their number of processes, about once a second. */
const UNLIMITED_EVERY = 7;

export interface WorkersOptions {
  /** A folder for this alone: what is in it at the start is removed. */
  scratchRoot: string;
  interpreters: Partial<Record<Language, Interpreter>>;
  /** Where guest.py and guest.mjs are. */
  guestsFolder: string;
  level: LevelProbe;
  /** Called synchronously; must not throw. */
  onEvent: (event: WorkerEvent) => void;
}

export class Workers {
  private readonly options: WorkersOptions;
  private readonly marker = randomBytes(12).toString('hex');
  private readonly place: CgroupPlace | null;
  private readonly keeper: Keeper;
  private readonly tokens: TokenStock;
  private box: Box | null = null;
  private readonly pace = new Pace();
  private readonly workers = new Map<string, Worker>();
  /** Workers that never were, until that is told. */
  private readonly unstarted = new Set<string>();
  private readonly idle: (() => void)[] = [];
  private watchdog: NodeJS.Timeout | null = null;
  private watches = 0;
  private spawned = 0;

  constructor(options: WorkersOptions) {
    this.options = options;
    const { cgroup } = options.level;
    this.place = cgroup === null ? null : placeBelow(cgroup, `potluck-${this.marker}`);
    this.tokens = new TokenStock(options.scratchRoot);
    this.keeper = new Keeper(`${MARKER_VARIABLE}=${this.marker}`, this.place === null ? [] : foldersOf(this.place));
  }

  /** @throws when the folder, the cgroup or the box cannot be made */
  async start(): Promise<void> {
    const { scratchRoot, level } = this.options;
    await endEarlier(scratchRoot);
    await removeFolder(scratchRoot);
    await mkdir(scratchRoot, { recursive: true, mode: 0o700 });
    const record: EarlierPeer = { marker: this.marker, place: this.place };
    await writeFile(join(scratchRoot, RECORD_FILE), JSON.stringify(record), { mode: 0o600 });
    if (this.place !== null) makeParent(this.place);
    if (level.walls !== null) this.box = await Box.open(level.walls, scratchRoot);
    await this.tokens.start();
    this.keeper.start();
    this.watchdog = setInterval(() => this.watch(), WATCH_EVERY_MS);
    this.watchdog.unref();
  }

  /** Kills all workers, and returns when all are gone. */
  async stop(): Promise<void> {
    if (this.watchdog !== null) clearInterval(this.watchdog);
    for (const worker of this.workers.values()) worker.kill();
    if (this.workers.size > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
    if (this.place !== null) await removeGroups(this.place);
    this.box?.close();
    await this.tokens.stop();
    await this.keeper.stop();
    await removeFolder(this.options.scratchRoot);
  }

  /**
   * Where the machine lacks something (a full disk, no more cgroups), that is told by `exited` and `gone`, as of
   * an interpreter that does not come up.
   * @throws RangeError when the peer has no interpreter for the language, or the name is taken
   */
  spawn(spec: WorkerSpec): void {
    const interpreter = this.options.interpreters[spec.language];
    if (interpreter === undefined) throw new RangeError(`no interpreter for ${spec.language}`);
    if (this.workers.has(spec.worker)) throw new RangeError(`worker ${spec.worker} exists`);
    const number = ++this.spawned;
    const scratch = join(this.options.scratchRoot, `${this.marker}-${number}`);
    const marker = `${this.marker}.${number}.`;
    const isolation = spec.isolation ?? 2;
    let enclosure: Enclosure;
    let tokens: Tokens | null = null;
    try {
      mkdirSync(scratch, { recursive: true, mode: 0o700 });
      tokens = spec.language === 'python' ? this.tokens.take() : null;
      enclosure = this.enclose(number, marker, spec, isolation);
    } catch (error) {
      tokens?.close();
      this.cannotStart(spec, error);
      return;
    }
    const input = {
      spec,
      interpreter,
      scratch,
      marker,
      guestsFolder: this.options.guestsFolder,
      processCountFd: enclosure.processCountFd,
      tokensFd: tokens?.fd ?? null,
    };
    const worker = new Worker({
      spec,
      scratch,
      plan: isolation === 2 && this.box !== null ? boxedPlan(input, this.box) : barePlan(input),
      enclosure,
      tokens,
      pace: this.pace,
      onEvent: (event) => this.onEvent(event),
      monotonicNs: () => process.hrtime.bigint(),
    });
    this.workers.set(spec.worker, worker);
    worker.start();
    if (worker.pid !== null && enclosure instanceof ProcessTree) this.keeper.add(worker.pid);
  }

  /** @throws RangeError when there is no such worker, or it may not be given that many */
  feed(worker: string, jobs: Job[]): void {
    if (this.unstarted.has(worker)) return;
    this.get(worker).feed(jobs);
  }

  /** The jobs fed ahead that had not started: they never will. */
  takeBack(worker: string): number[] {
    return this.workers.get(worker)?.takeBack() ?? [];
  }

  /** Reported by `gone`. A worker that is unknown is gone already. */
  kill(worker: string): void {
    this.workers.get(worker)?.kill();
  }

  list(): WorkerProcess[] {
    const now = process.hrtime.bigint();
    return [...this.workers.values()].map((worker) => ({
      worker: worker.spec.worker,
      language: worker.spec.language,
      pid: worker.interpreterPid ?? worker.pid,
      ageMs: Number((now - worker.startedNs) / 1_000_000n),
      jobsRun: worker.jobsRun,
      busy: worker.busy,
      rssBytes: process.platform !== 'linux' ? null : rssOf(worker.interpreterPid),
    }));
  }

  /** Told later, as of any other worker: who spawns it feeds it first. */
  private cannotStart({ worker }: WorkerSpec, error: unknown): void {
    this.unstarted.add(worker);
    const why = `the worker cannot be started: ${causeText(error)}`;
    setImmediate(() => {
      this.unstarted.delete(worker);
      this.onEvent({ type: 'exited', worker, code: null, signal: null, outOfMemory: null, ready: false, unanswered: [], why });
      this.onEvent({ type: 'gone', worker });
    });
  }

  private get(name: string): Worker {
    const worker = this.workers.get(name);
    if (worker === undefined) throw new RangeError(`no worker ${name}`);
    return worker;
  }

  private enclose(number: number, marker: string, spec: WorkerSpec, isolation: Isolation): Enclosure {
    if (this.place === null || isolation === 0) return new ProcessTree(`${MARKER_VARIABLE}=${marker}`);
    return Cgroup.make(placeBelow(this.place, `worker-${number}`), spec.memoryMb, spec.processesMax);
  }

  private onEvent(event: WorkerEvent): void {
    if (event.type === 'gone') {
      const worker = this.workers.get(event.worker);
      if (worker?.pid != null && worker.enclosure instanceof ProcessTree) this.keeper.remove(worker.pid);
      this.workers.delete(event.worker);
    }
    this.options.onEvent(event);
    if (this.workers.size === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  /** One look for all workers. Looking at all processes costs milliseconds: only where something runs. */
  private watch(): void {
    const trees: { worker: Worker; tree: ProcessTree }[] = [];
    this.watches += 1;
    for (const worker of this.workers.values()) {
      const due = worker.spec.memoryMb !== null || this.watches % UNLIMITED_EVERY === 0;
      if (!(worker.enclosure instanceof ProcessTree)) worker.checkMemory();
      else if (worker.busy && due) trees.push({ worker, tree: worker.enclosure });
    }
    if (trees.length === 0) return;
    const rows = listProcesses();
    for (const { worker, tree } of trees) {
      const members = tree.members(rows);
      const limitMb = worker.spec.memoryMb;
      const used = members.reduce((sum, row) => sum + row.rssBytes, 0);
      const processesMax = worker.spec.processesMax ?? limits.taskProcessesMax;
      if (limitMb !== null && used > limitMb * 1024 * 1024) worker.overMemory();
      else if (members.length > processesMax) worker.overProcesses(processesMax);
    }
  }
}

function rssOf(pid: number | null): number | null {
  return pid === null ? null : (readRow(pid)?.rssBytes ?? null);
}

const RECORD_FILE = 'workers.json';

interface EarlierPeer {
  marker: string;
  place: CgroupPlace | null;
}

/** Ends what the peer that used this folder before left running; none is alive by now. */
async function endEarlier(scratchRoot: string): Promise<void> {
  let text: string;
  try {
    text = await readFile(join(scratchRoot, RECORD_FILE), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const { marker, place } = JSON.parse(text) as EarlierPeer;
  if (place !== null) await removeGroups(place);
  await endMarked(`${MARKER_VARIABLE}=${marker}.`);
}
