/**
 * One process per store. Owns the files store.lock and store.pid in its folder.
 *
 * The lock is one that the kernel holds (fcntl, by way of an SQLite transaction on
 * an empty database), because:
 * - it ends with its holder, also by SIGKILL or a power cut: nothing is ever stale,
 *   nothing has to be cleaned up, and so no two processes can race to do that;
 * - it does not guess from a process id, which is reused, and which means another
 *   process in another container that shares the folder;
 * - it belongs to the folder: a socket's path is too long in a deep one, and an
 *   abstract socket is seen in its own network namespace only and not on macOS.
 * Node itself offers no file locks; libsql is here for the history anyway.
 *
 * The kernel drops fcntl locks when the process closes *any* descriptor of that
 * file: nobody in this process may open store.lock but this class.
 * store.pid is only what the refusal says.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from '../lib/system-errors.ts';
import Database from 'libsql';
import { StoreInUse } from './store-errors.ts';

/** Keeps held locks reachable: a collected database would let go of its lock. */
const held = new Set<StoreLock>();

export class StoreLock {
  readonly #directory: string;
  #database: Database.Database | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Creates the folder if needed. Throws StoreInUse if any process, this one too, holds the store. */
  acquire(): void {
    if (this.#database !== undefined) throw new StoreInUse(this.#directory, process.pid);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const path = join(this.#directory, 'store.lock');
    const database = new Database(path, { timeout: 0 });
    try {
      chmodSync(path, 0o600);
      // In memory, since the only transaction never writes.
      database.exec('PRAGMA journal_mode = MEMORY');
      database.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      if (isBusy(error)) throw new StoreInUse(this.#directory, this.#holder());
      throw error;
    }
    this.#database = database;
    held.add(this);
    try {
      writeFileSync(this.#pidPath(), `${process.pid}\n`, { mode: 0o600 });
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Does nothing if the lock is not held. */
  release(): void {
    if (this.#database === undefined) return;
    rmSync(this.#pidPath(), { force: true });
    this.#database.close();
    this.#database = undefined;
    held.delete(this);
  }

  /** The holder's process id; undefined while it has not been written. */
  #holder(): number | undefined {
    let text: string;
    try {
      text = readFileSync(this.#pidPath(), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const pid = Number(text);
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  }

  #pidPath(): string {
    return join(this.#directory, 'store.pid');
  }
}

function isBusy(error: unknown): boolean {
  return codeOf(error) === 'SQLITE_BUSY';
}
