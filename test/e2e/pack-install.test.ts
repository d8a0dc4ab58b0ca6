/** The package as others get it: packed, installed into an empty folder far from the repository, and used there. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { environment, freePorts, processesOf } from './processes.ts';
import { until } from './until.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

let folder: string;
let installed: string;
let home: string;
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'potluck-pack-')));
  // Packing builds; here it must not take dist/ away from tests that run meanwhile.
  const source = join(folder, 'source');
  mkdirSync(source);
  for (const name of readdirSync(root)) {
    if (['node_modules', 'dist', '.git', 'test'].includes(name)) continue;
    cpSync(join(root, name), join(source, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(source, 'node_modules'));
  const env = environment({});
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: source, env, maxBuffer: 1e7 });
  const { filename } = (JSON.parse(stdout.slice(stdout.indexOf('['))) as { filename: string }[])[0]!;
  installed = join(folder, 'installed');
  home = join(folder, 'home');
  mkdirSync(installed);
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(join(installed, 'package.json'), '{"name": "somebody", "private": true, "type": "module"}');
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, filename)], { cwd: installed, env });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const there = (command: string, args: readonly string[], more: Record<string, string> = {}) => run(command, args, { cwd: installed, env: environment({ POTLUCK_HOME: home, ...more }) });
const potluck = (...args: string[]) => there(join(installed, 'node_modules', '.bin', 'potluck'), args);

describe('the installed package', () => {
  it('depends on libsql and nothing else, and holds neither sources of tests nor what was compiled elsewhere', () => {
    const folderOf = join(installed, 'node_modules', 'potluck');
    const manifest = JSON.parse(readFileSync(join(folderOf, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
    expect(Object.keys(manifest.dependencies)).toEqual(['libsql']);
    const files = readdirSync(folderOf, { recursive: true }).map(String);
    expect(files.filter((file) => /\.pyc$|\.test\.|^src/.test(file))).toEqual([]);
    for (const file of ['LICENSE', 'README.md', 'bin/potluck.js', 'dist/guests/guest.py']) expect(existsSync(join(folderOf, file)), file).toBe(true);
  });

  it('runs a pool: up --detach, cpu, the SDK, down; nothing is left', async () => {
    const [tracker, port, web] = (await freePorts(3)) as [number, number, number];
    const up = JSON.parse((await potluck('up', '--detach', '--peers', '1', '--slots', '1', '--json', '--tracker-port', String(tracker), '--port', String(port), '--web-port', String(web))).stdout) as { peers: { port: number }[] };
    try {
      expect(up.peers).toMatchObject([{ port }]);
      expect((await potluck('cpu', '--port', String(port), '--program', 'def main(x): return x * x', '--args', '[5]')).stdout).toBe('25\n');
      expect((await potluck('history', '--port', String(port), '--json')).stdout).toContain('"done"');
      writeFileSync(
        join(installed, 'use.mjs'),
        `import { connect } from 'potluck';
const pool = await connect({ host: '127.0.0.1', port: ${port} });
console.log(await pool.submit({ language: 'python', program: 'def main(n): return 2 ** n', args: [200] }));
await pool.close();
`,
      );
      expect((await there(process.execPath, ['use.mjs'])).stdout).toBe(`${2n ** 200n}n\n`);
    } finally {
      await potluck('down');
    }
    await until('no process is left', () => processesOf(home).length === 0, 5_000);
  });

  it('has types that need no other package, and that find mistakes', async () => {
    writeFileSync(
      join(installed, 'use.ts'),
      `import { connect, type Outcome } from 'potluck';
const task = (await connect({ port: 9000 })).submit<number>({ language: 'python', program: 'def main(x): return x', args: [5] });
export const result: number = await task;
export const outcome: Outcome = await task.outcome();
export const message: string = outcome.error?.message ?? outcome.receipt?.candidates[0]?.peer ?? '';
// @ts-expect-error a task has a program
(await connect()).submit({ language: 'python' });
// @ts-expect-error the message is a text
export const wrong: number = outcome.error!.message;
`,
    );
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const checked = await there(process.execPath, [tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022', '--types', '', 'use.ts']).catch((error: { stdout: string }) => error);
    expect(checked.stdout).toBe('');
  });
});
