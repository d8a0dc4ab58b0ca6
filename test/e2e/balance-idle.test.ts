/** Three equal peers that have nothing else to do: each gets its share, and the receipt says why. */
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Outcome, Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, Notes, sleeping } from './programs.ts';
import { until } from './until.ts';

const SLOTS = 4;

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 3, slots: SLOTS });
  client = await pool.client(0);
});
afterAll(() => pool.stop());

const quick = () => client.submit({ language: 'python', program: 'def main(x): return x * x', args: [5] });
const sleep = (seconds: number, more = {}) => client.submit({ language: 'python', program: sleeping, args: [seconds], ...more });
const countBy = (outcomes: readonly Outcome[]) => Object.fromEntries(pool.peers.map(({ name }) => [name, outcomes.filter(({ peer }) => peer === name).length]));
const idle = () => until('all slots are free', async () => (await client.peers()).every(({ running, load }) => running === 0 && load === 0));

describe('three idle equal peers', () => {
  it('share 30 tasks that come one after another: each 8 to 12, the client does not choose', async () => {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < 30; at += 1) outcomes.push(await quick().outcome());
    const counts = countBy(outcomes);
    for (const count of Object.values(counts)) expect(count, JSON.stringify(counts)).toSatisfy((got: number) => got >= 8 && got <= 12);
  });

  it('start 12 sleeping tasks at once, 4 on each', async () => {
    await idle();
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => sleep(1).outcome()));
    expect(countBy(outcomes)).toEqual({ p0: SLOTS, p1: SLOTS, p2: SLOTS });
    // None waited for another to end.
    expect(Math.max(...outcomes.map(({ queuedMs }) => queuedMs))).toBeLessThan(900);
  });

  it('give none of 8 tasks to a peer whose slots are all taken', async () => {
    await idle();
    const home = await pool.client(2);
    const notes = new Notes(pool.folder, 'busy');
    // Confidential: they stay on the peer that they were submitted to.
    const holding = Array.from({ length: SLOTS }, (_, at) => home.submit({ language: 'python', program: gated, args: [notes.path, `held-${at}`, notes.gate('busy')], confidential: true }));
    await until('p2 is full', () => notes.lines().length === SLOTS);
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => sleep(1).outcome()));
    notes.open('busy');
    await Promise.all(holding);
    expect(countBy(outcomes)).toEqual({ p0: SLOTS, p1: SLOTS, p2: 0 });
  });
});

describe('a receipt', () => {
  it('names the candidates, their load and cpu_load, and what decided', async () => {
    await idle();
    const { receipt, peer } = await quick().outcome();
    expect(receipt).toMatchObject({ peer });
    expect(receipt!.candidates.map((candidate) => candidate.peer)).toContain(peer);
    for (const candidate of receipt!.candidates) {
      expect(candidate).toEqual({ peer: expect.any(String) as string, load: expect.any(Number) as number, cpu_load: expect.any(Number) as number });
      expect(candidate.cpu_load).toSatisfy((load: number) => load >= 0 && load <= 1);
    }
    expect(['load', 'cpu_load', 'rotation', 'only_one', 'ahead']).toContain(receipt!.decided);
  });

  it('accounts for every peer: the candidates, and how many were passed over and why', async () => {
    await idle();
    const notes = new Notes(pool.folder, 'receipt');
    const first = client.submit({ language: 'python', program: gated, args: [notes.path, 'a', notes.gate('receipt')] });
    await until('it runs', () => notes.count('a') === 1);
    const outcomes = [await quick().outcome(), await quick().outcome(), await quick().outcome()];
    notes.open('receipt');
    const { peer: busy } = await first.outcome();
    // One of its four slots is taken, the others are idle.
    expect(outcomes.map(({ peer }) => peer)).not.toContain(busy);
    for (const { receipt } of outcomes) {
      const passedOver = Object.values(receipt!.passed_over ?? {}).reduce((sum, count) => sum + count, 0);
      expect(receipt!.candidates.length + passedOver, JSON.stringify(receipt)).toBe(3);
    }
  });
});

async function cpuLoad(): Promise<number> {
  const { stdout } = await pool.cli(['peers', '--json']);
  return (JSON.parse(stdout) as { cpu_load: number }[])[0]!.cpu_load;
}

describe('cpu_load', () => {
  it('rises within 3 s of a program that burns the CPU, in peers --json', async () => {
    await idle();
    const before = await cpuLoad();
    const burners = Array.from({ length: 8 }, () => spawn(process.execPath, ['-e', 'for (;;) {}'], { stdio: 'ignore' }));
    try {
      // On a machine that is busy already there is less to rise.
      const wanted = Math.min(0.9, before + 0.25);
      expect(await until('cpu_load has risen', async () => (await cpuLoad()) >= wanted, 3_000)).toBe(true);
    } finally {
      for (const burner of burners) burner.kill('SIGKILL');
    }
  });
});

describe('a mixed load', () => {
  it('leaves no task waiting while a fitting slot is free', async () => {
    await idle();
    const lengths = [0.05, 0.3, 0.12, 0.6, 0.02, 0.2];
    const tasks = Array.from({ length: 120 }, (_, at) => sleep(lengths[at % lengths.length]!, at % 10 === 0 ? { memoryMb: 64 } : {}));
    const over = new AbortController();
    const all = Promise.all(tasks).finally(() => over.abort());
    const samples: { waiting: number; running: number }[] = [];
    while (!over.signal.aborted) {
      const [{ queue_size: waiting }, peers] = await Promise.all([client.status(), client.peers()]);
      samples.push({ waiting, running: peers.reduce((sum, { running }) => sum + running, 0) });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await all;
    // What the tracker tells is up to 250 ms old, five samples, so the moment between two tasks may be seen that often; two such in a row may not.
    const idleRuns = longestRun(samples.map(({ waiting, running }) => waiting > 3 * SLOTS && running < 3 * SLOTS - 2));
    expect(idleRuns, JSON.stringify(samples)).toBeLessThan(10);
    expect(samples.some(({ running }) => running === 3 * SLOTS)).toBe(true);
  });
});

function longestRun(flags: readonly boolean[]): number {
  let longest = 0;
  let run = 0;
  for (const flag of flags) {
    run = flag ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}
