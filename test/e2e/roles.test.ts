/** Four users of one pool, by real processes: what each may submit, read and run, and what is said about it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PoolOfKeys, type RunningPeer } from '../attack/pool-of-keys.ts';
import type { Ran } from './processes.ts';
import { until } from './until.ts';

let pool: PoolOfKeys;
/** Takes only Alice's own tasks. */
let alices: RunningPeer;
/** Takes everybody's, boxed or not. */
let carls: RunningPeer;

beforeAll(async () => {
  pool = await PoolOfKeys.make({ owner: 'admin', alice: 'member', bob: 'member', carl: 'runner' });
  await pool.startTracker('owner');
  [alices, carls] = await Promise.all([pool.startPeer('alice', ['--accept', 'own', '--slots', '2']), pool.startPeer('carl', ['--trust-members', '--slots', '2'])]);
  await until('both are known', async () => {
    const link = await pool.client('alice', alices);
    const up = (await link.peers()).filter(({ state }) => state === 'up');
    await link.close();
    return up.length === 2;
  });
});
afterAll(() => pool.stop());

const at = (who: string, { port }: RunningPeer, ...args: string[]): Promise<Ran> => pool.cli(who, [...args, '--port', String(port)]);
const json = ({ stdout }: Ran): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;
const square = ['--program', 'def main(x): return x * x', '--args', '[5]'];

describe('a task', () => {
  it('of another member at somebody\'s home runs where members\' tasks are taken, not on the home\'s own runner', async () => {
    for (let time = 0; time < 3; time += 1) {
      const ran = await at('bob', alices, 'cpu', '--json', ...square);
      expect(json(ran)).toMatchObject({ state: 'done', result: 25, peer: carls.name });
      const { passed_over: passed } = json(ran)['receipt'] as { passed_over?: Record<string, number> };
      expect(passed).toEqual({ 'no leave for other members\' tasks (--accept own)': 1 });
    }
  });

  it('of the home\'s own user runs there, too', async () => {
    const link = await pool.client('alice', alices);
    const tasks = Array.from({ length: 4 }, () => link.submit({ language: 'python', program: 'import time\ndef main(): time.sleep(0.5)', args: [] }));
    const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
    await link.close();
    expect(outcomes.map(({ peer }) => peer).toSorted()).toEqual([alices.name, alices.name, carls.name, carls.name]);
  });

  it('that waits because nobody takes it says so', async () => {
    const id = 'waits-for-a-taker';
    await at('bob', alices, 'cpu', '--detach', '--id', id, '--confidential', ...square);
    expect(json(await at('bob', alices, 'task', id, '--json'))).toMatchObject({ state: 'queued', waiting_for: expect.stringContaining('no leave for other members\' tasks (--accept own)') as string });
    expect((await at('bob', alices, 'cancel', id)).status).toBe(0);
  });
});

describe('what is somebody\'s', () => {
  const id = 'of-alice';
  const canary = 'canary-4711';

  it('is read by nobody else: unknown to members, its existence alone to an admin', async () => {
    expect((await at('alice', alices, 'cpu', '--id', id, '--program', `def main(x): print("${canary}"); return "${canary}"`, '--args', `["${canary}"]`)).stdout).toContain(canary);
    const unknown = json(await at('bob', alices, 'task', 'no-such-task', '--json'));
    for (const args of [['task', id], ['wait', id], ['cancel', id]]) {
      const ran = await at('bob', alices, ...args, '--json');
      expect(ran.status).toBe(6);
      expect(JSON.stringify(json(ran)).replaceAll(id, 'no-such-task')).toContain(JSON.stringify((unknown['error'] as { message: string }).message));
      expect(ran.stdout + ran.stderr).not.toContain(canary);
    }
    expect((await at('bob', alices, 'history')).stdout).not.toContain(id);
    expect(json(await at('bob', alices, 'cpu', '--id', id, '--json', ...square))).toMatchObject({ error: { code: 'id_conflict' } });

    const admins = await at('owner', alices, 'task', id);
    expect(admins).toMatchObject({ status: 0, stdout: expect.stringContaining('a task of alice') as string });
    const history = await at('owner', alices, 'history');
    expect(history.stdout).toContain('(of alice)');
    for (const ran of [admins, history, await at('owner', alices, 'task', id, '--json'), await at('owner', alices, 'history', '--json')]) expect(ran.stdout + ran.stderr).not.toContain(canary);
    expect(json(await at('owner', alices, 'wait', id, '--json'))).toMatchObject({ error: { code: 'not_allowed' } });
    expect((await at('alice', alices, 'task', id)).stdout).toContain(canary);
  });
});

describe('a key that may only run tasks', () => {
  it('can neither submit nor read, at its own peer or another, and is told so in one sentence', async () => {
    for (const peer of [carls, alices]) {
      for (const args of [['cpu', ...square], ['status'], ['history']]) {
        const ran = await at('carl', peer, ...args);
        expect(ran).toMatchObject({ status: 6, stdout: '' });
        expect(ran.stderr).toMatch(/^error: this machine may only run tasks: its key has the role runner/);
      }
    }
  });
});

describe('a name', () => {
  it('that another member\'s peer holds is refused, and the process ends with the way out', async () => {
    const ran = await pool.cli('bob', ['peer', '--host', '127.0.0.1', '--port', '0', '--name', alices.name, '--drain-seconds', '30']);
    expect(ran.status).toBe(2);
    expect(ran.stderr).toMatch(/^error: the name .+ is taken\n {2}why: another member's peer of that name is up\n {2}fix: give this one another name: potluck peer --name NAME$/m);
    expect((await at('alice', alices, 'cpu', '--json', ...square)).status).toBe(0);
  });
});

describe('what a peer takes', () => {
  it('is shown by peers and status, and is said at its start', async () => {
    const rows = (await at('alice', alices, 'peers')).stdout;
    expect(rows).toMatch(new RegExp(`^${alices.name} .* own only$`, 'm'));
    expect(rows).toMatch(new RegExp(`^${carls.name} .* all tasks$`, 'm'));
    expect(json(await at('alice', alices, 'status', '--json'))).toMatchObject({ accepts: 'own', withheld: 'owner', role: 'member' });
    await alices.process.said('this peer takes only tasks of its own user, because of --accept own; to change that: start it with --accept members');
  });

  it('and foreign tasks taken are in the audit', async () => {
    const rows = async () => JSON.parse((await pool.cli('owner', ['audit', '--json'])).stdout) as { what: string; detail: string; count: number; member?: string }[];
    await until('the runner has reported', async () => (await rows()).some(({ what }) => what === 'foreign_started'), 15_000);
    const audit = await rows();
    expect(audit.filter(({ what }) => what === 'policy').map(({ detail }) => detail)).toEqual(expect.arrayContaining([expect.stringMatching(/accepts own/), expect.stringMatching(/accepts members, trusts members/)]));
    expect(JSON.stringify(audit)).not.toContain('canary');
  });
});
