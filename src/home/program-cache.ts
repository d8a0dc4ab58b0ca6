/** Programs by hash: on disk as blobs, the recent ones also in memory. */
import { ByteCache } from '../lib/byte-cache.ts';
import { limits } from '../limits.ts';
import type { Blobs } from '../store/blobs.ts';

export class ProgramCache {
  readonly #blobs: Blobs;
  readonly #recent = new ByteCache(limits.programCacheBytes);

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  /** In memory, which is also proof that it is on disk. */
  get(hash: string): Uint8Array | undefined {
    return this.#recent.get(hash);
  }

  /** Whether it is on disk; then it is in memory, too. */
  async load(hash: string): Promise<boolean> {
    if (this.#recent.get(hash) !== undefined) return true;
    if (!(await this.#blobs.has(hash))) return false;
    this.#recent.add(hash, await this.#blobs.read(hash));
    return true;
  }

  /** Throws BlobFailed when the disk does not take it. */
  async keep(source: Uint8Array): Promise<void> {
    this.#recent.add(await this.#blobs.put(source), source);
  }
}
