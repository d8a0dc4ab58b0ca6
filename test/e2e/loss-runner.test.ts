/** A runner that is killed, or frozen for a while: it costs an attempt, not a task. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool, TaskRequest } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, Notes } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
let notes: Notes;
beforeAll(async () => {
  // The home runs nothing itself: every attempt is on another process than its record.
  pool = await TestPool.start({ peers: 3, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
  notes = new Notes(pool.folder);
});
afterAll(() => pool.stop());

const wait = (name: string, gate: string, more: Partial<TaskRequest> = {}) =>
  client.submit<string>({ language: 'python', program: gated, args: [notes.path, name, notes.gate(gate)], id: name, ...more });

/** Resolves when all of them run, with the peer of each. */
const running = (ids: readonly string[]) =>
  until('all run', async () => {
    const stories = await Promise.all(ids.map((id) => client.task(id)));
    return stories.every(({ state }) => state === 'running') && stories.map(({ peer }) => peer!);
  });

describe('a runner killed with SIGKILL', () => {
  it('costs its tasks an attempt: they complete elsewhere, and their story tells it', async () => {
    const names = ['kill-1', 'kill-2', 'kill-3', 'kill-4'];
    const tasks = names.map((name) => wait(name, 'kill'));
    const peers = await running(names);
    expect(peers.toSorted()).toEqual(['p1', 'p1', 'p2', 'p2']);
    await pool.peers[1]!.kill('SIGKILL');
    notes.open('kill');
    expect(await Promise.all(tasks)).toEqual(names);
    for (const [at, name] of names.entries()) {
      const wasLost = peers[at] === 'p1';
      const story = await client.task(name);
      expect(story).toMatchObject({ state: 'done', attempt: wasLost ? 2 : 1, peer: 'p2' });
      expect(story.states.map(({ state }) => state)).toEqual(wasLost ? ['queued', 'assigned', 'assigned', 'done'] : ['queued', 'assigned', 'done']);
      const lost = { attempt: 1, peer: 'p1', state: 'lost', reason: expect.stringMatching(/p1/) as string };
      expect(story.attempts).toMatchObject(wasLost ? [lost, { attempt: 2, peer: 'p2', state: 'done' }] : [{ attempt: 1, peer: 'p2', state: 'done' }]);
    }
    const shown = await pool.cli(['task', names[peers.indexOf('p1')]!]);
    expect(shown.stdout).toMatch(/queued .* → assigned .* → assigned .* → done/);
    expect(shown.stdout).toMatch(/1\s+p1\s+lost/);
    expect(shown.stdout).toMatch(/2\s+p2\s+done/);
    await pool.peers[1]!.restart();
  });

  it('ends a task that may run only once as unknown, with exit status 1 and no second run', async () => {
    const started = pool.start(['cpu', '--once', '--id', 'once-lost', '--program', gated, '--args', JSON.stringify([notes.path, 'once-lost', notes.gate('once')])]);
    const [peer] = await until('it runs', async () => (await client.history({ limit: 1 })) && running(['once-lost']));
    const runner = pool.peers.find(({ name }) => name === peer)!;
    await runner.kill('SIGKILL');
    // The new process says that it does not have it; waiting out the lease would say the same.
    await runner.restart();
    const ran = await started.ended;
    expect(ran).toMatchObject({ status: 1, stdout: '' });
    expect(ran.stderr).toContain(`may have been running on ${peer}`);
    expect(await client.task('once-lost')).toMatchObject({ state: 'unknown', attempt: 1, error: { code: 'unknown' } });
    expect(notes.count('once-lost')).toBe(1);
  });

  it('over and over, under a stream of tasks, loses none', async () => {
    const tasks = Array.from({ length: 300 }, (_, at) => client.submit<number>({ language: 'python', program: 'import time\ndef main(x):\n    time.sleep(0.01)\n    return x', args: [at] }));
    for (const at of [1, 2, 1]) {
      await until('some are done', async () => (await client.history({ limit: 1, state: 'done' })).length > 0);
      await pool.peers[at]!.restart();
    }
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, at) => at));
  });
});

describe('a frozen runner', () => {
  it('that wakes within 5 s keeps its attempt', async () => {
    const task = wait('nap', 'nap');
    const [peer] = await running(['nap']);
    const runner = pool.peers.find(({ name }) => name === peer)!;
    await runner.kill('SIGSTOP');
    notes.open('nap');
    await until('it has ended', () => notes.count('nap ended') === 1);
    // Nobody tells that nothing happened.
    await sleep(5_000);
    await runner.kill('SIGCONT');
    expect(await task.outcome()).toMatchObject({ state: 'done', attempt: 1, peer, resultJson: '"nap"' });
    expect(notes.count('nap')).toBe(1);
  });

  it('that sleeps past the lease loses it; what it says later is stale, and the outcome stays', async () => {
    const { stale_results: before } = (await client.status()) as unknown as { stale_results: number };
    const task = wait('long', 'long');
    const [peer] = await running(['long']);
    const runner = pool.peers.find(({ name }) => name === peer)!;
    await runner.kill('SIGSTOP');
    await until('it runs elsewhere', () => notes.count('long') === 2, 30_000);
    notes.open('long');
    const outcome = await task.outcome();
    expect(outcome).toMatchObject({ state: 'done', attempt: 2 });
    expect(outcome.peer).not.toBe(peer);
    await until('the frozen one has its result', () => notes.count('long ended') === 2);
    await runner.kill('SIGCONT');
    await until('its result was refused as stale', async () => ((await client.status()) as unknown as { stale_results: number }).stale_results > before);
    expect(await client.watch('long').outcome()).toEqual(outcome);
    expect((await client.history({ limit: 1000 })).filter(({ id }) => id === 'long')).toHaveLength(1);
  });
});
