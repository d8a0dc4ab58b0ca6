/** Several homes, peers that come later, calls of very different lengths: nobody is stuck behind somebody else. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { sleeping } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
/** The last peer is started by the test that wants a newcomer. */
const NEWCOMER = 2;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 3, slots: 2 });
  client = await pool.client(0);
});
afterAll(() => pool.stop());

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

describe('two homes', () => {
  it("ten tasks are not stuck behind another home's ten thousand", async () => {
    const greedy = await pool.client(1);
    const modest = await pool.client(0);
    const program = 'import time\ndef main(): time.sleep(0.02)';
    const many = Array.from({ length: 10_000 }, () => greedy.submit({ language: 'python', program }));
    await until('the ten thousand wait', async () => (await greedy.status()).queue_size > 9_000);
    const began = performance.now();
    const ten = await Promise.all(Array.from({ length: 10 }, () => modest.submit({ language: 'python', program: sleeping, args: [0.02] }).outcome()));
    const tookMs = performance.now() - began;
    const behind = (await greedy.status()).queue_size;
    // Not awaited one by one: they would take a minute and a half.
    await Promise.all(many.map((task) => task.cancel()));
    expect(ten.every(({ state }) => state === 'done')).toBe(true);
    expect(behind).toBeGreaterThan(5_000);
    expect(tookMs).toBeLessThan(2_000);
  });
});

describe('a peer that joins while 1 000 tasks wait', () => {
  it('has work within a second', async () => {
    const newcomer = pool.peers[NEWCOMER]!;
    await newcomer.kill('SIGKILL');
    await until('it is lost', async () => (await client.peers()).find(({ peer }) => peer === newcomer.name)?.state !== 'up');
    const tasks = Array.from({ length: 1_000 }, () => client.submit({ language: 'python', program: sleeping, args: [0.05] }));
    await until('they wait', async () => (await client.status()).queue_size > 900);
    newcomer.spawn();
    const joined = await until('it has joined', async () => (await client.peers()).some(({ peer, state }) => peer === newcomer.name && state === 'up') && performance.now());
    await until('it runs something', async () => (await client.status()).tasks.some(({ peer, state }) => peer === newcomer.name && state === 'running'), 5_000);
    const tookMs = performance.now() - joined;
    await Promise.all(tasks.map((task) => task.cancel()));
    expect(tookMs).toBeLessThan(1_000);
  });
});

describe('a function that is fast usually', () => {
  it('one call that sleeps for 5 s does not hold up the others', async () => {
    await until('all are up', async () => (await client.peers()).every(({ state, running }) => state === 'up' && running === 0));
    // The file is there for one call only, whichever comes first.
    const program = `
import os, time
def main(once):
    try:
        os.rename(once, once + ".taken")
    except FileNotFoundError:
        return "fast"
    time.sleep(5)
    return "slow"
`;
    // So that its home knows it as fast.
    const fastOnly = Array.from({ length: 300 }, () => client.submit<string>({ language: 'python', program, args: ['/nowhere/once'] }));
    await Promise.all(fastOnly);
    const once = join(pool.folder, 'once');
    writeFileSync(once, '');
    const began = performance.now();
    const ends = await Promise.all(
      Array.from({ length: 300 }, async () => ({ result: await client.submit<string>({ language: 'python', program, args: [once] }), atMs: performance.now() - began })),
    );
    const fast = ends.filter(({ result }) => result === 'fast').map(({ atMs }) => atMs);
    expect(fast).toHaveLength(299);
    expect(Math.max(...fast), `median ${median(fast)}`).toBeLessThan(2_500);
  });
});
