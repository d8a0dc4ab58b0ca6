import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { StoreLock } from '../../src/store/lock.ts';
import { StoreInUse } from '../../src/store/store-errors.ts';

const HOLDER = `
import { StoreLock } from './src/store/lock.ts';
const lock = new StoreLock(process.argv[2]);
try {
  lock.acquire();
  console.log('held');
  process.stdin.resume().on('end', () => { lock.release(); });
} catch (error) {
  console.log(error.name + ' ' + error.pid);
}
`;

let built: string;
let holderPath: string;
let directory: string;
let children: ChildProcess[];

beforeAll(async () => {
  // Inside the project, so that the bundle finds libsql.
  await mkdir('node_modules/.cache', { recursive: true });
  built = await mkdtemp('node_modules/.cache/store-lock-');
  holderPath = join(built, 'holder.mjs');
  await build({
    stdin: { contents: HOLDER, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true, platform: 'node', format: 'esm', external: ['libsql'], outfile: holderPath, logLevel: 'error',
  });
});
afterAll(() => rm(built, { recursive: true }));

beforeEach(async () => {
  children = [];
  directory = join(await mkdtemp(join(tmpdir(), 'potluck-lock-')), 'store');
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await rm(join(directory, '..'), { recursive: true });
});

/** Starts a process that tries to hold the store; gives its first words. */
async function holder(): Promise<{ child: ChildProcess; says: string }> {
  const child = spawn(process.execPath, [holderPath, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [bytes] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, says: bytes.toString().trim() };
}

test('a second process is refused and told who and where', async () => {
  const { child, says } = await holder();
  expect(says).toBe('held');
  const lock = new StoreLock(directory);
  expect(() => lock.acquire()).toThrow(StoreInUse);
  try {
    lock.acquire();
  } catch (error) {
    expect(error).toMatchObject({ code: 'store_in_use', pid: child.pid, directory });
    expect((error as Error).message).toContain(`process ${child.pid}`);
    expect((error as Error).message).toContain(directory);
  }
});

test('a killed holder leaves nothing that has to be cleaned', async () => {
  const { child } = await holder();
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(existsSync(join(directory, 'store.pid'))).toBe(true);
  const lock = new StoreLock(directory);
  lock.acquire();
  lock.release();
});

test('a released store can be taken by another process, and by the same one again', async () => {
  const lock = new StoreLock(directory);
  lock.acquire();
  expect(() => new StoreLock(directory).acquire()).toThrow(StoreInUse);
  expect((await holder()).says).toBe(`StoreInUse ${process.pid}`);
  lock.release();
  lock.release();
  const { child, says } = await holder();
  expect(says).toBe('held');
  child.stdin!.end();
  await once(child, 'exit');
  lock.acquire();
  lock.release();
});

test('of many that start at once over a dead holder, one gets the store', async () => {
  const { child } = await holder();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const all = await Promise.all(Array.from({ length: 6 }, () => holder()));
  expect(all.filter(({ says }) => says === 'held').length).toBe(1);
});
