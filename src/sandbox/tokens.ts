/**
 * The right to start a job that was fed ahead: its number, in a FIFO that host and guest
 * both read. Who reads a number has it, so a job that was taken back never runs and one
 * that was started is never taken back.
 *
 * The host makes the FIFO and the guest gets it open: nothing that a guest made is ever opened here.
 *
 * Invariant: all reads and writes of the host are multiples of 4 bytes, and a FIFO does them whole.
 */
import { execFile, execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '../lib/system-errors.ts';

/** A write up to 4 096 bytes (PIPE_BUF on Linux) is never split; half of it is plenty. */
export const TOKENS_MAX = 512;
/** Node makes no FIFO itself, so another program does, some at a time, before they are needed. */
const STOCK = 8;
const MODE = ['-m', '600'];
/** It is the system's; a peer may be started with a path on which nothing is. */
const MAKER = { env: { PATH: `${process.env['PATH'] ?? ''}:/usr/bin:/bin` } };

export class Tokens {
  /** For the guest, at its start. */
  readonly fd: number;

  /** Opens the FIFO and removes its name: nobody else is to find it. */
  constructor(path: string) {
    // Both read-write, so that an empty FIFO says "nothing there" and never "closed".
    this.fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    rmSync(path);
  }

  /**
   * Before the jobs themselves are sent: a guest that finds no token skips the job.
   * @returns false when a task filled the FIFO
   */
  give(jobs: number[]): boolean {
    const bytes = Buffer.allocUnsafe(jobs.length * 4);
    jobs.forEach((job, index) => bytes.writeUInt32BE(job, index * 4));
    try {
      return writeSync(this.fd, bytes) === bytes.length;
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return false;
      throw error;
    }
  }

  /** The jobs that nobody will start any more; what a task wrote there may be among them. */
  takeAll(): number[] {
    const bytes = Buffer.allocUnsafe(TOKENS_MAX * 4);
    try {
      const size = readSync(this.fd, bytes, 0, bytes.length, null);
      return Array.from({ length: Math.floor(size / 4) }, (_, index) => bytes.readUInt32BE(index * 4));
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return [];
      throw error;
    }
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** FIFOs that wait for a worker. */
export class TokenStock {
  private readonly folder: string;
  private ready: string[] = [];
  private made = 0;
  private making: Promise<void> | null = null;

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(): Promise<void> {
    await this.fill();
  }

  /** @throws Error when none can be made */
  take(): Tokens {
    for (let path = this.ready.pop(); path !== undefined; path = this.ready.pop()) {
      // Somebody may have removed the folder under us.
      if (!existsSync(path)) continue;
      if (this.ready.length < STOCK / 2) this.making ??= this.fill().finally(() => (this.making = null));
      return new Tokens(path);
    }
    const path = this.nextPath();
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    execFileSync('mkfifo', [...MODE, path], { ...MAKER, stdio: 'pipe' });
    return new Tokens(path);
  }

  /** Nothing is made any more when it is done. */
  async stop(): Promise<void> {
    await this.making;
  }

  private async fill(): Promise<void> {
    const paths = Array.from({ length: STOCK }, () => this.nextPath());
    try {
      await promisify(execFile)('mkfifo', [...MODE, ...paths], MAKER);
      this.ready.push(...paths);
    } catch {
      // A full disk, or a folder that is gone: who takes one is told.
    }
  }

  private nextPath(): string {
    this.made += 1;
    return join(this.folder, `tokens-${this.made}`);
  }
}
