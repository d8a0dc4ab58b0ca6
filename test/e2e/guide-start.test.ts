/** `npm start` and `potluck up` as a newcomer types them: on the usual ports, or the next free ones. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { environment, processesOf, Started } from './processes.ts';
import { until } from './until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-start-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const run = (...args: string[]) => new Started(args, { POTLUCK_HOME: folder }).ended;

describe('npm start', () => {
  it('with --exit shows results and which peer ran each, ends with 0 and leaves nothing running', async () => {
    // It would install them, under the feet of the tests that run meanwhile.
    const changedAt = (path: string) => statSync(join(root, path)).mtimeMs;
    expect(changedAt('node_modules/.package-lock.json'), 'the packages are older than package-lock.json: npm test installs them first').toBeGreaterThanOrEqual(changedAt('package-lock.json'));
    const child = spawn('npm', ['start', '--silent', '--', '--exit'], { cwd: root, env: environment({ POTLUCK_HOME: folder }), stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect(status, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/ran on \S+-\d+ +→ 25\n/);
    expect(stdout).toMatch(/ran on \S+-\d+ +→ 5050\n/);
    expect(stdout).toContain(`→ ${2n ** 200n}\n`);
    await until('no process is left', () => processesOf(folder).length === 0, 5_000);
  });
});

describe('potluck up', () => {
  it('in the background: names processes, addresses and logs; runs a task; down stops all of it', async () => {
    const up = await run('up', '--detach', '--slots', '1');
    expect(up).toMatchObject({ status: 0 });
    expect(up.stdout).toMatch(/^tracker +\d+ +127\.0\.0\.1:\d+/m);
    expect(up.stdout.match(/^peer +\d+ +127\.0\.0\.1:\d+ +http:\/\/127\.0\.0\.1:\d+/gm)).toHaveLength(3);
    expect(up.stdout).toContain('logs: ');
    // The command that it suggests, as it stands there.
    const port = /potluck cpu(?: --port (\d+))?/.exec(up.stdout)?.[1] ?? '9000';
    expect(await run('cpu', '--port', port, '--program', 'def main(x): return x * x', '--args', '[5]')).toMatchObject({ status: 0, stdout: '25\n' });
    expect(await run('down')).toMatchObject({ status: 0, stdout: 'stopped the tracker and 3 peers\n' });
    await until('no process is left', () => processesOf(folder).length === 0, 5_000);
  });
});
