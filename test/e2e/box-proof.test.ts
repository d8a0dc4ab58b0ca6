/** A peer takes other members' tasks only when the probes have shown that its box holds; the level that it advertises is the proven one. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PoolOfKeys, type RunningPeer } from '../attack/pool-of-keys.ts';
import type { Pool } from '../../src/sdk/index.ts';
import { until } from './until.ts';

const WHERE = 'import os\ndef main(): return os.getcwd()';
/** Probes on a busy machine. */
const PROOF_MS = 60_000;

describe('a peer in a pool with other members', () => {
  let pool: PoolOfKeys;
  let alice: Pool;
  let home: RunningPeer;
  const proven = () => join(pool.member('bob').folder, 'probes', 'proven.json');
  const seen = async (peer: RunningPeer) => (await alice.peers()).find((row) => row.peer === peer.name);
  const cpu = (...args: string[]) => pool.cli('alice', ['cpu', '--port', String(home.port), '--program', WHERE, '--json', ...args]);

  beforeAll(async () => {
    pool = await PoolOfKeys.make({ alice: 'admin', bob: 'member' });
    await pool.startTracker('alice');
    home = await pool.startPeer('alice', ['--slots', '0']);
    alice = await pool.client('alice', home);
  });
  afterAll(() => pool.stop());

  it('runs their tasks in its box once the probes have shown level 2; its next start believes them', async () => {
    const first = await pool.startPeer('bob');
    await until('the box is proven', async () => (await seen(first))?.accepts === 'members' && (await seen(first))?.isolation === 2, PROOF_MS);
    expect(JSON.parse(readFileSync(proven(), 'utf8'))).toMatchObject({ box: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    const { stdout, status } = await cpu();
    expect({ status, ...(JSON.parse(stdout) as object) }).toMatchObject({ status: 0, peer: first.name, result: '/scratch' });
    first.process.process.kill('SIGTERM');
    await first.process.ended;

    const written = readFileSync(proven(), 'utf8');
    const second = await pool.startPeer('bob');
    await until('it takes tasks at once', async () => (await seen(second))?.accepts === 'members', 5_000);
    expect(readFileSync(proven(), 'utf8')).toBe(written);
    second.process.process.kill('SIGTERM');
    await second.process.ended;
  });

  it('with a wall taken away advertises the level below, says which probe broke, and takes none', async () => {
    const bin = mkdtempSync(join(pool.root, 'bin-'));
    for (const folder of [pool.root, bin]) chmodSync(folder, 0o755);
    const real = execFileSync('sh', ['-c', 'command -v bwrap'], { encoding: 'utf8' }).trim();
    writeFileSync(join(bin, 'bwrap'), `#!/bin/bash\nkept=()\nfor word; do [ "$word" = --unshare-net ] || kept+=("$word"); done\nexec ${real} "\${kept[@]}"\n`, { mode: 0o755 });
    const peer = await pool.startPeer('bob', [], { env: { PATH: `${bin}:${process.env['PATH'] ?? ''}` } });
    await peer.process.said('takes only tasks of its own user');
    expect(peer.process.stdout).toMatch(/isolation 1.*\(a task can .* \(probe [a-z-]+\)\); to change that: potluck doctor/);
    await until('it advertises less', async () => (await seen(peer))?.isolation === 1 && (await seen(peer))?.accepts === 'own', 5_000);
    const { stdout, status } = await cpu('--wait', '2');
    expect(status).not.toBe(0);
    expect(stdout).not.toContain('/scratch');
    // Its own user's tasks run all the same.
    const own = await pool.cli('bob', ['cpu', '--port', String(peer.port), '--program', WHERE, '--json']);
    expect(JSON.parse(own.stdout)).toMatchObject({ state: 'done', peer: peer.name });
  });
});

describe('while the probes run', () => {
  let pool: PoolOfKeys;
  beforeAll(async () => {
    pool = await PoolOfKeys.make({ alice: 'admin', bob: 'member' });
    await pool.startTracker('alice');
  });
  afterAll(() => pool.stop());

  const runs = () => readdirSync(join(pool.member('bob').folder, 'probes')).filter((name) => name.startsWith('run-'));
  const decoysOf = (pid: number) => ['/tmp', '/var/tmp', '/dev/shm', '/run'].filter((folder) => existsSync(folder)).flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith(`potluck-run-${pid}-`)));

  it('own tasks run at once; a peer that is stopped then puts everything away', async () => {
    const peer = await pool.startPeer('bob');
    await until('the probes run', () => existsSync(join(pool.member('bob').folder, 'probes', 'measuring')) && runs().length > 0);
    const own = await pool.cli('bob', ['cpu', '--port', String(peer.port), '--program', WHERE, '--json']);
    expect(JSON.parse(own.stdout)).toMatchObject({ state: 'done', peer: peer.name });
    const pid = peer.process.process.pid!;
    peer.process.process.kill('SIGTERM');
    expect(await peer.process.ended).toMatchObject({ status: 0 });
    expect([...readdirSync(join(pool.member('bob').folder, 'probes')).filter((name) => name !== 'proven.json'), ...decoysOf(pid)]).toEqual([]);
  });

  it('peers of one folder that start together measure once', async () => {
    const peers = await Promise.all([pool.startPeer('bob'), pool.startPeer('bob'), pool.startPeer('bob')]);
    const seen = new Set<string>();
    const look = setInterval(() => {
      for (const run of runs()) seen.add(run);
    }, 20);
    const home = await pool.startPeer('alice', ['--slots', '0']);
    const alice = await pool.client('alice', home);
    await until('all take tasks of others', async () => {
      const rows = await alice.peers();
      return peers.every(({ name }) => rows.some(({ peer, accepts }) => peer === name && accepts === 'members'));
    }, PROOF_MS);
    clearInterval(look);
    expect(seen.size).toBeLessThanOrEqual(1);
  });
});
