/**
 * Which programs a worker holds, as the host knows it: the host alone decides what the
 * guest forgets, and says so in the stream of frames, so the two never differ.
 */
import { limits } from '../limits.ts';
import { dropFrame, programFrame } from './frames.ts';
import type { Job } from './types.ts';

export class HeldPrograms {
  /** In order of last use. */
  private readonly sizes = new Map<string, number>();
  private bytes = 0;

  /** The frames that must go before a job of this program. */
  framesFor(job: Job): Uint8Array[] {
    const held = this.sizes.get(job.programHash);
    if (held !== undefined) {
      this.sizes.delete(job.programHash);
      this.sizes.set(job.programHash, held);
      return [];
    }
    this.sizes.set(job.programHash, job.source.length);
    this.bytes += job.source.length;
    return [...this.drops(), programFrame(job.programHash, job.source)];
  }

  private drops(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (const [hash, size] of this.sizes) {
      if ((this.sizes.size <= limits.workerProgramsMax && this.bytes <= limits.workerProgramBytes) || this.sizes.size === 1) break;
      this.sizes.delete(hash);
      this.bytes -= size;
      frames.push(dropFrame(hash));
    }
    return frames;
  }
}
