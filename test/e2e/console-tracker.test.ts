/** What a tracker shows: in a pipe one line per event, on a terminal a table that repaints, with --json documents. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/sdk/index.ts';
import { command, environment, freePorts, processesOf, Started } from './processes.ts';
import { sleeping } from './programs.ts';
import { until } from './until.ts';

let folder: string;
let port: string;
let peerPort: string;
const commands: Started[] = [];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-console-'));
  [port, peerPort] = (await freePorts(2)).map(String) as [string, string];
});
afterEach(async () => {
  const running = commands.splice(0);
  for (const { process: child } of running) child.kill('SIGKILL');
  await Promise.all(running.map(({ ended }) => ended));
  await until('no process is left', () => processesOf(folder).length === 0);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

function start(...args: string[]): Started {
  const started = new Started(args, { POTLUCK_HOME: folder });
  commands.push(started);
  return started;
}
const startPeer = () => start('peer', '--port', peerPort, '--name', 'p0', '--slots', '2', '--tracker-port', port);
const sleepOf = (seconds: number) => start('cpu', '--port', peerPort, '--quiet', '--program', `import time\ndef main(): time.sleep(${seconds})`).ended;

describe('in a pipe', () => {
  it('is one line per event: registered, load, suspected, lost, back', async () => {
    const tracker = start('tracker', '--port', port);
    await tracker.said('listens on');
    const peer = startPeer();
    await tracker.said(`p0 registered: 127.0.0.1:${peerPort}, 2 slots, python 3.`);
    await sleepOf(1.5);
    await tracker.said('p0 1/2 slots running');
    await tracker.said('p0 0/2 slots running');
    peer.process.kill('SIGKILL');
    await tracker.said('p0 suspected');
    await tracker.said('p0 lost');
    startPeer();
    await tracker.said('p0 is back');
    const lines = tracker.stdout.trimEnd().split('\n').slice(2);
    for (const line of lines) expect(line).toMatch(/^\d\d:\d\d:\d\d p0 \S/);
    expect(tracker.stdout).not.toContain('\u001b');
    expect(tracker.stderr).toBe('');
  });

  it('is not a line per task: loads of one peer are a second apart', async () => {
    const tracker = start('tracker', '--port', port);
    startPeer();
    await tracker.said('p0 registered');
    const began = performance.now();
    const pool = await connect({ host: '127.0.0.1', port: Number(peerPort), home: folder });
    for (let at = 0; at < 40; at += 1) await pool.submit({ language: 'python', program: sleeping, args: [0.05] });
    await pool.close();
    const seconds = (performance.now() - began) / 1000;
    const loads = tracker.stdout.split('\n').filter((line) => line.includes('slots running')).length;
    expect(loads).toBeLessThanOrEqual(Math.ceil(seconds) + 2);
  });
});

it('with --json: one document when it listens, then one for each event, and nothing else', async () => {
  const tracker = start('tracker', '--port', port, '--json');
  await tracker.said('}\n');
  const peer = startPeer();
  await tracker.said('"event":"registered"');
  peer.process.kill('SIGKILL');
  await tracker.said('"event":"suspected"');
  const [first, ...events] = tracker.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toMatchObject({ addresses: [`127.0.0.1:${port}`], pid: tracker.pid });
  expect(events[0]).toMatchObject({ event: 'registered', peer: 'p0', host: '127.0.0.1', port: Number(peerPort), slots: 2 });
});

it('on all addresses: names those at which other machines find it', async () => {
  const tracker = start('tracker', '--host', '0.0.0.0', '--port', port, '--json');
  await tracker.said('}\n');
  const lan = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal);
  const { addresses } = JSON.parse(tracker.stdout) as { addresses: string[] };
  expect(addresses).toEqual(expect.arrayContaining([`127.0.0.1:${port}`, ...lan.slice(0, 3).map(({ address }) => `${address}:${port}`)]));
});

describe('on a terminal', () => {
  /** Runs the tracker on a pseudo-terminal and gives what it wrote there. */
  const onTerminal = (env: Record<string, string>) => {
    const script = `
import pty, sys
pty.spawn(sys.argv[1:])
`;
    const child = spawn('python3', ['-c', script, process.execPath, command, 'tracker', '--port', port], { env: environment({ POTLUCK_HOME: folder, TERM: 'xterm-256color', ...env }), stdio: ['pipe', 'pipe', 'inherit'] });
    const screen = { text: '', child };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (screen.text += text));
    return screen;
  };

  it('is a table that repaints in place', async () => {
    const screen = onTerminal({});
    try {
      startPeer();
      await until('it shows the peer', () => screen.text.includes('PEER') && /p0 +up +0\/2/.test(screen.text));
      await sleepOf(1);
      await until('it shows the load', () => /p0 +up +1\/2/.test(screen.text));
      // Up by the lines of the table, and everything below cleared.
      expect(screen.text).toContain('\u001b[2A\r\u001b[0J');
      expect(screen.text).toContain('p0 registered');
      expect(screen.text).not.toContain('slots running');
    } finally {
      screen.child.kill('SIGKILL');
    }
  });
});
