import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { foldersOf } from '../../src/sandbox/cgroup.ts';
import { probeInterpreter } from '../../src/sandbox/interpreters.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';
import { isAlive, listProcesses } from '../../src/sandbox/processes.ts';
import type { Isolation } from '../../src/sandbox/types.ts';
import { Workers } from '../../src/sandbox/workers.ts';
import { canBox, eventually, guestsFolder } from './harness.ts';

/** A peer as a process: one busy worker, with a child in a session of its own and one that forked twice. */
const PEER = `
import { probeInterpreter } from './src/sandbox/interpreters.ts';
import { probeLevel } from './src/sandbox/levels.ts';
import { Workers } from './src/sandbox/workers.ts';
const [scratchRoot, guestsFolder, isolation, home] = process.argv.slice(2);
const python = await probeInterpreter('python');
const javascript = await probeInterpreter('javascript');
const onEvent = (event) => {
  if (event.type === 'output') process.stdout.write(Buffer.from(event.data));
  if (event.type === 'ready') process.stdout.write(event.pid + '\\n');
};
const workers = new Workers({ scratchRoot, guestsFolder, interpreters: { python, javascript }, level: await probeLevel(isolation !== '0', isolation === '2' ? { interpreters: [python, javascript], guestsFolder, hidden: [home] } : null), onEvent });
await workers.start();
const program = 'import os, subprocess\\ndef main():\\n    a = subprocess.Popen(["sleep", "607"], start_new_session=True)\\n    print(a.pid, flush=True)\\n    subprocess.run(["sh", "-c", "(setsid sleep 608 >/dev/null 2>&1 & echo $!)"])\\n    print("all", flush=True)\\n    while True: pass';
workers.spawn({ worker: 'busy', language: 'python', memoryMb: 200, name: 'attic' });
workers.spawn({ worker: 'idle', language: 'javascript', memoryMb: null, name: 'attic' });
workers.feed('busy', [{ job: 1, programHash: 'x', source: Buffer.from(program), function: 'main', args: Buffer.from('[]'), kwargs: null }]);
`;

let folder: string;
let script: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-orphans-'));
  script = join(folder, 'peer.mjs');
  await build({
    stdin: { contents: PEER, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: script,
  });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Peer {
  child: ChildProcess;
  /** Of all processes that its workers are and started. */
  pids: number[];
  keeper: number;
  scratchRoot: string;
}

async function startPeer(name: string, isolation: Isolation): Promise<Peer> {
  const scratchRoot = join(folder, name);
  const child = spawn(process.execPath, [script, scratchRoot, guestsFolder, String(isolation), homedir()], { stdio: ['ignore', 'pipe', 'inherit'] });
  const told: number[] = [];
  let all = false;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'all') all = true;
    else told.push(Number(line));
    if (all && told.length === 4) break;
  }
  // Those in a box know each other by other numbers; the cgroup knows all of them.
  const pids = isolation === 2 ? membersOf(scratchRoot) : told;
  const keeper = listProcesses().find((row) => row.parent === child.pid && !pids.includes(row.pid) && !row.zombie);
  if (keeper === undefined) throw new Error('the peer has no keeper');
  return { child, pids, keeper: keeper.pid, scratchRoot };
}

async function killNow(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** All in the cgroups of the peer's workers: two boxes' processes, interpreters, and what the task left. */
function membersOf(scratchRoot: string): number[] {
  const groups = cgroupsOf({ scratchRoot }).flatMap((group) => readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => join(group, entry.name)));
  const pids = groups.flatMap((group) => readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number));
  expect(new Set(pids).size).toBeGreaterThanOrEqual(8);
  return [...new Set(pids)];
}

/** The peer's own cgroups, as it noted them. */
function cgroupsOf(peer: Pick<Peer, 'scratchRoot'>): string[] {
  const record = JSON.parse(readFileSync(join(peer.scratchRoot, 'workers.json'), 'utf8')) as { place: Parameters<typeof foldersOf>[0] | null };
  return record.place === null ? [] : foldersOf(record.place);
}

describe.each<[string, Isolation]>([
  ['in boxes', 2],
  ['in cgroups', 1],
  ['without cgroups', 0],
])('%s', (kind, isolation) => {
  if (isolation === 2 && !canBox) return it.skip('needs bubblewrap');
  test('no worker, busy or idle, survives a peer that is killed', async () => {
    const peer = await startPeer(`killed ${kind}`, isolation);
    expect(peer.pids.every(isAlive)).toBe(true);
    const groups = cgroupsOf(peer);
    expect(groups.every((group) => existsSync(group))).toBe(true);
    await killNow(peer.child);
    await eventually(() => !peer.pids.some(isAlive), 'all are dead', 2000);
    await eventually(() => !isAlive(peer.keeper), 'the keeper is done', 2000);
    expect(groups.filter((group) => existsSync(group))).toEqual([]);
  });

  test('what even the keeper did not end is ended by the next peer of the same folder', async () => {
    const peer = await startPeer(`both ${kind}`, isolation);
    const groups = cgroupsOf(peer);
    process.kill(peer.keeper, 'SIGKILL');
    await killNow(peer.child);
    // What is in a box ends with who started it.
    if (isolation < 2) expect(peer.pids.some(isAlive)).toBe(true);
    const next = new Workers({
      scratchRoot: peer.scratchRoot,
      interpreters: { python: await probeInterpreter('python') },
      guestsFolder,
      level: await probeLevel(isolation > 0),
      onEvent: () => undefined,
    });
    await next.start();
    expect(peer.pids.filter(isAlive)).toEqual([]);
    expect(groups.filter((group) => existsSync(group))).toEqual([]);
    await next.stop();
  });
});

test('a stopped peer leaves neither process, cgroup nor folder', async () => {
  const scratchRoot = join(folder, 'stopped');
  const before = new Set(listProcesses().map((row) => row.pid));
  const level = await probeLevel();
  const workers = new Workers({
    scratchRoot,
    interpreters: { python: await probeInterpreter('python') },
    guestsFolder,
    level,
    onEvent: () => undefined,
  });
  await workers.start();
  workers.spawn({ worker: 'a', language: 'python', memoryMb: null, name: 'attic' });
  const started = listProcesses().filter((row) => row.parent === process.pid && !before.has(row.pid)).map((row) => row.pid);
  expect(started.length).toBeGreaterThanOrEqual(2);
  await workers.stop();
  expect(started.filter(isAlive)).toEqual([]);
  expect(existsSync(scratchRoot)).toBe(false);
});
