/** Submitting is repeatable by id: the same is one task, another is refused; now, later, and after a restart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool, TaskRequest } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, noting, Notes } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let one: Pool;
let two: Pool;
let notes: Notes;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 2 });
  one = await pool.client();
  two = await pool.client();
  notes = new Notes(pool.folder);
});
afterAll(() => pool.stop());

const request = (id: string, name = id): TaskRequest => ({ language: 'python', program: noting, args: [notes.path, name], id });
const conflict = expect.objectContaining({ code: 'id_conflict' }) as Error;

describe('the same id', () => {
  it('from two clients at once is one task, run once', async () => {
    const ids = Array.from({ length: 20 }, (_, at) => `both-${at}`);
    const pids = await Promise.all(ids.flatMap((id) => [one.submit(request(id)), two.submit(request(id))]));
    expect(pids).toHaveLength(40);
    for (const id of ids) expect(notes.count(id)).toBe(1);
  });

  it('with other content from two clients at once: one is taken, the other refused', async () => {
    const tries = await Promise.allSettled([one.submit(request('either', 'either-a')), two.submit(request('either', 'either-b'))]);
    expect(tries.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(tries.find(({ status }) => status === 'rejected')).toMatchObject({ reason: conflict });
    expect(notes.count('either-a') + notes.count('either-b')).toBe(1);
  });

  it.each([
    ['other arguments', { args: ['other'] }],
    ['another program', { program: 'def main(*a): return 1' }],
    ['another function', { function: 'note' }],
    ['another option', { timeoutMs: 5_000 }],
    ['keyword arguments', { kwargs: {} }],
  ])('with %s is refused while it waits and when it has ended', async (_, other) => {
    const id = `differs-${String(Object.keys(other))}`;
    const gate = { language: 'python', program: gated, args: [notes.path, id, notes.gate(id)], id } as const;
    const task = one.submit(gate);
    await until('it runs', () => notes.count(id) === 1);
    // From a client that does not know the id itself, so that it is the home that says so.
    await expect(two.submit({ ...gate, ...other }).accepted).rejects.toEqual(conflict);
    const again = two.submit(gate);
    await again.accepted;
    expect(() => two.submit({ ...gate, ...other })).toThrowError(conflict);
    notes.open(id);
    expect(await Promise.all([task, again])).toEqual([id, id]);
    await expect(two.submit({ ...gate, ...other })).rejects.toEqual(conflict);
    expect(await two.submit(gate)).toBe(id);
    expect(notes.count(id)).toBe(1);
  });

  it('with options that only say the default is the same task', async () => {
    await one.submit(request('defaults'));
    await two.submit({ ...request('defaults'), retries: 0, priority: 0, once: false });
    expect(notes.count('defaults')).toBe(1);
  });

  it('is known after the home was killed and started again', async () => {
    const pid = await one.submit(request('before'));
    await pool.peers[0]!.restart();
    const later = await pool.client();
    expect(await later.submit(request('before'))).toBe(pid);
    await expect(later.submit(request('before', 'other'))).rejects.toEqual(conflict);
    expect(notes.count('before')).toBe(1);
  });

  it('typed twice on the command line is one task; with another program exit status 6', async () => {
    const cpu = (program: string) => pool.cli(['cpu', '--id', 'typed', '--program', program]);
    const program = 'import os\ndef main(): return os.getpid()';
    const first = await cpu(program);
    expect(first.status).toBe(0);
    expect(await cpu(program)).toMatchObject({ status: 0, stdout: first.stdout });
    expect(await cpu(`${program} + 1`)).toMatchObject({ status: 6, stdout: '', stderr: expect.stringContaining('the id typed belongs to another task') as string });
  });
});
