import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InterpreterError, probeInterpreter } from '../../src/sandbox/interpreters.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';
import type { WorkerEvent } from '../../src/sandbox/types.ts';
import { Workers } from '../../src/sandbox/workers.ts';
import { eventually, guestsFolder } from './harness.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-interpreters-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('a shim is seen through: the path is the interpreter’s own', async () => {
  const real = await probeInterpreter('python');
  const shim = script('python-shim', `exec ${real.path} "$@"`);
  const found = await probeInterpreter('python', shim);
  expect(realpathSync(found.path)).toBe(realpathSync(real.path));
  expect(found.version).toMatch(/^3\.\d+\.\d+$/);
});

test('node is the one that runs this', async () => {
  const found = await probeInterpreter('javascript');
  expect(found).toMatchObject({ path: process.execPath, version: process.versions.node });
});

test.each([
  ['absent', '/nowhere/python3', 'python cannot be run as /nowhere/python3: no such program'],
  ['not an interpreter', 'echo', 'does not answer as python does'],
])('one that is %s', async (_name, path, message) => {
  await expect(probeInterpreter('python', path)).rejects.toThrow(InterpreterError);
  await expect(probeInterpreter('python', path)).rejects.toThrow(message);
});

test('one that is too old is refused with the version that is needed', async () => {
  const old = script('python-old', `echo '["/usr/bin/python2", "2.7.18", ""]'`);
  await expect(probeInterpreter('python', old)).rejects.toThrow('/usr/bin/python2 is python 2.7.18; 3.8 or newer is needed');
});

/** The events of one worker that cannot start. */
async function failingStart(path: string, useCgroups: boolean): Promise<WorkerEvent[]> {
  const events: WorkerEvent[] = [];
  const workers = new Workers({
    scratchRoot: join(folder, 'scratch'),
    interpreters: { python: { language: 'python', path, version: '3.0.0', env: {} } },
    guestsFolder,
    level: await probeLevel(useCgroups),
    onEvent: (event) => events.push(event),
  });
  await workers.start();
  workers.spawn({ worker: 'a', language: 'python', memoryMb: null, name: 'attic' });
  workers.feed('a', [{ job: 1, programHash: 'x', source: new Uint8Array(), function: 'main', args: Buffer.from('[]'), kwargs: null }]);
  await eventually(() => events.some((event) => event.type === 'gone'), 'it is gone');
  await workers.stop();
  return events.filter((event) => event.type !== 'output');
}

test.each([true, false])('a worker whose interpreter is gone says so, and is gone (cgroups: %s)', async (useCgroups) => {
  const why = expect.stringContaining('cannot be started') as string;
  const expected = [{ type: 'exited', ready: false, unanswered: [1], why }, { type: 'gone' }];
  expect(await failingStart(join(folder, 'python-that-was'), useCgroups)).toMatchObject(expected);
});

test.each([true, false])('a worker whose interpreter breaks at once says how (cgroups: %s)', async (useCgroups) => {
  const broken = script('python-broken', 'echo "no module named encodings" >&2; exit 3');
  const why = 'the python interpreter ended before it was ready, with exit code 3: no module named encodings';
  const expected = [{ type: 'exited', ready: false, code: 3, unanswered: [1], why }, { type: 'gone' }];
  expect(await failingStart(broken, useCgroups)).toMatchObject(expected);
});

test('the level is what was tried, and what is missing is said', async () => {
  const without = await probeLevel(false);
  expect(without.cgroup).toBeNull();
  // What runs as root can undo its limits.
  expect(without.level).toBe(process.platform === 'linux' && process.getuid?.() !== 0 ? 1 : 0);
  expect(without.missing).toContain('no cgroup');
  const probed = await probeLevel();
  expect(probed.cgroup === null).toBe(probed.missing !== '');
});
