/**
 * A disk in memory that is as unkind as `Files` allows, and the same for the same seed.
 *
 * - `crash()`: of what was not synced, each file keeps nothing, all, a prefix that
 *   ends at any byte, or any of its sectors, the lost ones zero; each folder keeps
 *   a prefix of its changed names. Open files are dead afterwards.
 * - a failed sync keeps any part of the bytes and forgets that the rest is unsynced,
 *   as Linux does: later syncs succeed without them, and reads still show them.
 * - `flip()` changes a bit that was on disk.
 */
import { basename, dirname, join } from 'node:path';
import { Prng } from '../../src/lib/prng.ts';
import type { Files, OpenFile } from '../../src/store/files.ts';

const SECTOR_BYTES = 512;

type Change = { kind: 'write'; at: number; bytes: Buffer } | { kind: 'truncate'; size: number };
interface Content {
  seen: Buffer;
  durable: Buffer;
  unsynced: Change[];
}
type Names = Map<string, Content>;
interface Folder {
  seen: Names;
  durable: Names;
  unsynced: ((names: Names) => void)[];
}

export type FaultyOperation = 'write' | 'sync' | 'syncDirectory';

export class SimFiles implements Files {
  readonly #random: Prng;
  readonly #folders = new Map<string, Folder>();
  #epoch = 0;
  #fault: { operation: FaultyOperation; code: string; skip: number } | undefined;
  /** Finished operations, by name: tests use it to see what a flush costs. */
  readonly counts: Record<FaultyOperation, number> = { write: 0, sync: 0, syncDirectory: 0 };

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  /** Lets the operation fail once, after `skip` more of its kind succeeded. */
  failNext(operation: FaultyOperation, code: 'ENOSPC' | 'EIO', skip = 0): void {
    this.#fault = { operation, code, skip };
  }

  /** Takes a fault back that has not struck. */
  heal(): void {
    this.#fault = undefined;
  }

  crash(): void {
    this.#epoch += 1;
    this.#fault = undefined;
    for (const folder of this.#folders.values()) {
      const kept = this.#random.below(folder.unsynced.length + 1);
      for (const change of folder.unsynced.slice(0, kept)) change(folder.durable);
      folder.unsynced = [];
      folder.seen = new Map(folder.durable);
      for (const content of folder.seen.values()) this.#settle(content);
    }
  }

  flip(path: string, byte: number, bit: number): void {
    const content = this.#content(path);
    for (const image of new Set([content.seen, content.durable])) image[byte] = (image[byte] ?? 0) ^ (1 << bit);
  }

