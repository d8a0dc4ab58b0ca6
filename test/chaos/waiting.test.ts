/** A tracker and a home that are killed while 100 000 tasks wait: how soon they are back, and what runs twice. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, type Pool, type Task } from '../../src/sdk/index.ts';
import { limits } from '../../src/limits.ts';
import { TestPool } from '../e2e/pool.ts';
import { gated, Notes } from '../e2e/programs.ts';
import { until } from '../e2e/until.ts';

const WAITING = 100_000;
/** Of a machine that has time for it; a busy one is held to the processor's time that it took. */
const HOME_MS = 3_000;
const TRACKER_MS = 2_000;

let pool: TestPool;
let client: Pool;
let notes: Notes;
let running: Task<string>[];
beforeAll(async () => {
  // The home runs nothing, so that its death ends no attempt.
  pool = await TestPool.start({ peers: 3, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
  notes = new Notes(pool.folder);
  running = Array.from({ length: 4 }, (_, at) => client.submit<string>({ language: 'python', program: gated, args: [notes.path, `r-${at}`, notes.gate(`r-${at}`)], id: `r-${at}` }));
  await until('4 run', () => notes.lines().length === 4);
  const program = 'def main(x): return x';
  let last: Task | undefined;
  for (let at = 0; at < WAITING; at += 1) {
    await client.ready();
    last = client.submit({ language: 'python', program, args: [at], id: `w-${at}` });
  }
  await last!.accepted;
}, 120_000);
afterAll(() => pool.stop());

/** Time of the processor that a process has used. */
function cpuMs(pid: number): number {
  if (process.platform !== 'linux') return Number(execFileSync('ps', ['-o', 'cputime=', '-p', String(pid)], { encoding: 'utf8' }).trim().split(':').reduce((sum, part) => sum * 60 + Number(part), 0)) * 1000;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

it('a home killed with 100 000 waiting serves again within 3 s, and runs nothing twice', async () => {
  const home = pool.peers[0]!;
  await home.kill('SIGKILL');
  const since = performance.now();
  home.spawn();
  const link = await until('it serves', () => connect({ host: '127.0.0.1', port: home.port, home: pool.folder }), 60_000);
  expect((await link.status()).queue_size).toBe(WAITING);
  const [tookMs, usedMs] = [performance.now() - since, cpuMs(home.pid)];
  console.log(`the home served after ${Math.round(tookMs)} ms, of which it had the processor for ${usedMs}`);
  await link.close();
  expect(Math.min(tookMs, usedMs)).toBeLessThan(HOME_MS);
  await until('what runs was taken up again', async () => (await client.task('r-0')).state === 'running', 30_000);
  expect(notes.lines()).toHaveLength(4);
}, 90_000);

it('a tracker killed with 100 000 waiting places again within 2 s, and nothing runs twice', async () => {
  await pool.tracker.kill('SIGKILL');
  const since = performance.now();
  pool.tracker.spawn();
  // The slot that is free now is filled whether or not the tracker is back.
  notes.open('r-0');
  expect(await running[0]).toBe('r-0');
  const queued = async () => (await client.status()).queue_size;
  await until('the next one is placed from memory, or by the tracker', async () => (await queued()) < WAITING, 30_000);
  const atOnceMs = performance.now() - since;
  const left = await until('the tracker is back', async () => {
    const { tracker, queue_size: waiting } = await client.status();
    return tracker.connected ? waiting : undefined;
  }, 30_000);
  const linkedMs = performance.now() - since;
  await until('it places', async () => (await queued()) < left - 2 * limits.aheadTasksMax, 30_000);
  const backMs = performance.now() - since;
  console.log(`placed after ${Math.round(atOnceMs)} ms; the tracker was back after ${Math.round(linkedMs)} ms and had placed after ${Math.round(backMs)}`);
  expect(atOnceMs).toBeLessThan(TRACKER_MS);
  // A busy machine takes its time to start a process; from then on the tracker listens and grants.
  expect(backMs - linkedMs).toBeLessThan(TRACKER_MS);
  for (const at of [1, 2, 3]) notes.open(`r-${at}`);
  expect(await Promise.all(running)).toEqual(['r-0', 'r-1', 'r-2', 'r-3']);
  expect(notes.lines().toSorted()).toEqual([0, 1, 2, 3].flatMap((at) => [`r-${at}`, `r-${at} ended`]));
  const outcomes = await Promise.all(running.map((task) => task.outcome()));
  expect(outcomes.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
}, 120_000);
