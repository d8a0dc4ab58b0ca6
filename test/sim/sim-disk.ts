/**
 * The disk of a simulated machine: test/store/sim-files.ts, whose operations take time and fail as told.
 *
 * A process that is killed leaves what it wrote; a machine that dies loses, tears or keeps what was not synced.
 */
import { Prng } from '../../src/lib/prng.ts';
import type { Files, OpenFile } from '../../src/store/files.ts';
import { SimFiles } from '../store/sim-files.ts';
import { between, type Life, type World } from './world.ts';

type Failure = 'ENOSPC' | 'EIO';

/** A flush in which something is to happen. */
const flushMs = 20;

export class SimDisk {
  readonly files: SimFiles;
  readonly #world: World;
  readonly #prng: Prng;
  /** While full, nothing is written. */
  full = false;
  /** A flush takes up to so much longer. */
  slowMs = 0;
  #failSync = false;
  #duringFlush: (() => void) | undefined;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#prng = world.stream(`disk ${name}`);
    this.files = new SimFiles(this.#prng.uint32());
  }

  /** The next flush fails. */
  failNextSync(): void {
    this.#failSync = true;
  }

  /** The next flush takes its time, and in the midst of it something happens. */
  duringFlush(act: () => void): void {
    this.#duringFlush = act;
  }

  heal(): void {
    this.full = false;
    this.slowMs = 0;
    this.#failSync = false;
  }

  /** The machine died. */
  crash(): void {
    this.#failSync = false;
    this.files.crash();
  }

  /** A place in the files of a folder, all bits equally likely; undefined while there are none. */
  placeIn(folder: string, which: number): { path: string; byte: number; bit: number } | undefined {
    const files = this.files.pathsIn(folder).map((path) => ({ path, size: this.files.bytes(path).length }));
    let bit = Math.floor(which * files.reduce((sum, { size }) => sum + size * 8, 0));
    for (const { path, size } of files) {
      if (bit < size * 8) return { path, byte: bit >> 3, bit: bit & 7 };
      bit -= size * 8;
    }
    return undefined;
  }

  /** As a process sees it. */
  for(life: Life): Files {
    const { files } = this;
    const wait = (low: number, high: number) => this.#wait(life, low, high);
    return {
      open: async (path) => {
        if (this.full && (await files.size(path)) === undefined) throw failure('ENOSPC');
        return this.#file(await files.open(path), wait);
      },
      list: (path) => files.list(path),
      size: (path) => files.size(path),
      rename: (from, to) => files.rename(from, to),
      remove: (path) => files.remove(path),
      makeDirectory: (path) => files.makeDirectory(path),
      syncDirectory: async (path) => {
        await wait(0.05, 0.5);
        this.#mayFail('syncDirectory');
        await files.syncDirectory(path);
      },
    };
  }

  #file(file: OpenFile, wait: (low: number, high: number) => Promise<void>): OpenFile {
    return {
      size: () => file.size(),
      read: (at, length) => file.read(at, length),
      write: async (at, bytes) => {
        if (bytes.length > 64 * 1024) await wait(0.1, 1);
        if (this.full) this.files.failNext('write', 'ENOSPC');
        await file.write(at, bytes);
      },
      truncate: (size) => file.truncate(size),
      sync: async () => {
        if (this.#duringFlush !== undefined) {
          this.#world.later(flushMs / 2, undefined, this.#duringFlush);
          this.#duringFlush = undefined;
          await wait(flushMs, flushMs);
        }
        if (this.#prng.below(30) === 0) await wait(5, 200);
        else await wait(0.2, 1 + this.slowMs);
        this.#mayFail('sync');
        await file.sync();
      },
      close: () => file.close(),
    };
  }

  #mayFail(operation: 'sync' | 'syncDirectory'): void {
    if (!this.#failSync) return;
    this.#failSync = false;
    this.files.failNext(operation, 'EIO');
  }

  #wait(life: Life, low: number, high: number): Promise<void> {
    return new Promise((resolve) => this.#world.later(between(this.#prng, low, high), life, resolve));
  }
}

const failure = (code: Failure): Error => Object.assign(new Error(`${code}: on purpose`), { code, syscall: 'open' });
