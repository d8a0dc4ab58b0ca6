/** A tracker that is away: nothing stops, it is said, and peers are back soon after it is. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, Notes } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
let notes: Notes;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 3, slots: 2 });
  client = await pool.client();
  notes = new Notes(pool.folder);
});
afterAll(() => pool.stop());
beforeEach(async () => {
  if (!pool.tracker.running) await pool.tracker.restart();
});

const square = 'def main(x): return x * x';

describe('without its tracker', () => {
  it('running tasks go on, new ones run on several peers, and who asks is told', async () => {
    const before = Array.from({ length: 6 }, (_, at) => client.submit<string>({ language: 'python', program: gated, args: [notes.path, `run-${at}`, notes.gate('run')] }));
    await until('6 run', () => notes.lines().length === 6);
    await pool.tracker.kill('SIGKILL');
    await until('it is noticed', async () => !(await client.status()).tracker.connected);

    const waiting = pool.start(['cpu', '--program', square, '--args', '[3]', '--json']);
    const shown = pool.start(['cpu', '--program', square, '--args', '[4]', '--id', 'told']);
    await shown.said('placement is from memory');
    notes.open('run');
    expect(await Promise.all(before)).toHaveLength(6);
    expect(JSON.parse((await waiting.ended).stdout)).toMatchObject({ state: 'done', result: 9, receipt: { decided: 'from_memory' } });
    expect(await shown.ended).toMatchObject({ status: 0, stdout: '16\n' });

    const tasks = Array.from({ length: 60 }, (_, at) => client.submit<number>({ language: 'python', program: square, args: [at] }));
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, at) => at * at));
    const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
    expect(new Set(outcomes.map(({ receipt }) => receipt!.decided))).toEqual(new Set(['from_memory']));
    expect(new Set(outcomes.map(({ peer }) => peer)).size).toBe(3);
    const { health } = await client.status();
    expect(health).toEqual([{ problem: expect.stringContaining('placement is from memory') as string, fix: expect.stringContaining('potluck tracker') as string }]);
  });

  it('a task that is over at once says so, too', async () => {
    await pool.tracker.kill('SIGKILL');
    await until('it is noticed', async () => !(await client.status()).tracker.connected);
    const shown = await pool.cli(['cpu', '--program', square, '--args', '[5]']);
    expect(shown).toMatchObject({ status: 0, stdout: '25\n' });
    expect(shown.stderr).toContain('placed from memory');
  });
});

describe('when the tracker is back', () => {
  it('all peers are within 5 s, and it decides again', async () => {
    await pool.tracker.kill('SIGKILL');
    await until('it is noticed', async () => !(await client.status()).tracker.connected);
    const startedAt = performance.now();
    pool.tracker.spawn();
    const links = await Promise.all([0, 1, 2].map((at) => pool.client(at)));
    await until('it knows all peers', async () => {
      const each = await Promise.all(links.map(async (link) => (await link.status()).tracker.connected && (await link.peers()).filter(({ state }) => state === 'up').length === 3));
      return each.every(Boolean);
    });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const decided = await until('a receipt of its', async () => (await client.submit({ language: 'python', program: square, args: [1] }).outcome()).receipt!.decided !== 'from_memory');
    expect(decided).toBe(true);
  });

  it('under load, nothing was lost and nothing ran twice', async () => {
    const log = new Notes(pool.folder, 'load');
    const tasks = Array.from({ length: 400 }, (_, at) => client.submit<number>({ language: 'python', program: `import os, time\ndef main(path, x):\n    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)\n    os.write(fd, f"{x}\\n".encode())\n    os.close(fd)\n    time.sleep(0.01)\n    return x`, args: [log.path, at] }));
    await until('some ran', () => log.lines().length > 50);
    await pool.tracker.restart();
    await until('more ran', () => log.lines().length > 150);
    await pool.tracker.restart();
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, at) => at));
    expect(log.lines().toSorted()).toEqual(tasks.map((_, at) => String(at)).toSorted());
  });
});
