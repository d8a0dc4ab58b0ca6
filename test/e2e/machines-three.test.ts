/** Three machines on one network, as the guide sets them up: what is submitted on any of them runs on any of them. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canMakeMachines, Machines, type Machine } from '../helpers/machines.ts';
import { until } from './until.ts';

/** Long enough that who submits three of them at once needs three slots. */
const program = 'import time\ndef main(): time.sleep(0.7)';

/** They are members of their own, so each runs the others' tasks in its box. */
const canBox = spawnSync('bwrap', ['--version']).status === 0;

describe.skipIf(!canMakeMachines() || !canBox)('three machines', () => {
  let machines: Machines;
  let ada: Machine;
  let bea: Machine;
  let cyd: Machine;
  beforeAll(async () => {
    machines = await Machines.make('ada', 'bea', 'cyd');
    [ada, bea, cyd] = machines.all as [Machine, Machine, Machine];
    await ada.start(['tracker']).said('listens on');
    const common = ['--slots', '1', '--drain-seconds', '0'];
    const peers = [ada.start(['peer', '--port', '9000', '--web-ui', ...common])];
    await peers[0]!.said('joined the pool');
    const [, , invitation] = (await run(ada, ['invite'])).split(/\s+/);
    // As it stands in the guide, and as it may be said in less words.
    await run(bea, ['join', invitation!]);
    await run(cyd, ['join', '-'], `potluck join ${invitation!}\n`);
    peers.push(bea.start(['peer', '--port', '9000', '--tracker-host', 'ada', '--tracker-port', '8888', '--web-ui', ...common]), cyd.start(['peer', ...common]));
    await Promise.all(peers.map((peer) => peer.said('joined the pool')));
    await Promise.all(machines.all.map((machine) => knows(machine, ['ada-9000', 'bea-9000', 'cyd-9000'])));
  });
  afterAll(() => machines?.stop());

  const run = async (machine: Machine, args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await machine.cli(args, input === undefined ? {} : { input });
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  };

  const peersUp = async (machine: Machine): Promise<string[]> => {
    const { stdout } = await machine.cli(['peers', '--json']);
    // While a peer still tries its box it takes nobody else's tasks.
    return (JSON.parse(stdout) as { peer: string; state: string; accepts: string }[]).filter(({ state, accepts }) => state === 'up' && accepts === 'members').map(({ peer }) => peer);
  };
  const knows = (machine: Machine, peers: string[]) => until(`${machine.name} knows ${peers.join()}`, async () => (await peersUp(machine)).toSorted().join() === peers.join());

  /** Where as many tasks ran as were submitted at once on this machine. */
  const ranOn = async (machine: Machine, count: number): Promise<string[]> => {
    const printed = await machine.module(`
      const pool = await connect();
      const tasks = Array.from({ length: ${count} }, () => pool.submit({ language: 'python', program: ${JSON.stringify(program)}, args: [] }));
      const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
      await pool.close();
      console.log(JSON.stringify(outcomes.map(({ state, peer }) => state === 'done' ? peer : state)));
    `);
    return (JSON.parse(printed) as string[]).toSorted();
  };

  it.each([0, 1, 2])('run what the command line submits on machine %i', async (at) => {
    const { status, stdout } = await machines.all[at]!.cli(['cpu', '--program', 'def main(x): return x * x', '--args', '[5]']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '25\n' });
  });

  it.each([0, 1, 2])('run each what is submitted on machine %i', async (at) => {
    expect(await ranOn(machines.all[at]!, 3)).toEqual(['ada-9000', 'bea-9000', 'cyd-9000']);
  });

  it('have a page for their own users only', async () => {
    const fetchPage = 'fetch(process.argv[1]).then((answer) => console.log(answer.status), (error) => console.log(error.cause.code))';
    expect((await bea.run(process.execPath, '-e', fetchPage, 'http://127.0.0.1:5000/')).trim()).toBe('200');
    expect((await cyd.run(process.execPath, '-e', fetchPage, 'http://bea:5000/')).trim()).toBe('ECONNREFUSED');
  });

  it('reach each other directly when the first one, with the tracker, is gone', async () => {
    await ada.crash();
    expect(await ranOn(bea, 2)).toEqual(['bea-9000', 'cyd-9000']);
    expect(await ranOn(cyd, 2)).toEqual(['bea-9000', 'cyd-9000']);
  });

  it('know within 5 s which of them was revoked: it runs nothing of theirs, and they nothing of its', async () => {
    await ada.start(['tracker']).said('listens on');
    await until('both are back', async () => (await peersUp(bea)).length === 2);
    const task = bea.module(`
      const pool = await connect();
      const tasks = [1, 2].map(() => pool.submit({ language: 'python', program: 'import time\\ndef main(): time.sleep(5)', args: [] }));
      const outcomes = await Promise.all(tasks.map((task) => task.outcome()));
      await pool.close();
      console.log(JSON.stringify(outcomes.map(({ state, peer }) => [state, peer])));
    `);
    await until('one runs on each', async () => {
      const rows = JSON.parse((await bea.cli(['status', '--json'])).stdout) as { tasks: { state: string; peer: string }[] };
      return rows.tasks.filter(({ state }) => state === 'running').map(({ peer }) => peer).toSorted().join() === 'bea-9000,cyd-9000';
    });
    expect(await run(ada, ['revoke', 'cyd'])).toContain('cyd');
    await until('the peers see it', async () => (await peersUp(bea)).join() === 'bea-9000', 5_000);
    // What ran there runs here now.
    expect(JSON.parse(await task)).toEqual([
      ['done', 'bea-9000'],
      ['done', 'bea-9000'],
    ]);
    const refused = await cyd.cli(['cpu', '--host', 'bea', '--program', 'def main(): return 1']);
    expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status: 3, stdout: '' });
    expect(refused.stderr).toMatch(/revoked/);
    expect(await ranOn(bea, 2)).toEqual(['bea-9000', 'bea-9000']);
  });
});
