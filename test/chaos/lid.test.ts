/**
 * A laptop that is closed and opened again: a runner and a home that are frozen, mostly for longer than silence is borne.
 * Nothing changes after that; `npm run chaos -- --pause-max 300 --window 900` closes it for five minutes.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from '../../src/sdk/index.ts';
import { limits } from '../../src/limits.ts';
import { TestPool } from '../e2e/pool.ts';
import { gated, Notes } from '../e2e/programs.ts';
import { until } from '../e2e/until.ts';

const CLOSED_MS = limits.silenceMs + 4_000;

let pool: TestPool;
let client: Pool;
let notes: Notes;
let runs = 0;
beforeAll(async () => {
  // The home runs nothing itself.
  pool = await TestPool.start({ peers: 3, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
});
afterAll(() => pool.stop());
beforeEach(() => {
  runs += 1;
  notes = new Notes(pool.folder, `notes-${runs}`);
});

const submit = (name: string, more: { once?: boolean } = {}) => client.submit<string>({ language: 'python', program: gated, args: [notes.path, name, notes.gate(`${runs}-go`)], id: `${name}-${runs}`, ...more });
/** A number that other types do not know. */
const staleResults = async () => (JSON.parse(await client.askText({ what: 'status' })) as { stale_results: number }).stale_results;

it('a home frozen while its tasks end takes their results on waking, and runs nothing again', async () => {
  const home = pool.peers[0]!;
  const names = ['a', 'b', 'c', 'd'];
  const tasks = names.map((name) => submit(name));
  await until('4 run', () => notes.lines().length === 4);
  await home.kill('SIGSTOP');
  notes.open(`${runs}-go`);
  await until('they have ended', () => notes.lines().length === 8);
  await sleep(CLOSED_MS);
  await home.kill('SIGCONT');
  expect(await Promise.all(tasks)).toEqual(names);
  const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
  expect(outcomes.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
  expect(notes.lines().toSorted()).toEqual(names.flatMap((name) => [name, `${name} ended`]));
}, 90_000);

it('a runner frozen for a while delivers on waking what ended in it, if that is still current', async () => {
  const tasks = ['a', 'b', 'c', 'd'].map((name) => submit(name));
  await until('4 run', () => notes.lines().length === 4);
  const runner = pool.peers[1]!;
  await runner.kill('SIGSTOP');
  // Its workers are processes of their own, and end.
  notes.open(`${runs}-go`);
  await until('all have ended', () => notes.lines().length === 8);
  await sleep(5_000);
  await runner.kill('SIGCONT');
  const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
  expect(outcomes.map(({ state, attempt }) => `${state} ${attempt}`)).toEqual(['done 1', 'done 1', 'done 1', 'done 1']);
  expect(notes.lines()).toHaveLength(8);
}, 60_000);

it('a runner frozen for longer than silence is borne: what it held runs elsewhere, a once task ends unknown, its late results are refused', async () => {
  const before = await staleResults();
  const tasks = ['a', 'b', 'c'].map((name) => submit(name));
  const once = submit('once', { once: true });
  await until('4 run', () => notes.lines().length === 4);
  const placed = await Promise.all([...tasks, once].map(async ({ id }) => (await client.task(id)).peer));
  const frozen = pool.peers.find(({ name }) => name === placed[3])!;
  const held = placed.filter((peer) => peer === frozen.name).length;
  await frozen.kill('SIGSTOP');
  notes.open(`${runs}-go`);
  const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
  expect(outcomes.map(({ state }) => state)).toEqual(['done', 'done', 'done']);
  expect(outcomes.map(({ attempt }) => attempt).toSorted()).toEqual([...Array.from({ length: 4 - held }, () => 1), ...Array.from({ length: held - 1 }, () => 2)]);
  expect((await once.outcome()).state).toBe('unknown');
  await frozen.kill('SIGCONT');
  // It tells them on the next link, which the home makes when it has work for it again.
  const next = () => client.submit({ language: 'python', program: 'def main(): return 1' }).outcome();
  await until('it is given work again', async () => (await Promise.all([next(), next(), next()])).some(({ peer }) => peer === frozen.name), 30_000);
  await until('its late results are refused', async () => (await staleResults()) > before, 30_000);
  const again = await Promise.all([...tasks, once].map(async (task) => (await client.task(task.id)).state));
  expect(again).toEqual(['done', 'done', 'done', 'unknown']);
  // Each ran once, and what was lost once more; the once task no more than once.
  expect(notes.lines().filter((line) => !line.endsWith('ended'))).toHaveLength(4 + held - 1);
  expect(notes.count('once')).toBe(1);
}, 120_000);
