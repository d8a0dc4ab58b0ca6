/** Programs by hash: on disk as blobs, the recent ones also in memory. */
import { limits } from '../limits.ts';
import type { Blobs } from '../store/blobs.ts';

export class ProgramCache {
  readonly #blobs: Blobs;
  readonly #recent = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  /** In memory, which is also proof that it is on disk. */
  get(hash: string): Uint8Array | undefined {
    return this.#recent.get(hash);
  }

  /** Whether it is on disk; then it is in memory, too. */
  async load(hash: string): Promise<boolean> {
    if (this.#recent.has(hash)) return true;
    if (!(await this.#blobs.has(hash))) return false;
    this.#remember(hash, await this.#blobs.read(hash));
    return true;
  }

  /** Throws BlobFailed when the disk does not take it. */
  async keep(source: Uint8Array): Promise<void> {
    this.#remember(await this.#blobs.put(source), source);
  }

  #remember(hash: string, source: Uint8Array): void {
    if (this.#recent.has(hash)) return;
    this.#recent.set(hash, source);
    this.#bytes += source.length;
    for (const [oldest, bytes] of this.#recent) {
      if (this.#bytes <= limits.programCacheBytes || oldest === hash) break;
      this.#recent.delete(oldest);
      this.#bytes -= bytes.length;
    }
  }
}
