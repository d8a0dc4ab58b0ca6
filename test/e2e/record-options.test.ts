/** Options do what they say: priority, confidential, once, fresh, wait, retries. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool, TaskRequest } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, noting, Notes, sleeping } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
let notes: Notes;
beforeAll(async () => {
  // The home has one slot, the others more: whoever may leave it does.
  pool = await TestPool.start({ peers: 3, slots: 3, peerArgs: (at) => (at === 0 ? ['--slots', '1'] : []) });
  client = await pool.client();
  notes = new Notes(pool.folder);
});
afterAll(() => pool.stop());

const note = (name: string, more: Partial<TaskRequest> = {}) => client.submit<number>({ language: 'python', program: noting, args: [notes.path, name], ...more });

describe('priority', () => {
  it('goes before what waits, a minute for each step; equals in the order in which they came', async () => {
    const gate = client.submit({ language: 'python', program: gated, args: [notes.path, 'gate', notes.gate('priority')], confidential: true });
    await until('the only slot is taken', () => notes.count('gate') === 1);
    // All of them wait for the home's one slot.
    const waiting = [note('plain-1', { confidential: true }), note('later', { confidential: true, priority: -1 }), note('plain-2', { confidential: true }), note('first', { confidential: true, priority: 5 }), note('second', { confidential: true, priority: 1 })];
    await Promise.all(waiting.map(({ accepted }) => accepted));
    notes.open('priority');
    await Promise.all([gate, ...waiting]);
    const order = notes.lines().filter((line) => /plain|later|first|second/.test(line));
    expect(order).toEqual(['first', 'second', 'plain-1', 'plain-2', 'later']);
  });
});

describe('confidential', () => {
  it('never leaves the home, however busy it is: 100 of 100, while the others are idle', async () => {
    const tasks = Array.from({ length: 100 }, (_, at) => note(`secret-${at}`, { confidential: true }));
    const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
    expect(new Set(outcomes.map(({ peer }) => peer))).toEqual(new Set(['p0']));
    expect(new Set(outcomes.map(({ receipt }) => receipt!.decided))).toEqual(new Set(['confidential']));
    const { processes } = await client.status();
    expect(processes.map(({ pid }) => pid)).toEqual(expect.arrayContaining([...new Set(await Promise.all(tasks))]));
  });

  it('waits for the home alone, and says so', async () => {
    const busy = client.submit({ language: 'python', program: sleeping, args: [30], confidential: true });
    // Its program is new to the home and must come first: without this the next one could be accepted before it.
    await busy.accepted;
    const reasons: string[] = [];
    const waiting = client.submit({ language: 'python', program: 'def main(): return 1', confidential: true, onState: ({ waitingFor }) => waitingFor !== undefined && reasons.push(waitingFor) });
    await until('a reason', () => reasons.some((reason) => /slot.*taken/.test(reason)));
    await busy.cancel();
    expect(await waiting).toBe(1);
  });

  it('at a home without the interpreter is refused before it is accepted', async () => {
    const small = await TestPool.start({ peers: 1, slots: 0 });
    try {
      await expect((await small.client()).submit({ language: 'python', program: sleeping, confidential: true }).accepted).rejects.toMatchObject({ code: 'impossible' });
      expect(await small.cli(['cpu', '--program', sleeping, '--args', '[1]'])).toMatchObject({ status: 6, stdout: '' });
    } finally {
      await small.stop();
    }
  });
});

describe('once', () => {
  it('runs once and is done, like any other; a failure is not tried again', async () => {
    expect(await client.submit({ language: 'python', program: 'def main(): return 1', once: true })).toBe(1);
    const failing = client.submit({ language: 'python', program: `${noting}\n    raise ValueError\n`.replace('    return os.getpid()\n', ''), args: [notes.path, 'once-failing'], once: true, retries: 3 });
    expect(await failing.outcome()).toMatchObject({ state: 'failed', attempt: 1 });
    expect(notes.count('once-failing')).toBe(1);
  });
});

describe('retries', () => {
  it('tries a failure again as often as was said, and tells every attempt', async () => {
    const task = client.submit({ language: 'python', program: `${noting}\n    raise ValueError("again")\n`.replace('    return os.getpid()\n', ''), args: [notes.path, 'failing'], retries: 1 });
    expect(await task.outcome()).toMatchObject({ state: 'failed', attempt: 2 });
    expect(notes.count('failing')).toBe(2);
    expect((await client.task(task.id)).attempts).toMatchObject([{ attempt: 1, state: 'failed' }, { attempt: 2, state: 'failed' }]);
  });
});

describe('fresh', () => {
  it('runs in a process that nobody used, and nobody uses it afterwards', async () => {
    const own = { confidential: true } as const;
    const kept = await note('kept', own);
    expect(await note('kept', own)).toBe(kept);
    const fresh = [await note('fresh', { ...own, fresh: true }), await note('fresh', { ...own, fresh: true })];
    expect(new Set([kept, ...fresh]).size).toBe(3);
    expect(fresh).not.toContain(await note('kept', own));
  });
});

describe('wait', () => {
  it('gives up what has not started in time, and says so', async () => {
    const busy = client.submit({ language: 'python', program: sleeping, args: [30], confidential: true });
    await until('it runs', async () => (await client.task(busy.id)).state === 'running');
    const expired = await client.submit({ language: 'python', program: 'def main(): return 1', confidential: true, waitMs: 300 }).outcome();
    expect(expired).toMatchObject({ state: 'expired', peer: null, attempt: 0 });
    expect(expired.queuedMs).toBeGreaterThan(299);
    expect(expired.queuedMs).toBeLessThan(1_500);
    await busy.cancel();
  });
});
