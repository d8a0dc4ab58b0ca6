/** A pool of two folders, as on two machines: invited, joined, seen by each other, revoked; by real processes. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { freePorts, type Ran, type Started } from './processes.ts';
import { until } from './until.ts';

let pool: TestPool;
let others: string;
let started: Started[];

beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  others = mkdtempSync(join(tmpdir(), 'potluck-others-'));
  started = [];
});
afterAll(async () => {
  for (const { process: child } of started) child.kill('SIGTERM');
  await Promise.all(started.map(({ ended }) => ended));
  rmSync(others, { recursive: true });
  await pool.stop();
});

const folderOf = (name: string): string => join(others, name);
/** A command in the folder of another machine. */
const on = (name: string, ...args: string[]): Promise<Ran> => pool.cli(args, { env: { POTLUCK_HOME: folderOf(name) } });
/** A command in the folder of the tracker. */
const here = (...args: string[]): Promise<Ran> => pool.cli([...args, '--tracker-port', String(pool.tracker.port)]);
const json = <T>({ stdout }: Ran): T => JSON.parse(stdout) as T;

async function invited(...flags: string[]): Promise<{ id: string; token: string; command: string }> {
  return json(await here('invite', '--json', '--address', `127.0.0.1:${pool.tracker.port}`, ...flags));
}

function peerOn(name: string, port: number, ...flags: string[]): Started {
  const peer = pool.start(['peer', '--name', `peer-${name}`, '--port', String(port), '--slots', '1', '--drain-seconds', '0', ...flags], { env: { POTLUCK_HOME: folderOf(name) } });
  started.push(peer);
  return peer;
}

describe('two machines', () => {
  let portOfB: number;

  it('are one pool after invite and join: the peer finds the tracker by itself, and both see each other', async () => {
    const invitation = await here('invite', '--name', 'attic', '--address', `127.0.0.1:${pool.tracker.port}`);
    expect(invitation.stdout).toMatch(/^potluck join pl1-[\w-]+\n$/);
    const [, , token] = invitation.stdout.trim().split(' ');
    const joined = await on('b', 'join', token!);
    expect(joined).toMatchObject({ status: 0, stderr: '' });
    expect(joined.stdout).toMatch(/^joined pool of .+ as attic \(member\)\nits tracker is at 127\.0\.0\.1:\d+, .+\nnext: potluck peer /);
    const [port] = (await freePorts(1)) as [number];
    portOfB = port;
    await peerOn('b', port).said('joined the pool of the tracker');
    const names = async (link: Awaited<ReturnType<TestPool['client']>>) => (await link.peers()).filter(({ state }) => state === 'up').map(({ peer }) => peer).toSorted();
    const [near, far] = [await pool.client(), await connect({ host: '127.0.0.1', port, home: folderOf('b') })];
    try {
      await until('both see each other', async () => (await names(near)).length === 2 && (await names(far)).length === 2);
      expect(await names(far)).toEqual(['p0', 'peer-b']);
    } finally {
      await far.close();
    }
    expect(json<{ name: string; connected: boolean }[]>(await here('members', '--json')).map(({ name, connected }) => [name, connected])).toEqual([[expect.any(String), true], ['attic', true]]);
    // From the other machine too, without saying where the tracker is.
    expect((await on('b', 'members')).stdout).toContain('attic');
  });

  it('are apart again within a second after a revoke, with the reason on both sides', async () => {
    const peer = started[0]!;
    const startedAt = performance.now();
    expect((await here('revoke', 'attic')).stdout).toMatch(/^revoked attic \([0-9a-f-]+\): its links are cut, and it does not come back\n/);
    await peer.said('was revoked by an admin');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const near = await pool.client();
    await until('the tracker counts it out', async () => (await near.peers()).some(({ peer: name, state }) => name === 'peer-b' && state !== 'up'));
    expect(await on('b', 'members', '--json')).toMatchObject({ status: 3, stdout: expect.stringContaining('"revoked"') as string });
    // Its own processes know it, too: the roster reached its folder before the link was cut.
    expect(await on('b', 'status', '--port', String(portOfB), '--json')).toMatchObject({ status: 3, stdout: expect.stringContaining('"revoked"') as string });
    expect(await on('b', 'join', (await invited()).token)).toMatchObject({ status: 3, stderr: expect.stringMatching(/was revoked by an admin.*\n.*\n {2}fix: .*member\.key/) as string });
    expect(json<unknown[]>(await here('members', '--json'))).toHaveLength(1);
    const audit = json<{ what: string }[]>(await here('audit', '--json')).map(({ what }) => what);
    expect(audit).toEqual(expect.arrayContaining(['founded', 'invited', 'joined', 'revoked', 'refused']));
  });
});

