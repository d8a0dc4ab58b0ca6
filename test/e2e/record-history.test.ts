/** History: every task once, newest first, by each filter, and after a restart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HistoryRow, Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
let between: Date;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 2, slots: 1, peerArgs: (at) => (at === 0 ? ['--slots', '1'] : []) });
  client = await pool.client();
  const run = async (id: string, program: string, more = {}) => client.submit({ language: 'python', program, id, ...more }).outcome();
  for (let at = 0; at < 6; at += 1) await run(`early-${at}`, 'def main(): return 1');
  await run('early-failed', 'def main(): raise ValueError("no")');
  between = new Date();
  await run('late-own', 'def main(): return 1', { confidential: true });
  await run('late-failed', 'def main(): raise ValueError("no")');
  await run('late-timeout', 'def main():\n    while True: pass', { timeoutMs: 100 });
});
afterAll(() => pool.stop());

const all = ['late-timeout', 'late-failed', 'late-own', 'early-failed', 'early-5', 'early-4', 'early-3', 'early-2', 'early-1', 'early-0'];
const ids = (rows: HistoryRow[]) => rows.map(({ id }) => id);

describe('history', () => {
  const cases: [string, string[], (rows: HistoryRow[]) => void][] = [
    ['everything, newest first', [], (rows) => expect(ids(rows)).toEqual(all)],
    ['--limit', ['--limit', '3'], (rows) => expect(ids(rows)).toEqual(all.slice(0, 3))],
    ['--state', ['--state', 'failed'], (rows) => expect(ids(rows)).toEqual(['late-failed', 'early-failed'])],
    ['--state timed_out', ['--state', 'timed_out'], (rows) => expect(ids(rows)).toEqual(['late-timeout'])],
    ['--peer', ['--peer', 'p0', '--limit', '100'], (rows) => {
      expect(ids(rows)).toContain('late-own');
      expect(rows.every(({ peer }) => peer === 'p0')).toBe(true);
      expect(rows.length).toBeLessThan(all.length);
    }],
    ['a peer that has none', ['--peer', 'nobody'], (rows) => expect(rows).toEqual([])],
  ];

  it.each(cases)('%s', async (_, flags, check) => {
    const { status, stdout } = await pool.cli(['history', '--json', ...flags]);
    expect(status).toBe(0);
    check(JSON.parse(stdout) as HistoryRow[]);
  });

  it('--since, as a time, and together with --state', async () => {
    const since = ['--since', between.toISOString()];
    expect(ids(JSON.parse((await pool.cli(['history', '--json', ...since])).stdout) as HistoryRow[])).toEqual(all.slice(0, 3));
    expect(ids(JSON.parse((await pool.cli(['history', '--json', ...since, '--state', 'failed'])).stdout) as HistoryRow[])).toEqual(['late-failed']);
  });

  it('tells of a failed one why, and of none its result', async () => {
    const rows = await client.history();
    expect(rows.find(({ id }) => id === 'early-failed')).toMatchObject({ state: 'failed', attempt: 1, function: 'main', language: 'python', error: { code: 'exception' } });
    for (const row of rows) expect(row).not.toHaveProperty('result');
  });

  it('has what has not ended, too, until it ends', async () => {
    const sleeping = client.submit({ language: 'python', program: 'import time\ndef main(): time.sleep(60)', id: 'open' });
    await until('it runs', async () => ids(await client.history({ state: 'running' })).includes('open'));
    expect((await client.history())[0]).toMatchObject({ id: 'open', state: 'running', attempt: 1, run_ms: null, ended_at: null });
    expect(ids(await client.history({ limit: 3, since: between }))).toEqual(['open', ...all.slice(0, 2)]);
    await sleeping.cancel();
    expect(await client.history({ state: 'running' })).toEqual([]);
    expect((await client.history({ limit: 1 }))[0]).toMatchObject({ id: 'open', state: 'cancelled' });
  });

  it('is the same after the home was killed', async () => {
    const before = await client.history({ limit: 100 });
    await pool.peers[0]!.restart();
    expect(await (await pool.client()).history({ limit: 100 })).toEqual(before);
  });
});
