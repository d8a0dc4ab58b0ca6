/**
 * How fast the output of all workers of a peer is read, so that one that floods does not take the peer's
 * own core from the others.
 *
 * A stream that is over the measure is left alone until the next turn: its process waits in its write for
 * a few milliseconds, never for a home or a reader. Whose output is whose stays as output.ts says, because
 * a worker holds back only what can be one job's (see worker.ts) and reads what it held before an answer.
 */
import type { Readable } from 'node:stream';
import { limits } from '../limits.ts';

const TURN_MS = 10;
const TURN_BYTES = (limits.outputReadBytesPerS * TURN_MS) / 1000;

export class Pace {
  private left = TURN_BYTES;
  private timer: NodeJS.Timeout | null = null;
  private readonly waiting = new Set<Readable>();

  /** So many bytes were read from the stream. If it `mayWait` and is over the measure it is paused until the next turn: then true. */
  took(stream: Readable, bytes: number, mayWait: boolean): boolean {
    this.left -= bytes;
    this.timer ??= setTimeout(() => this.turn(), TURN_MS);
    if (this.left > 0 || !mayWait) return false;
    stream.pause();
    this.waiting.add(stream);
    return true;
  }

  private turn(): void {
    this.timer = null;
    this.left = TURN_BYTES;
    const streams = [...this.waiting];
    this.waiting.clear();
    for (const stream of streams) stream.resume();
  }
}
