/** A home with its store, with nobody at its links: tests tell its decider what clients and runners would. */
import { join, resolve } from 'node:path';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { Home } from '../../src/home/home.ts';
import { isPruned } from '../../src/home/records.ts';
import type { Retention } from '../../src/home/retention-state.ts';
import type { Files } from '../../src/store/files.ts';
import { TestRoster } from '../helpers/members.ts';
import { granted, info, linked, submitted, up } from '../helpers/home.ts';

/** The history's thread, built for this test file, and a folder; `remove` takes both away. */
export async function workshop(): Promise<{ indexWorker: URL; folder: () => Promise<string>; remove: () => Promise<void> }> {
  // Inside the project, so that the bundle finds libsql.
  await mkdir('node_modules/.cache', { recursive: true });
  const built = await mkdtemp(resolve('node_modules/.cache/home-index-'));
  const outfile = join(built, 'index-worker.mjs');
  await build({ entryPoints: ['src/store/index-worker.ts'], bundle: true, platform: 'node', format: 'esm', external: ['libsql'], outfile, logLevel: 'error' });
  const root = await mkdtemp(join(tmpdir(), 'potluck-home-'));
  return {
    indexWorker: pathToFileURL(outfile),
    folder: () => mkdtemp(join(root, 'store-')),
    remove: async () => {
      await rm(built, { recursive: true });
      await rm(root, { recursive: true });
    },
  };
}

export interface OnDisk {
  folder: string;
  indexWorker: URL;
  files?: Files;
  segmentBytesMax?: number;
  retention?: Partial<Retention>;
}

export class HomeOnDisk {
  readonly home: Home;
  readonly roster = new TestRoster({ k: 'admin', alice: 'member', bob: 'member', carl: 'runner' });
  readonly log: string[] = [];
  readonly broken: unknown[] = [];

  constructor({ folder, indexWorker, ...store }: OnDisk) {
    this.home = new Home({
      peer: 'own',
      key: 'k',
      incarnation: 'own-1',
      version: '0',
      roster: this.roster,
      machine: { boot: 'own', net: '' },
      folder,
      indexWorker,
      store,
      connect: () => Promise.reject(new Error('nobody is there')),
      about: () => ({}),
      toTracker: () => {},
      log: (line) => this.log.push(line),
      broken: (error) => this.broken.push(error),
    });
  }

  async start(): Promise<this> {
    this.home.store.lock();
    await this.home.start(info('own', { slots: 0 }));
    return this;
  }

  /** A runner that takes everything at once and is told nothing. */
  withRunner(slots = 100): this {
    for (const event of [{ type: 'tracker_up' } as const, up('a', { slots }), granted('a', slots), linked('a')]) this.home.dispatch(event);
    return this;
  }

  submit(id: string, more: Parameters<typeof submitted>[2] = {}): void {
    this.home.dispatch(submitted(id, {}, { program: 'ab'.repeat(32), digest: `digest of ${id}`, ...more }));
  }

  /** Its runner says that this is its result. */
  done(id: string, result: Uint8Array | { hash: string; size: number } = Buffer.from(`"result of ${id}"`)): void {
    const last = this.home.state.tasks.get(id)?.attempts.at(-1);
    if (last === undefined) throw new Error(`${id} does not run`);
    this.home.dispatch({ type: 'attempt_ended', peer: last.peer, end: { kind: 'attempt_ended', id, attempt: last.attempt, key: last.key, outcome: 'done', runUs: 1_000, result } });
  }

  /** Resolves when all that was told has been decided and is on disk. */
  async flushed(): Promise<void> {
    await until(() => this.home.store.durableSeq >= this.home.store.appendedSeq);
  }

  /** Runs these to their ends, some at a time. */
  async run(ids: readonly string[], result?: (id: string) => Uint8Array | { hash: string; size: number }): Promise<void> {
    for (const id of ids) this.submit(id);
    // An idle grant goes back after a while.
    this.home.dispatch(granted('a', 100));
    await new Promise((decided) => setImmediate(decided));
    const told = new Set<string>();
    await until(() => {
      for (const id of ids) {
        if (told.has(id) || this.home.state.tasks.get(id)?.state !== 'assigned') continue;
        told.add(id);
        this.done(id, result?.(id));
      }
      return ids.every((id) => !this.home.state.tasks.has(id)) && this.home.store.durableSeq >= this.home.store.appendedSeq;
    });
  }

  /** What the home knows of a task, in a word or two. */
  async know(id: string): Promise<string> {
    const task = this.home.state.tasks.get(id);
    if (task !== undefined) return task.state;
    const past = await this.home.ended(id);
    if (past === undefined) return 'nothing';
    return isPruned(past) ? `pruned ${past.state}` : past.ended.state;
  }

  async compacted(): Promise<void> {
    await this.home.compact();
  }
}

export async function until(holds: () => boolean, deadlineMs = 5_000): Promise<void> {
  for (const end = performance.now() + deadlineMs; !holds(); ) {
    if (performance.now() > end) throw new Error(`it did not come to be within ${deadlineMs} ms: ${String(holds)}`);
    await new Promise((done) => setTimeout(done, 1));
  }
}
