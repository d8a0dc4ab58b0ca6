/** Nobody outlives a parent that was killed: not the processes of `up`, not their workers, not what those started. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connect } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { freePorts, isAlive, processesOf, Started } from './processes.ts';
import { until } from './until.ts';

/** A child in a session of its own, then a loop that never ends. */
const program = `
import os, subprocess, time
def main(path):
    child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
    print(os.getpid(), child.pid, flush=True)
    while True: pass
`;
const GONE_MS = 6_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-e2e-up-'));
});
afterEach(() => {
  for (const { pid } of processesOf(folder)) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

it('potluck up killed with SIGKILL: tracker, peers, busy workers and their children are gone in seconds', async () => {
  const [port, webPort, trackerPort] = (await freePorts(3)) as [number, number, number];
  const up = new Started(['up', '--peers', '2', '--slots', '1', '--json', '--port', String(port), '--web-port', String(webPort), '--tracker-port', String(trackerPort)], { POTLUCK_HOME: folder });
  await up.said('}\n');
  const { tracker, peers } = JSON.parse(up.stdout) as { tracker: { pid: number }; peers: { pid: number; port: number }[] };
  const client = await connect({ host: '127.0.0.1', port: peers[0]!.port, home: folder, giveUpMs: 1_000 });
  const pids = [tracker.pid, ...peers.map(({ pid }) => pid)];
  let printed = '';
  for (const _ of peers) client.submit({ language: 'python', program, args: [''], onOutput: ({ data }) => (printed += Buffer.from(data).toString()) }).catch(() => undefined);
  await until('both run', () => printed.split('\n').length === 3);
  pids.push(...printed.trim().split(/\s+/).map(Number));
  expect(pids.filter(isAlive)).toEqual(pids);
  up.process.kill('SIGKILL');
  await up.ended;
  await until('all are gone', () => !pids.some(isAlive), GONE_MS);
  await until('nobody of the folder is left', () => processesOf(folder).length === 0, GONE_MS);
  await client.close();
});

it('a peer killed with SIGKILL: its busy worker and the children of that are gone in seconds', async () => {
  const pool = await TestPool.start({ peers: 1, slots: 1 });
  try {
    const client = await pool.client();
    let printed = '';
    client.submit({ language: 'python', program, args: [''], onOutput: ({ data }) => (printed += Buffer.from(data).toString()) }).catch(() => undefined);
    await until('it runs', () => printed.includes('\n'));
    const pids = printed.trim().split(/\s+/).map(Number);
    expect(pids.filter(isAlive)).toEqual(pids);
    await pool.peers[0]!.kill('SIGKILL');
    await until('both are gone', () => !pids.some(isAlive), GONE_MS);
  } finally {
    await pool.stop();
  }
});
