/**
 * "Accepted" and outcomes leave the home only when the disk has them: its system calls are traced, and the
 * flush is held up, so that what depends on it must come late.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, Notes } from './programs.ts';
import { until } from './until.ts';

/** Needs Linux, strace, and the right to trace a process of the same user. */
const canTrace = process.platform === 'linux' && spawnSync('strace', ['-o', '/dev/null', '-e', 'inject=fdatasync:delay_exit=1', 'true']).status === 0;

let pool: TestPool;
let client: Pool;
let tracer: ChildProcess | undefined;
beforeAll(async () => {
  if (!canTrace) return;
  pool = await TestPool.start({ peers: 2, slots: 1, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
});
afterEach(async () => {
  await detach();
  await pool?.peers[1]!.kill('SIGCONT');
});
afterAll(() => pool?.stop());

/** The home runs on, unhindered. */
async function detach(): Promise<void> {
  if (tracer === undefined) return;
  const exited = once(tracer, 'exit');
  tracer.kill('SIGINT');
  tracer = undefined;
  await exited;
}

const HOLD_MS = 400;
const program = 'import time\ndef main(): return time.time()';
/** Seconds since 1970, as strace and Python tell them. */
const now = () => Date.now() / 1000;

interface Call {
  readonly name: string;
  /** Of the file, socket or pipe it was about. */
  readonly target: string;
  readonly enteredAt: number;
  readonly returnedAt: number;
  readonly result: string;
}

/** Traces the home; resolves when it is attached. */
async function trace(path: string, ...more: string[]): Promise<void> {
  const { pid } = pool.peers[0]!;
  tracer = spawn('strace', ['-f', '-yy', '-ttt', '-T', '-e', 'trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg', ...more, '-o', path, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  tracer.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until('strace is attached', () => said.includes('attached'));
}

/** What strace wrote: calls that were interrupted by those of another thread are joined. */
function calls(path: string): Call[] {
  const open = new Map<string, { name: string; target: string; enteredAt: number }>();
  const found: Call[] = [];
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const whole = /^(\d+) +([\d.]+) (\w+)\(\d+<((?:->|[^<>])*)>.*? = (-?\d+|\?).*<([\d.]+)>$/.exec(line);
    const begun = /^(\d+) +([\d.]+) (\w+)\(\d+<((?:->|[^<>])*)>.*<unfinished/.exec(line);
    const ended = /^(\d+) +([\d.]+) <\.\.\. (\w+) resumed>.* = (-?\d+|\?).*<[\d.]+>$/.exec(line);
    if (begun !== null) open.set(begun[1]!, { name: begun[3]!, target: begun[4]!, enteredAt: Number(begun[2]) });
    else if (ended !== null) {
      const start = open.get(ended[1]!);
      if (start !== undefined) found.push({ ...start, returnedAt: Number(ended[2]), result: ended[4]! });
      open.delete(ended[1]!);
    } else if (whole !== null) {
      const enteredAt = Number(whole[2]);
      // What strace measured does not hold what strace itself held up.
      const heldS = line.includes('(DELAYED)') ? HOLD_MS / 1000 : 0;
      found.push({ name: whole[3]!, target: whole[4]!, enteredAt, returnedAt: enteredAt + Number(whole[6]) + heldS, result: whole[5]! });
    }
  }
  return found;
}

describe.skipIf(!canTrace)('on the disk', () => {
  it('before "accepted" leaves: journal written, fdatasync returned, then the socket', async () => {
    // The program is known to the home, so that nothing but the acceptance is said.
    await client.submit({ language: 'python', program });
    const path = join(pool.folder, 'trace-accepted');
    await trace(path, '-e', `inject=fdatasync:delay_exit=${HOLD_MS * 1000}`);
    // Nothing can run it, so nothing is said of it but that it was accepted.
    await pool.peers[1]!.kill('SIGSTOP');
    const submittedAt = now();
    await client.submit({ language: 'python', program, waitMs: 60_000 }).accepted;
    const acceptedAt = now();
    await pool.peers[1]!.kill('SIGCONT');
    const seen = await until('the flush and what was told were traced', () => {
      const all = calls(path).filter(({ enteredAt }) => enteredAt >= submittedAt);
      const written = all.find(({ name, target }) => /write/.test(name) && target.includes('/p0/journal/'));
      const flushed = written && all.find(({ name, target, enteredAt }) => name === 'fdatasync' && target === written.target && enteredAt >= written.returnedAt);
      const told = flushed && all.find(({ name, target, enteredAt }) => /send|write/.test(name) && target.includes(`:${pool.peers[0]!.port}->`) && enteredAt >= flushed.returnedAt);
      return flushed && told && { flushed, told };
    });
    expect(seen.flushed.result).toBe('0');
    // The clock of this process has milliseconds only.
    expect(seen.told.enteredAt).toBeLessThan(acceptedAt + 0.001);
    expect(acceptedAt - submittedAt).toBeGreaterThan(HOLD_MS / 1000);
  });

  it('before an outcome is seen', async () => {
    await trace(join(pool.folder, 'trace-outcome'), '-e', `inject=fdatasync:delay_exit=${HOLD_MS * 1000}`);
    const ranAt = await client.submit<number>({ language: 'python', program });
    expect(now() - ranAt).toBeGreaterThan(HOLD_MS / 1000);
  });

  it('before a task that may run only once is sent to its runner', async () => {
    await trace(join(pool.folder, 'trace-once'), '-e', `inject=fdatasync:delay_exit=${HOLD_MS * 1000}`);
    const submittedAt = now();
    // A repeatable one may be on its way before.
    expect((await client.submit<number>({ language: 'python', program, once: true })) - submittedAt).toBeGreaterThan(HOLD_MS / 1000);
  });

  it('or it is not accepted: a flush that failed is answered, and later ones work again', async () => {
    await trace(join(pool.folder, 'trace-failed'), '-e', 'inject=fdatasync:error=EIO');
    await expect(client.submit({ language: 'python', program, id: 'unflushed' })).rejects.toMatchObject({ code: 'store_failed' });
    // The same again is no task of that home either, though it has it in memory.
    await expect((await pool.client()).submit({ language: 'python', program, id: 'unflushed' })).rejects.toMatchObject({ code: 'store_failed' });
    await detach();
    const later = await pool.client();
    await until('it accepts again', async () => (await later.submit({ language: 'python', program })) !== undefined);
  });

  it('or it is not seen: what ends while nothing can be recorded ends when it can', async () => {
    const notes = new Notes(pool.folder);
    const task = client.submit({ language: 'python', program: gated, args: [notes.path, 'x', notes.gate('x')] });
    await until('it runs', () => notes.count('x') === 1);
    await trace(join(pool.folder, 'trace-unseen'), '-e', 'inject=fdatasync:error=EIO');
    await expect(client.submit({ language: 'python', program })).rejects.toMatchObject({ code: 'store_failed' });
    notes.open('x');
    await until('it has ended', () => notes.count('x ended') === 1);
    const other = await pool.client();
    expect(await other.task(task.id)).toMatchObject({ state: 'running' });
    await detach();
    expect(await task.outcome()).toMatchObject({ state: 'done', attempt: 1, resultJson: '"x"' });
    expect(notes.count('x')).toBe(1);
  });
});
