/**
 * Values too large for a journal record: files named by the SHA-256 of their
 * bytes, `blobs/ab/ab12…`. Owns that folder; which values are still needed is its
 * caller's business.
 *
 * Invariants:
 * 1. When `put` has resolved, the value and its name are on disk: a record that
 *    names it may be written.
 * 2. What `read` gives has the hash that was asked for.
 * 3. A value's own name never holds part of it: it is written under another name
 *    and renamed when it is on disk.
 * 4. While a value is being removed, nobody is told that it is there.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Files } from './files.ts';
import { BlobDamaged, BlobFailed } from './store-errors.ts';

const HASH = /^[0-9a-f]{64}$/;
const TEMPORARY = '.part';

export interface BlobEntry {
  hash: string;
  bytes: number;
}

export class Blobs {
  readonly #files: Files;
  readonly #directory: string;
  readonly #onKept: (hash: string) => void;
  /** Known to be on disk, name included, since this process wrote or checked them. */
  readonly #kept = new Set<string>();
  readonly #writing = new Map<string, Promise<void>>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #folders = new Map<string, Promise<void>>();

  /** @param onKept is told of every value that is put, new or not */
  constructor(files: Files, directory: string, onKept: (hash: string) => void = () => {}) {
    this.#files = files;
    this.#directory = directory;
    this.#onKept = onKept;
  }

  /** Makes the folder and removes what interrupted writes left. */
  async start(): Promise<void> {
    await this.#files.makeDirectory(this.#directory);
    for (const path of await this.#paths()) if (path.endsWith(TEMPORARY)) await this.#files.remove(path);
  }

  async has(hash: string): Promise<boolean> {
    await this.#removing.get(hash);
    return this.#kept.has(hash) || (await this.#files.size(this.#path(hash))) !== undefined;
  }

  /** Keeps the value and resolves with its hash. Throws BlobFailed if the disk does. */
  async put(bytes: Uint8Array): Promise<string> {
    const hash = hashOf(bytes);
    await this.#removing.get(hash);
    this.#onKept(hash);
    if (this.#kept.has(hash)) return hash;
    let writing = this.#writing.get(hash);
    if (writing === undefined) {
      writing = this.#keep(hash, bytes).finally(() => this.#writing.delete(hash));
      this.#writing.set(hash, writing);
    }
    await writing;
    return hash;
  }

  /** Throws BlobDamaged if the value is missing or has changed. */
  async read(hash: string): Promise<Buffer> {
    const path = this.#path(hash);
    const size = await this.#files.size(path);
    if (size === undefined) throw new BlobDamaged(hash, path, 'missing');
    const bytes = await this.#content(path, size);
    if (hashOf(bytes) !== hash) {
      this.#kept.delete(hash);
      throw new BlobDamaged(hash, path, 'damaged');
    }
    return bytes;
  }

  /** Does nothing if there is no such value, or if somebody is just keeping it. */
  async remove(hash: string): Promise<void> {
    const path = this.#path(hash);
    let removing = this.#removing.get(hash);
    if (removing !== undefined) return removing;
    if (this.#writing.has(hash)) return;
    this.#kept.delete(hash);
    removing = this.#unlink(path).finally(() => this.#removing.delete(hash));
    this.#removing.set(hash, removing);
    await removing;
  }

  /** Names of all values, in no order. */
  async hashes(): Promise<string[]> {
    return (await this.#paths()).map((path) => path.slice(-64)).filter((name) => HASH.test(name));
  }

  /** All values with their sizes, in no order. */
  async list(): Promise<BlobEntry[]> {
    const entries: BlobEntry[] = [];
    for (const path of await this.#paths()) {
      const hash = path.slice(-64);
      const bytes = HASH.test(hash) ? await this.#files.size(path) : undefined;
      if (bytes !== undefined) entries.push({ hash, bytes });
    }
    return entries;
  }

  async #unlink(path: string): Promise<void> {
    if ((await this.#files.size(path)) !== undefined) await this.#files.remove(path);
  }

  async #keep(hash: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(hash);
    const folder = join(this.#directory, hash.slice(0, 2));
    try {
      await this.#folder(folder);
      if (!(await this.#holds(path, hash, bytes.length))) await this.#write(path, bytes);
      await this.#files.syncDirectory(folder);
    } catch (error) {
      throw new BlobFailed(hash, error);
    }
    this.#kept.add(hash);
  }

  /** A value from an earlier process is written again if it is not whole. */
  async #holds(path: string, hash: string, size: number): Promise<boolean> {
    if ((await this.#files.size(path)) !== size) return false;
    return hashOf(await this.#content(path, size)) === hash;
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = path + TEMPORARY;
    const file = await this.#files.open(temporary);
    try {
      await file.truncate(0);
      await file.write(0, bytes);
      await file.sync();
    } catch (error) {
      // The part of a value that was too large for the disk would leave no room for the journal.
      await file.truncate(0).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
    await this.#files.rename(temporary, path);
  }

  async #content(path: string, size: number): Promise<Buffer> {
    const file = await this.#files.open(path);
    try {
      return await file.read(0, size);
    } finally {
      await file.close();
    }
  }

  /** Once per process: an earlier one may have been killed before the folder's name was on disk. */
  #folder(path: string): Promise<void> {
    let made = this.#folders.get(path);
    if (made === undefined) {
      made = this.#files.makeDirectory(path).then(() => this.#files.syncDirectory(this.#directory));
      this.#folders.set(path, made);
      made.catch(() => this.#folders.delete(path));
    }
    return made;
  }

  async #paths(): Promise<string[]> {
    const paths: string[] = [];
    for (const folder of await this.#files.list(this.#directory)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const name of await this.#files.list(join(this.#directory, folder))) paths.push(join(this.#directory, folder, name));
    }
    return paths;
  }

  #path(hash: string): string {
    if (!HASH.test(hash)) throw new TypeError(`not a SHA-256 in hexadecimal: ${hash.slice(0, 80)}`);
    return join(this.#directory, hash.slice(0, 2), hash);
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
