/** `potluck up` and `potluck down` with real trackers and peers. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freePorts } from '../../src/main/free-ports.ts';
import { isAlive, readRunning, writeRunning, type RunningPool } from '../../src/main/up-file.ts';
import { buildProgram, Program } from '../cli/built.ts';

let built: Awaited<ReturnType<typeof buildProgram>>;
let folder: string;
const started: Program[] = [];
beforeAll(async () => {
  built = await buildProgram();
});
afterAll(() => built.remove());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-up-'));
});
afterEach(async () => {
  for (const program of started.splice(0)) {
    program.process.kill('SIGKILL');
    await program.ended;
  }
  // Children of a killed parent need a moment to notice.
  await until(() => left().length === 0, 'no process is left');
  rmSync(folder, { recursive: true, maxRetries: 5 });
});

/** Away from the usual ports, where somebody's own pool may run. */
const ports = ['--port', '19400', '--web-port', '19500', '--tracker-port', '19600'];

function start(...args: string[]): Program {
  const program = new Program(built.cli, args, { POTLUCK_HOME: folder });
  started.push(program);
  return program;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within 15 s: ${what}`);
    await sleep(20);
  }
}

const partsOf = (pool: RunningPool) => [pool.tracker, ...pool.peers];
const anyAlive = (pool: RunningPool) => partsOf(pool).some(({ pid }) => isAlive(pid));

let known: RunningPool[] = [];
const left = (): number[] => known.flatMap((pool) => partsOf(pool).map(({ pid }) => pid)).filter((pid) => isAlive(pid));

async function up(...more: string[]): Promise<{ program: Program; pool: RunningPool }> {
  const program = start('up', '--peers', '2', '--slots', '1', '--json', ...ports, ...more);
  await program.said('}\n');
  expect(program.out, program.err).toContain('"peers"');
  const pool = JSON.parse(program.out) as RunningPool;
  known = [pool];
  return { program, pool };
}

describe('up', () => {
  it('is up when its peers know each other, and Ctrl+C stops all of it in order', async () => {
    const { program, pool } = await up();
    expect(pool.peers.map(({ port }) => port)).toEqual([19_400, 19_401]);
    const peers = await start('peers', '--port', '19400', '--json').ended;
    expect(JSON.parse(peers.out)).toMatchObject([{ state: 'up' }, { state: 'up' }]);
    expect(await start('cpu', '--port', '19401', '--program', 'def main(x): return x * x', '--args', '[5]').ended).toMatchObject({ status: 0, out: '25\n' });
    program.process.kill('SIGINT');
    expect((await program.ended).status).toBe(0);
    expect(anyAlive(pool)).toBe(false);
    expect(readRunning(folder)).toBeUndefined();
    expect(readdirSync(pool.logFolder)).toHaveLength(3);
  });

  it('leaves nobody behind, even killed', async () => {
    const { program, pool } = await up();
    program.process.kill('SIGKILL');
    await program.ended;
    await until(() => !anyAlive(pool), 'its children have ended');
    expect(readRunning(folder)).toBeUndefined();
  });

  it('tells when a process of it ends, and how to start it again', async () => {
    const { program, pool } = await up();
    process.kill(pool.peers[1]!.pid, 'SIGKILL');
    await program.said('ended by SIGKILL; start it again: potluck peer --host 127.0.0.1 --port 19401');
    expect(program.process.exitCode).toBeNull();
    for (const { pid } of [pool.tracker, pool.peers[0]!]) process.kill(pid, 'SIGKILL');
    expect(await program.ended).toMatchObject({ status: 6, out: expect.stringContaining('every process of the pool has ended') as string });
  });

  it('in the background returns when it is up; down ends it; neither does it twice', async () => {
    const args = ['up', '--peers', '1', '--slots', '1', '--detach', '--json', ...ports];
    const first = await start(...args).ended;
    const pool = JSON.parse(first.out) as RunningPool;
    known = [pool];
    expect(first.status).toBe(0);
    expect(anyAlive(pool)).toBe(true);
    expect(await start(...args).ended).toMatchObject({ status: 6, out: expect.stringContaining('pool_running') as string });
    expect(await start('down').ended).toMatchObject({ status: 0, out: 'stopped the tracker and 1 peer\n' });
    expect(anyAlive(pool)).toBe(false);
    expect(await start('down').ended).toMatchObject({ status: 6, err: expect.stringContaining('no pool started by potluck up') as string });
  });

  it('twice at the same moment, in two folders, gives two pools on ports of their own', async () => {
    const other = mkdtempSync(join(tmpdir(), 'potluck-up-'));
    const upIn = (home: string) => {
      const program = new Program(built.cli, ['up', '--peers', '2', '--slots', '1', '--detach', '--json'], { POTLUCK_HOME: home });
      started.push(program);
      return program.ended;
    };
    try {
      const both = await Promise.all([upIn(folder), upIn(other)]);
      expect(both, JSON.stringify(both)).toMatchObject([{ status: 0 }, { status: 0 }]);
      known = both.map(({ out }) => JSON.parse(out) as RunningPool);
      const all = known.flatMap((pool) => partsOf(pool).map(({ port }) => port));
      expect(new Set(all).size).toBe(all.length);
    } finally {
      for (const home of [folder, other]) await new Program(built.cli, ['down'], { POTLUCK_HOME: home }).ended;
      rmSync(other, { recursive: true, maxRetries: 5 });
    }
  });

  it('refuses a port that was asked for and is taken, and leaves nothing', async () => {
    const server = await listenOn(19_401);
    const { status, err } = await start('up', '--peers', '2', ...ports).ended;
    server.close();
    expect(status).toBe(2);
    expect(err).toContain('port 19401 is taken');
    expect(readRunning(folder)).toBeUndefined();
  });
});

function listenOn(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

describe('ports', () => {
  it('by default pass over those that are taken; no two are the same', async () => {
    const server = await listenOn(19_701);
    const taken = new Set<number>();
    expect(await freePorts({ port: 19_700, typed: false }, 3, '--port', taken)).toEqual([19_700, 19_702, 19_703]);
    expect(await freePorts({ port: 19_700, typed: false }, 1, '--port', taken)).toEqual([19_704]);
    await expect(freePorts({ port: 19_701, typed: true }, 1, '--port', new Set())).rejects.toMatchObject({ code: 'port_in_use', fix: expect.stringContaining('--port') as string });
    server.close();
  });
});

const poolOf = (pid: number) => ({ pid, tracker: {}, peers: [], logFolder: '' }) as unknown as RunningPool;

describe('the note of a running pool', () => {
  it('counts only while its very process lives', () => {
    writeRunning(folder, poolOf(process.pid));
    expect(readRunning(folder)).toMatchObject({ pid: process.pid });
    const path = join(folder, 'up.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"started": "[^"]*"/, '"started": "another time"'));
    expect(readRunning(folder)).toBeUndefined();
  });

  it('that is damaged is named', () => {
    writeFileSync(join(folder, 'up.json'), '{');
    expect(() => readRunning(folder)).toThrowError(expect.objectContaining({ code: 'file_unreadable' }));
  });
});
