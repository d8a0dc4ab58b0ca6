/**
 * Walls of a peer that is not root: the same box, built by bubblewrap alone. Where the tests run as root, that user is
 * made by setpriv; it has no cgroup to make groups in, so its level is 1, and the reason is told.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canBox, guestsFolder } from './harness.ts';

const USER = 54_321;
const SCRIPT = `
import { probeInterpreter } from './src/sandbox/interpreters.ts';
import { launch } from './src/sandbox/launch.ts';
import { probeLevel } from './src/sandbox/levels.ts';
import { filterFor } from './src/sandbox/seccomp.ts';
import { boxed, environmentInside } from './src/sandbox/spawn-plan.ts';
import { findPrograms } from './src/sandbox/try-walls.ts';
import { Box } from './src/sandbox/walls.ts';
const [guestsFolder, folder] = process.argv.slice(2);
const node = await probeInterpreter('javascript');
const level = await probeLevel(true, { interpreters: [node], guestsFolder, hidden: [folder] });
const programs = await findPrograms();
const box = await Box.open({ ...programs, filter: filterFor(process.arch), shown: [], guestsFolder }, folder);
const seen = "const fs = require('fs'); const status = fs.readFileSync('/proc/self/status', 'latin1'); console.log(JSON.stringify({ uid: process.getuid(), capabilities: /CapEff:\\\\s*(\\\\w+)/.exec(status)[1], filter: /Seccomp:\\\\s*(\\\\d)/.exec(status)[1], processes: fs.readdirSync('/proc').filter((name) => +name).length, home: fs.existsSync('/home') || fs.existsSync('/tmp/potluck-other'), network: fs.readFileSync('/proc/net/dev', 'latin1').split('\\\\n').length }))";
const plan = boxed(box, { command: node.path, args: ['-e', seen], env: environmentInside(node) }, ['ignore', 'pipe', 'inherit']);
const { child, inner } = launch(plan, () => undefined);
let said = '';
child.stdout.on('data', (chunk) => (said += chunk));
child.on('close', (code) => {
  console.log(JSON.stringify({ level: level.level, missing: level.missing, fix: level.fix, root: programs.root, code, told: inner() !== null, seen: JSON.parse(said || 'null') }));
  box.close();
});
`;

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-other-'));
  chmodSync(folder, 0o777);
  await build({ stdin: { contents: SCRIPT, resolveDir: process.cwd(), loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: join(folder, 'script.mjs') });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

test.runIf(canBox)('the box of a user who is not root keeps the same, and without a cgroup the level is 1', () => {
  const root = process.getuid?.() === 0;
  const become = root ? ['setpriv', '--reuid', String(USER), '--regid', String(USER), '--clear-groups'] : [];
  const [command = '', ...args] = [...become, process.execPath, join(folder, 'script.mjs'), guestsFolder, folder];
  const answer = JSON.parse(execFileSync(command, args, { encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', HOME: folder } })) as Record<string, unknown>;
  expect(answer).toMatchObject({ root: null, code: 0, told: true, seen: { uid: 1000, capabilities: '0000000000000000', filter: '2', processes: 2, home: false, network: 4 } });
  if (root) expect(answer).toMatchObject({ level: 1, missing: expect.stringContaining('no cgroup') as string, fix: expect.stringContaining('Delegate=yes') as string });
});
