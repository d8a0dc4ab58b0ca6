/**
 * Files on the machine's disk. Owns nothing but the translation to node:fs;
 * what must be synced, and when, is its callers' business (see files.ts).
 */
import { constants, promises as fs, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { ifMissing } from '../lib/system-errors.ts';
import type { Files, OpenFile } from './files.ts';

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** Some hundred records; a burst's groups are larger and go by a thread. */
const WRITE_AT_ONCE_BYTES = 64 * 1024;

class RealFile implements OpenFile {
  readonly #handle: fs.FileHandle;

  constructor(handle: fs.FileHandle) {
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, length - filled, at + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  /**
   * A small write only fills the page cache, in microseconds: two changes of thread would take longer than
   * it does, and everybody who waits for the flush would wait for them.
   */
  async write(at: number, bytes: Uint8Array): Promise<void> {
    let written = bytes.length <= WRITE_AT_ONCE_BYTES ? writeSync(this.#handle.fd, bytes, 0, bytes.length, at) : 0;
    while (written < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, at + written);
      written += bytesWritten;
    }
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size);
  }

  /** fdatasync: it flushes the size too, and on macOS libuv makes it F_FULLFSYNC. */
  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

export const realFiles: Files = {
  async open(path: string): Promise<OpenFile> {
    return new RealFile(await fs.open(path, constants.O_RDWR | constants.O_CREAT, FILE_MODE));
  },

  list(directory: string): Promise<string[]> {
    return fs.readdir(directory);
  },

  async size(path: string): Promise<number | undefined> {
    return (await fs.stat(path).catch(ifMissing(undefined)))?.size;
  },

  rename(from: string, to: string): Promise<void> {
    return fs.rename(from, to);
  },

  remove(path: string): Promise<void> {
    return fs.unlink(path);
  },

  /** A new folder's name is synced in its parent, or its files could vanish with it. */
  async makeDirectory(path: string): Promise<void> {
    const first = await fs.mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made)) {
      await this.syncDirectory(dirname(made));
    }
  },

  async syncDirectory(path: string): Promise<void> {
    const handle = await fs.open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
