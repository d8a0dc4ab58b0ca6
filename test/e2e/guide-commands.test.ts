/** The guide as it is typed: a tracker, three peers, each a process of its own; and the order in which they come. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { connect } from '../../src/sdk/index.ts';
import { freePorts, processesOf, Started, type Ran } from './processes.ts';
import { Notes, gated } from './programs.ts';
import { until } from './until.ts';

let folder: string;
const commands: Started[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-guide-'));
});
afterEach(async () => {
  const running = commands.splice(0);
  for (const { process: child } of running) child.kill('SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
  await until('no process is left', () => processesOf(folder).length === 0);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

function start(...args: string[]): Started {
  const command = new Started(args, { POTLUCK_HOME: folder });
  commands.push(command);
  return command;
}
const run = (...args: string[]): Promise<Ran> => start(...args).ended;

const startTracker = (port: number) => start('tracker', '--port', String(port));
const startPeer = (tracker: number, ...more: string[]) => start('peer', '--tracker-port', String(tracker), '--slots', '1', ...more);

/** Resolves when the peer on the port knows so many that are up. */
async function sees(port: number, count: number): Promise<void> {
  await until(`the peer on ${port} sees ${count}`, async () => {
    const pool = await connect({ host: '127.0.0.1', port, home: folder });
    try {
      return (await pool.peers()).filter(({ state }) => state === 'up').length === count;
    } finally {
      await pool.close();
    }
  });
}

