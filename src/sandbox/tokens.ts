/**
 * The right to start a job that was fed ahead: its number, in a FIFO that host and guest
 * both read. Who reads a number has it, so a job that was taken back never runs and one
 * that was started is never taken back.
 *
 * Invariant: all reads and writes are multiples of 4 bytes, and a FIFO does them whole.
 */
import { closeSync, constants, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { codeOf } from './processes.ts';

/** A write up to 4 096 bytes (PIPE_BUF on Linux) is never split; half of it is plenty. */
export const TOKENS_MAX = 512;

export class Tokens {
  private readonly fd: number;

  /** Opens the guest's FIFO and removes its name: it was needed to meet. */
  constructor(path: string) {
    this.fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    rmSync(path);
  }

  /** Before the jobs themselves are sent: a guest that finds no token skips the job. */
  give(jobs: number[]): void {
    const bytes = Buffer.allocUnsafe(jobs.length * 4);
    jobs.forEach((job, index) => bytes.writeUInt32BE(job, index * 4));
    writeSync(this.fd, bytes);
  }

  /** The jobs that nobody will start any more. */
  takeAll(): number[] {
    const bytes = Buffer.allocUnsafe(TOKENS_MAX * 4);
    try {
      const size = readSync(this.fd, bytes, 0, bytes.length, null);
      return Array.from({ length: size / 4 }, (_, index) => bytes.readUInt32BE(index * 4));
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return [];
      throw error;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}
