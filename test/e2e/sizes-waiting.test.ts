/** Many waiting tasks cost their home little memory, and stay whole. */
import { existsSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Task } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';

const WAITING = 100_000;
const MEMORY_MB = 400;

let pool: TestPool;
beforeAll(async () => {
  // Nobody runs anything; without a tracker a home does not know whether somebody ever will.
  pool = await TestPool.start({ peers: 1, slots: 0, tracker: false });
});
afterAll(() => pool.stop());

/** Resident memory of a process. */
function residentMb(pid: number): number {
  if (existsSync('/proc/self/status')) return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) / 1024;
}

it(`${WAITING} waiting tasks cost less than ${MEMORY_MB} MB in the home, and are all there after it was killed`, async () => {
  const client = await pool.client();
  const { pid } = pool.peers[0]!;
  const before = residentMb(pid);
  const program = 'def main(x, y): return x + y';
  let last: Task | undefined;
  for (let at = 0; at < WAITING; at += 1) {
    await client.ready();
    last = client.submit({ language: 'python', program, args: [at, 'some text'] });
  }
  await last!.accepted;
  expect((await client.status()).queue_size).toBe(WAITING);
  const cost = residentMb(pid) - before;
  expect(cost).toBeLessThan(MEMORY_MB);
  await pool.peers[0]!.restart();
  const again = await pool.client();
  expect((await again.status()).queue_size).toBe(WAITING);
  expect(residentMb(pool.peers[0]!.pid)).toBeLessThan(MEMORY_MB + before);
  expect(await again.task(last!.id)).toMatchObject({ state: 'queued', waiting_for: expect.stringContaining('no slots') as string });
});