  /** Files in a folder, by name. */
  pathsIn(folder: string): string[] {
    return [...(this.#folders.get(folder)?.seen.keys() ?? [])].toSorted().map((name) => join(folder, name));
  }

  /** Bytes as a reader sees them now. */
  bytes(path: string): Buffer {
    return Buffer.from(this.#content(path).seen);
  }

  /** Sets a file's bytes, as if they had always been on disk. */
  put(path: string, bytes: Uint8Array): void {
    const folder = this.#folder(dirname(path));
    const content = { seen: Buffer.from(bytes), durable: Buffer.from(bytes), unsynced: [] };
    folder.seen.set(basename(path), content);
    folder.durable.set(basename(path), content);
  }

  async open(path: string): Promise<OpenFile> {
    const folder = this.#folder(dirname(path));
    const name = basename(path);
    let content = folder.seen.get(name);
    if (content === undefined) {
      const made: Content = { seen: Buffer.alloc(0), durable: Buffer.alloc(0), unsynced: [] };
      content = made;
      rename(folder, (names) => names.set(name, made));
    }
    return this.#handle(content);
  }

  async list(directory: string): Promise<string[]> {
    const inside = [...this.#folders.keys()].filter((path) => path !== directory && dirname(path) === directory);
    return [...this.#folder(directory).seen.keys(), ...inside.map((path) => basename(path))];
  }

  async size(path: string): Promise<number | undefined> {
    return this.#folders.get(dirname(path))?.seen.get(basename(path))?.seen.length;
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.#content(from);
    if (dirname(from) !== dirname(to)) throw failure('EXDEV', 'the simulated disk renames inside a folder only');
    rename(this.#folder(dirname(to)), (names) => {
      names.delete(basename(from));
      names.set(basename(to), content);
    });
  }

  async remove(path: string): Promise<void> {
    this.#content(path);
    rename(this.#folder(dirname(path)), (names) => names.delete(basename(path)));
  }

  async makeDirectory(path: string): Promise<void> {
    for (let made = path; !this.#folders.has(made); made = dirname(made)) {
      this.#folders.set(made, { seen: new Map(), durable: new Map(), unsynced: [] });
    }
  }

  async syncDirectory(path: string): Promise<void> {
    const folder = this.#folder(path);
    this.#mayFail('syncDirectory');
    for (const change of folder.unsynced) change(folder.durable);
    folder.unsynced = [];
  }

  #handle(content: Content): OpenFile {
    const epoch = this.#epoch;
    const alive = (): void => {
      if (epoch !== this.#epoch) throw failure('EBADF', 'the file was open when the machine crashed');
    };
    return {
      size: async () => {
        alive();
        return content.seen.length;
      },
      read: async (at, length) => {
        alive();
        return Buffer.from(content.seen.subarray(at, at + length));
      },
      write: async (at, bytes) => {
        alive();
        try {
          this.#mayFail('write');
        } catch (error) {
          this.#change(content, { kind: 'write', at, bytes: Buffer.from(bytes.subarray(0, this.#random.below(bytes.length + 1))) });
          throw error;
        }
        this.#change(content, { kind: 'write', at, bytes: Buffer.from(bytes) });
      },
      truncate: async (size) => {
        alive();
        this.#change(content, { kind: 'truncate', size });
      },
      sync: async () => {
        alive();
        try {
          this.#mayFail('sync');
        } catch (error) {
          this.#lose(content);
          throw error;
        }
        for (const change of content.unsynced) content.durable = applied(content.durable, change);
        content.unsynced = [];
      },
      close: async () => {},
    };
  }

  #change(content: Content, change: Change): void {
    content.seen = applied(content.seen, change);
    content.unsynced.push(change);
  }

  /** What a power cut leaves of a file. */
  #settle(content: Content): void {
    this.#lose(content);
    content.seen = Buffer.from(content.durable);
  }

  #lose(content: Content): void {
    const changes = content.unsynced;
    content.unsynced = [];
    const way = this.#random.below(4);
    if (way === 0) return;
    const whole = way === 1 ? changes.length : this.#random.below(changes.length + 1);
    for (const change of changes.slice(0, whole)) content.durable = applied(content.durable, change);
    const torn = changes[whole];
    if (torn === undefined || torn.kind === 'truncate') return;
    if (way === 2) content.durable = applied(content.durable, { ...torn, bytes: torn.bytes.subarray(0, this.#random.below(torn.bytes.length + 1)) });
    else this.#keepSectors(content, torn.at, torn.bytes);
  }

  #keepSectors(content: Content, at: number, bytes: Buffer): void {
    if (this.#random.below(2) === 0) content.durable = applied(content.durable, { kind: 'write', at: at + bytes.length, bytes: Buffer.alloc(0) });
    for (let from = 0; from < bytes.length; ) {
      const to = Math.min(bytes.length, (Math.floor((at + from) / SECTOR_BYTES) + 1) * SECTOR_BYTES - at);
      if (this.#random.below(2) === 0) content.durable = applied(content.durable, { kind: 'write', at: at + from, bytes: bytes.subarray(from, to) });
      from = to;
    }
  }

  #mayFail(operation: FaultyOperation): void {
    const fault = this.#fault;
    if (fault?.operation === operation) {
      if (fault.skip === 0) {
        this.#fault = undefined;
        throw failure(fault.code, `${operation} failed on purpose`);
      }
      fault.skip -= 1;
    }
    this.counts[operation] += 1;
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(path);
    if (folder === undefined) throw failure('ENOENT', `no folder ${path}`);
    return folder;
  }

  #content(path: string): Content {
    const content = this.#folder(dirname(path)).seen.get(basename(path));
    if (content === undefined) throw failure('ENOENT', `no file ${path}`);
    return content;
  }
}

function rename(folder: Folder, change: (names: Names) => void): void {
  change(folder.seen);
  folder.unsynced.push(change);
}

/** The image after the change. Grows with zeros, as a file does. */
function applied(image: Buffer, change: Change): Buffer {
  if (change.kind === 'truncate') {
    const cut = Buffer.alloc(change.size);
    image.copy(cut);
    return cut;
  }
  const result = Buffer.alloc(Math.max(image.length, change.at + change.bytes.length));
  image.copy(result);
  change.bytes.copy(result, change.at);
  return result;
}

function failure(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