describe('join', () => {
  it('a machine that was away when it was put out learns it from the tracker, not that it is in already', async () => {
    const { token } = await invited('--name', 'away');
    expect(await on('away', 'join', token)).toMatchObject({ status: 0 });
    expect(await on('away', 'join', token)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^this machine is in .* already, as away/) as string });
    expect(await here('revoke', 'away')).toMatchObject({ status: 0 });
    expect(await on('away', 'join', token)).toMatchObject({ status: 3, stdout: '', stderr: expect.stringMatching(/was revoked by an admin[^]*fix: .*member\.key/) as string });
  });

  it('takes the invitation from a file and from standard input, and shows it nowhere', async () => {
    const { token } = await invited();
    writeFileSync(join(others, 'mail.txt'), `Hi,\n\n  potluck join ${token.slice(0, 50)}\n${token.slice(50)}\n`);
    const fromFile = await on('file', 'join', '--file', join(others, 'mail.txt'));
    const fromInput = await pool.cli(['join', '-', '--json'], { env: { POTLUCK_HOME: folderOf('input') }, input: `${token}\n` });
    expect([fromFile.status, fromInput.status]).toEqual([0, 0]);
    expect(json<{ role: string }>(fromInput)).toMatchObject({ role: 'member', already: false });
    const wrong = await on('wrong', 'join', `${token.slice(0, -3)}xxx`);
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    const shown = [fromFile, fromInput, wrong].map(({ stdout, stderr }) => stdout + stderr).join('') + pool.logs();
    for (const part of [token.slice(4, 30), token.slice(60, 90)]) expect(shown).not.toContain(part);
  });

  it.each([
    [2, 'usage', []],
    [2, 'usage', ['pl1-x', '--file', 'y']],
    [2, 'file_unreadable', ['--file', '/no/such/file']],
    [2, 'invitation_mistyped', ['pl1-abc']],
    [2, 'invitation_mistyped', ['hello']],
  ])('exit status %d, %s: %j', async (status, code, args) => {
    const ran = await on('nobody', 'join', ...args, '--json');
    expect(ran.status).toBe(status);
    expect(json(ran)).toMatchObject({ error: { code } });
    expect(readdirSync(others)).not.toContain('nobody');
  });

  it('twice says that nothing was changed; on the tracker\'s own machine, where to type it', async () => {
    const { token } = await invited('--joins', '1');
    await on('twice', 'join', token);
    expect(await on('twice', 'join', token)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^this machine is in pool of .+ already, as .+; nothing was changed\n/) as string });
    expect(await pool.cli(['join', token])).toMatchObject({ status: 2, stderr: expect.stringContaining('this is the machine of the pool\'s own tracker') as string });
    expect(await on('third', 'join', token)).toMatchObject({ status: 6, stderr: expect.stringContaining('this invitation has been used once') as string });
  });
});

describe('without a join', () => {
  it('a peer and a command say in one sentence what to type on which machine', async () => {
    const [port] = (await freePorts(1)) as [number];
    const peer = peerOn('alone', port, '--tracker-port', String(pool.tracker.port));
    await peer.said('has not joined the pool at');
    await peer.said('type "potluck invite" on the machine of its tracker, and here the "potluck join" line that it prints');
    for (const args of [['status'], ['members', '--tracker-port', String(pool.tracker.port)]]) {
      const ran = await on('alone-too', ...args);
      expect(ran.status).toBe(3);
      expect(ran.stderr).toMatch(/has not joined the pool at .+\n.+\n {2}fix: type "potluck invite"/);
    }
  });

  it('a peer that runs already is in as soon as its machine has joined', async () => {
    const [port] = (await freePorts(1)) as [number];
    const peer = peerOn('early', port);
    await peer.said('trying again');
    expect(await on('early', 'join', (await invited()).token)).toMatchObject({ status: 0 });
    await peer.said('joined the pool of the tracker');
  });
});

