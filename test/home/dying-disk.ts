/**
 * The disk as one process sees it: from a chosen operation on, that process is dead, and so are its files.
 * The disk itself (sim-files.ts) goes on, for the next process.
 */
import type { Files, OpenFile } from '../../src/store/files.ts';

export class DyingDisk implements Files {
  readonly #files: Files;
  /** Operations that change something, so far. */
  operations = 0;
  dead = false;
  #last = Infinity;
  readonly #died: () => void;

  /** @param died is called when the process dies */
  constructor(files: Files, died: () => void = () => {}) {
    this.#files = files;
    this.#died = died;
  }

  /** The process does so many operations more. */
  dieAfter(operations: number): void {
    this.#last = this.operations + operations;
  }

  die(): void {
    if (this.dead) return;
    this.dead = true;
    this.#died();
  }

  async open(path: string): Promise<OpenFile> {
    this.#alive();
    const file = await this.#files.open(path);
    return {
      size: () => this.#reading(() => file.size()),
      read: (at, length) => this.#reading(() => file.read(at, length)),
      write: (at, bytes) => this.#changing(() => file.write(at, bytes)),
      truncate: (size) => this.#changing(() => file.truncate(size)),
      sync: () => this.#changing(() => file.sync()),
      close: async () => {},
    };
  }

  list(directory: string): Promise<string[]> {
    return this.#reading(() => this.#files.list(directory));
  }

  size(path: string): Promise<number | undefined> {
    return this.#reading(() => this.#files.size(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#changing(() => this.#files.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#changing(() => this.#files.remove(path));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#changing(() => this.#files.makeDirectory(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#changing(() => this.#files.syncDirectory(path));
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    this.#alive();
    return read();
  }

  /** The last one is done, and nobody hears of it. */
  async #changing(change: () => Promise<void>): Promise<void> {
    this.#alive();
    this.operations += 1;
    await change();
    if (this.operations >= this.#last) this.die();
    this.#alive();
  }

  #alive(): void {
    if (this.dead) throw Object.assign(new Error('EIO: the process is dead'), { code: 'EIO', syscall: 'none' });
  }
}