function occupy(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

describe('the guide', () => {
  it('a tracker and three peers with pages: 25 and 5050 alone on stdout, status of the second', async () => {
    const [tracker, ...ports] = (await freePorts(7)) as [number, ...number[]];
    const peers = ports.slice(0, 3);
    const pages = ports.slice(3);
    await startTracker(tracker).said(`listens on 127.0.0.1:${tracker}`);
    await Promise.all(peers.map((port, at) => startPeer(tracker, '--port', String(port), '--web-ui', '--web-port', String(pages[at])).said('joined the pool')));
    await sees(peers[0]!, 3);

    const client = ['client', '--host', '127.0.0.1', '--port'];
    const square = await run(...client, String(peers[0]), 'cpu', '--program', 'def main(x): return x * x', '--function', 'main', '--args', '[5]');
    expect(square).toMatchObject({ status: 0, stdout: '25\n' });
    const sum = await run(...client, String(peers[0]), 'cpu', '--program', 'def main(n): return sum(range(1, n+1))', '--function', 'main', '--args', '[100]');
    expect(sum).toMatchObject({ status: 0, stdout: '5050\n' });
    const status = await run(...client, String(peers[1]), 'status');
    expect(status.status).toBe(0);
    expect(status.stdout).toMatch(new RegExp(`^peer \\S+-${peers[1]} .*`));
    expect(status.stdout).toContain(`tracker 127.0.0.1:${tracker} connected`);
    expect(status.stdout).toContain('health: all is well');
    for (const page of pages.slice(0, 3)) expect((await fetch(`http://127.0.0.1:${page}/`)).status).toBe(200);
  });
});

describe('a peer started before the tracker', () => {
  it('says so once, keeps trying, works alone meanwhile, and joins when the tracker appears', async () => {
    const [tracker, port] = (await freePorts(2)) as [number, number];
    const peer = startPeer(tracker, '--port', String(port));
    await peer.said(`no tracker answers at 127.0.0.1:${tracker}: nothing listens on that port; trying again`);
    expect(await run('cpu', '--port', String(port), '--program', 'def main(x): return x * x', '--args', '[5]')).toMatchObject({ status: 0, stdout: '25\n' });
    const { stdout } = await run('status', '--port', String(port));
    expect(stdout).toContain(`no tracker at 127.0.0.1:${tracker}`);
    expect(peer.stdout.split('trying again')).toHaveLength(2);
    startTracker(tracker);
    await peer.said('joined the pool');
    await sees(port, 1);
  });
});

describe('a tracker and three peers started at the same moment on an empty folder', () => {
  it('make one pool', async () => {
    const [tracker, ...ports] = (await freePorts(4)) as [number, ...number[]];
    for (const port of ports) startPeer(tracker, '--port', String(port));
    startTracker(tracker);
    await Promise.all(ports.map((port) => sees(port, 3)));
    const pools = await Promise.all(ports.map(async (port) => (JSON.parse((await run('status', '--port', String(port), '--json')).stdout) as { pool: string }).pool));
    expect(new Set(pools).size).toBe(1);
    expect(pools[0]).not.toBe('');
  });
});

describe('a port', () => {
  it('that was typed and is taken is an error, found before the store is opened, with a free one named', async () => {
    const [tracker, port] = (await freePorts(2)) as [number, number];
    const server = await occupy(port);
    const { status, stdout, stderr } = await startPeer(tracker, '--port', String(port), '--name', 'late').ended;
    server.close();
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^error: .*${port}.*\\n  why: .+\\n  fix: .*--port \\d+`));
    expect(existsSync(join(folder, 'peers', 'late'))).toBe(false);
  });

  it('of the page that was typed and is taken is an error, too, and nothing stays behind', async () => {
    const [tracker, port, page] = (await freePorts(3)) as [number, number, number];
    const server = await occupy(page);
    const { status, stderr } = await startPeer(tracker, '--port', String(port), '--name', 'late', '--web-ui', '--web-port', String(page)).ended;
    server.close();
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: .+\n {2}why: .+\n {2}fix: .*--web-port/);
    expect(existsSync(join(folder, 'peers', 'late'))).toBe(false);
  });

  it('of the tracker that is taken is an error', async () => {
    const [tracker] = (await freePorts(1)) as [number];
    const server = await occupy(tracker);
    const { status, stderr } = await startTracker(tracker).ended;
    server.close();
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: .+\n {2}why: .+\n {2}fix: .+--port/);
  });

  it('that was not typed and is taken gives way to the next free one, which is printed', async () => {
    const [tracker] = (await freePorts(1)) as [number];
    // Somebody's own pool may have the usual port already.
    const server = await occupy(9000).catch(() => undefined);
    const peer = startPeer(tracker, '--web-ui', '--json');
    await peer.said('}\n');
    server?.close();
    const { port, web, peer: name } = JSON.parse(peer.stdout) as { port: number; web: string; peer: string };
    expect(port).toBeGreaterThan(9000);
    expect(name).toMatch(new RegExp(`-${port}$`));
    expect(web).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(readdirSync(join(folder, 'peers'))).toEqual([name]);
  });
});

describe('a peer that was started with nice', () => {
  it('runs its tasks, which are nicer still', async () => {
    const [tracker, port] = (await freePorts(2)) as [number, number];
    const peer = startPeer(tracker, '--port', String(port));
    await peer.said('listens on');
    setPriority(peer.process.pid!, 10);
    const program = 'import os\ndef main(): return os.getpriority(os.PRIO_PROCESS, 0)';
    expect(await run('cpu', '--port', String(port), '--quiet', '--fresh', '--program', program)).toMatchObject({ status: 0, stdout: '13\n' });
  });
});

describe('SIGTERM', () => {
  const holding = async (drainSeconds: string) => {
    const [tracker, port] = (await freePorts(2)) as [number, number];
    const peer = startPeer(tracker, '--port', String(port), '--name', 'p0', '--drain-seconds', drainSeconds);
    await peer.said('listens on');
    const notes = new Notes(folder);
    expect((await run('cpu', '--port', String(port), '--detach', '--id', 'held', '--program', gated, '--args', JSON.stringify([notes.path, 'held', notes.gate('g')]))).status).toBe(0);
    await until('it runs', () => notes.count('held') === 1);
    return { peer, port, tracker, notes };
  };

  it('drains: nothing new is accepted, what runs may end and is recorded', async () => {
    const { peer, port, tracker, notes } = await holding('30');
    peer.process.kill('SIGTERM');
    await peer.said('running tasks have 30 s to end');
    const refused = await run('cpu', '--port', String(port), '--program', 'def main(): return 1');
    expect(refused.status, refused.stderr).toBe(6);
    expect(refused.stderr).toContain('shutting down');
    notes.open('g');
    expect((await peer.ended).status).toBe(0);
    expect(notes.lines()).toEqual(['held', 'held ended']);

    const again = startPeer(tracker, '--port', String(port), '--name', 'p0');
    await again.said('listens on');
    expect(await run('wait', 'held', '--port', String(port), '--quiet')).toMatchObject({ status: 0, stdout: '"held"\n' });
    expect(notes.count('held')).toBe(1);
  });

  it('gives back what runs longer than it may, as often as it takes: no loss is counted', async () => {
    const { peer, port, tracker, notes } = await holding('0');
    let running = peer;
    for (let stops = 1; stops <= limits.lossesMax; stops += 1) {
      running.process.kill('SIGTERM');
      expect((await running.ended).status).toBe(0);
      running = startPeer(tracker, '--port', String(port), '--name', 'p0', '--drain-seconds', '0');
      await until('it runs again', () => notes.count('held') === stops + 1);
    }
    const { state, attempts } = JSON.parse((await run('task', 'held', '--port', String(port), '--json')).stdout) as { state: string; attempts: { state: string; reason: string }[] };
    expect(['assigned', 'running']).toContain(state);
    expect(attempts.slice(0, -1)).toEqual(Array.from({ length: limits.lossesMax }, () => expect.objectContaining({ state: 'moved', reason: 'p0 was stopped' })));
    notes.open('g');
    expect(await run('wait', 'held', '--port', String(port), '--quiet')).toMatchObject({ status: 0, stdout: '"held"\n' });
  });

  it('a second time goes at once, and leaves no worker', async () => {
    const { peer, notes } = await holding('60');
    peer.process.kill('SIGTERM');
    await peer.said('running tasks have 60 s to end');
    const began = performance.now();
    peer.process.kill('SIGTERM');
    expect((await peer.ended).status).toBe(130);
    await until('no process is left', () => processesOf(folder).length === 0, 3_000);
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(notes.count('held ended')).toBe(0);
  });
});