describe('invite', () => {
  it('lists and ends invitations', async () => {
    const { id, token } = await invited('--ttl', '30min', '--role', 'runner', '--name', 'cellar');
    expect(json<Record<string, unknown>[]>(await here('invite', '--list', '--json'))[0]).toMatchObject({ id, state: 'open', role: 'runner', used: 0, joins: 1, name: 'cellar' });
    expect((await here('invite', '--list')).stdout).toContain(id);
    expect(await here('invite', '--revoke', id)).toMatchObject({ status: 0 });
    expect(await on('cellar', 'join', token)).toMatchObject({ status: 6, stderr: expect.stringContaining('this invitation was revoked') as string });
    expect(await here('invite', '--revoke', 'nope')).toMatchObject({ status: 6 });
  });

  it.each([
    ['--ttl', '1y'],
    ['--ttl', '0s'],
    ['--ttl', '99d'],
    ['--joins', '0'],
    ['--role', 'boss'],
    ['--name', 'a b'],
    ['--address', 'nowhere'],
    ['--list', '--revoke', 'x'],
  ])('with a wrong flag is wrong use: %s %s', async (...flags) => {
    expect(await here('invite', ...flags)).toMatchObject({ status: 2, stdout: '' });
  });

  it('is for admins: a member is refused, and that is in the audit', async () => {
    await on('plain', 'join', (await invited('--name', 'plain')).token);
    expect(await on('plain', 'invite')).toMatchObject({ status: 6, stdout: '' });
    expect(await on('plain', 'revoke', 'plain')).toMatchObject({ status: 6 });
    expect((await here('audit')).stdout).toMatch(/refused +plain .*does not allow invite/);
    // An admin may, from another machine.
    await on('boss', 'join', (await invited('--role', 'admin')).token);
    expect(await on('boss', 'revoke', 'plain')).toMatchObject({ status: 0 });
  });
});

describe('a newcomer that is killed', () => {
  it('at any moment of a join has joined, or joins by the same command; the invitation is used once', async () => {
    for (let round = 0; round < 6; round += 1) {
      const { id, token } = await invited('--joins', '1');
      const name = `killed-${round}`;
      const joining = pool.start(['join', token], { env: { POTLUCK_HOME: folderOf(name) } });
      await new Promise((resolve) => setTimeout(resolve, 150 + round * 50));
      joining.process.kill('SIGKILL');
      await joining.ended;
      expect(await on(name, 'join', token)).toMatchObject({ status: 0 });
      expect(json<{ id: string; used: number }[]>(await here('invite', '--list', '--json')).find((each) => each.id === id)).toMatchObject({ used: 1 });
      expect(await on(name, 'members')).toMatchObject({ status: 0 });
    }
  }, 120_000);
});

describe('a tracker that is killed', () => {
  it('at any moment of a join has the member and the use, or neither; who tries again is in, once', async () => {
    for (let round = 0; round < 6; round += 1) {
      const { id, token } = await invited('--joins', '1');
      const name = `crash-${round}`;
      const joining = on(name, 'join', token);
      await new Promise((resolve) => setTimeout(resolve, 120 + round * 60));
      await pool.tracker.kill('SIGKILL');
      const first = await joining;
      await pool.tracker.restart();
      const row = json<{ id: string; used: number }[]>(await here('invite', '--list', '--json')).find((each) => each.id === id);
      expect([0, 1]).toContain(row!.used);
      if (first.status === 0) expect(row!.used).toBe(1);
      expect(await on(name, 'join', token)).toMatchObject({ status: 0 });
      expect(await on(`${name}-late`, 'join', token)).toMatchObject({ status: 6 });
    }
    const log = pool.tracker.log();
    expect(log).not.toContain('damaged');
    expect(readFileSync(join(pool.folder, 'pool.json'), 'utf8')).toContain('pool of');
  }, 120_000);
});
