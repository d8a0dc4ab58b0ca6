/** A home that is killed and started again: what it accepted is kept, what runs goes on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPool } from './pool.ts';
import { gated, Notes } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
beforeAll(async () => {
  // The home runs nothing itself, so that its death ends no attempt.
  pool = await TestPool.start({ peers: 3, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
});
afterAll(() => pool.stop());

const QUEUED = 100;

describe('a home killed with SIGKILL', () => {
  it('completes everything it had accepted, each with one run', async () => {
    const home = pool.peers[0]!;
    const client = await pool.client(0);
    const notes = new Notes(pool.folder);
    const submit = (name: string, gate: string) => client.submit<string>({ language: 'python', program: gated, args: [notes.path, name, notes.gate(gate)], id: name });

    const running = ['early-1', 'early-2', 'late-1', 'late-2'];
    const names = [...running, ...Array.from({ length: QUEUED }, (_, at) => `queued-${at}`)];
    const tasks = running.map((name) => submit(name, name.slice(0, -2)));
    await until('4 run', () => notes.lines().length === 4);
    for (const name of names.slice(4)) tasks.push(submit(name, 'late'));
    await Promise.all(tasks.map(({ accepted }) => accepted));

    await home.kill('SIGKILL');
    // These two end while nobody is there to be told.
    notes.open('early');
    await until('two have ended', () => notes.count('early-1 ended') + notes.count('early-2 ended') === 2);

    await home.restart();
    await until('results that came meanwhile are told', async () => (await client.task('early-1')).state === 'done');
    await until('what runs was taken up again', async () => {
      const stories = await Promise.all(['late-1', 'late-2'].map((id) => client.task(id)));
      return stories.every(({ state, attempt }) => state === 'running' && attempt === 1);
    });

    notes.open('late');
    expect(await Promise.all(tasks)).toEqual(names);
    const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
    expect(outcomes.filter(({ attempt }) => attempt !== 1)).toEqual([]);
    expect(notes.lines().toSorted()).toEqual(names.flatMap((name) => [name, `${name} ended`]).toSorted());
  });

  it('has ids, outcomes, results and history of what had ended', async () => {
    const home = pool.peers[0]!;
    const client = await pool.client(0);
    const before = await client.history({ limit: 1000 });
    const story = await client.task('late-1');
    expect(before.length).toBeGreaterThanOrEqual(QUEUED + 4);
    await home.restart();
    const after = await pool.client(0);
    expect(await after.history({ limit: 1000 })).toEqual(before);
    expect(await after.task('late-1')).toEqual(story);
    expect(story).toMatchObject({ state: 'done', result: 'late-1', attempts: [{ attempt: 1, state: 'done' }] });
    expect(await after.watch('queued-99')).toBe('queued-99');
  });

  it('at the moment of each of many submissions loses none that it called accepted', async () => {
    const home = pool.peers[0]!;
    const client = await pool.client(0);
    const accepted = new Set<string>();
    const tasks = Array.from({ length: 400 }, (_, at) => client.submit<number>({ language: 'python', program: 'def main(x): return x', args: [at] }));
    for (const task of tasks) void task.accepted.then(() => accepted.add(task.id));
    await until('some are accepted', () => accepted.size > 0);
    await home.restart();
    // The client says again what was not accepted; the home knows it by its id, whether or not it had it.
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, at) => at));
    expect(accepted.size).toBe(400);
  });
});
