/**
 * Secrets with marks on them go through everything that a pool does; then every place where they have no
 * business is searched for the marks.
 */
import { createPrivateKey, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readToken } from '../../src/identity/invitation-token.ts';
import { limits } from '../../src/limits.ts';
import type { Pool } from '../../src/sdk/index.ts';
import { until } from '../e2e/until.ts';
import { PoolOfKeys, type RunningPeer } from './pool-of-keys.ts';

const canary = (of: string): string => `canary-${of}-${randomBytes(9).toString('hex')}`;
const marks = { program: canary('program'), argument: canary('argument'), keyword: canary('keyword'), result: canary('result'), printed: canary('printed'), complained: canary('complained'), raised: canary('raised'), environment: canary('environment') };

/** What it says of itself is put together while it runs, so that only what it said is found as that. */
const program = `
import sys, time
def halves(first, second): return first + second
def main(argument, seconds, *, keyword, fail, large):
    "${marks.program}"
    print(halves(${split(marks.printed)}), flush=True)
    print(halves(${split(marks.complained)}), file=sys.stderr, flush=True)
    time.sleep(seconds)
    if fail: raise ValueError(halves(${split(marks.raised)}))
    return halves(${split(marks.result)}) + "x" * large
`;

/** What a task knows of its environment. What it could read of other processes is for the box, and for its probes. */
const environments = `
import os
def main(): return [str(dict(os.environ)), open("/proc/self/environ", errors="replace").read()]
`;

function split(mark: string): string {
  return `${JSON.stringify(mark.slice(0, 9))}, ${JSON.stringify(mark.slice(9))}`;
}

let pool: PoolOfKeys;
let home: RunningPeer;
let runner: RunningPeer;
let client: Pool;
let temporary: string;
const startedAt = Date.now();
beforeAll(async () => {
  pool = await PoolOfKeys.make({ ada: 'admin', bea: 'member', cyd: 'member' });
  temporary = join(pool.root, 'tmp');
  mkdirSync(temporary);
  const env = { TMPDIR: temporary, A_SECRET: marks.environment };
  await pool.startTracker('ada');
  home = await pool.startPeer('ada', ['--slots', '0'], { env });
  // Members' tasks run there whatever this machine can do for isolation: what is not shut in must not leak, either.
  runner = await pool.startPeer('bea', ['--slots', '1', '--trust-members'], { env });
  await pool.startPeer('cyd', ['--slots', '0'], { env });
  client = await pool.client('ada', home);
});
afterAll(() => pool.stop());

interface Hit {
  readonly place: string;
  readonly mark: string;
}

/** Which of the marks stand in these bytes. */
const marksIn = (bytes: Buffer, wanted: Readonly<Record<string, string | Buffer>>): string[] =>
  Object.entries(wanted).flatMap(([name, mark]) => (bytes.includes(mark) || (typeof mark === 'string' && bytes.includes(Buffer.from(mark, 'utf16le'))) ? [name] : []));

function hitsUnder(folder: string, wanted: Readonly<Record<string, string | Buffer>>): Hit[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    const named = marksIn(Buffer.from(path), wanted).map((mark) => ({ place: `the name ${path}`, mark }));
    if (!entry.isFile()) return named;
    return [...named, ...marksIn(bytesOf(path), wanted).map((mark) => ({ place: path, mark }))];
  });
}

/** Of what was deleted since it was listed, as programs at work do, nothing is left to be found. */
function bytesOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** In what processes say of themselves to everybody on the machine. */
function hitsInProcesses(wanted: Readonly<Record<string, string | Buffer>>, files: readonly ('cmdline' | 'environ')[]): Hit[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) =>
      files.flatMap((file) => {
        try {
          return marksIn(readFileSync(`/proc/${pid}/${file}`), wanted).map((mark) => ({ place: `${file} of ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')}`, mark }));
        } catch {
          // It has ended, or is somebody else's.
          return [];
        }
      }),
    );
}

const { environment: _, ...tasks } = marks;
/** The private half of every key of the pool, as its file has it and bare. */
function secretsOfKeys(): Record<string, string | Buffer> {
  const paths = [join(pool.member('ada').folder, 'pool.key'), ...Object.values(pool.members).map(({ folder }) => join(folder, 'member.key'))];
  return Object.fromEntries(
    paths.flatMap((path) => {
      const pem = readFileSync(path, 'utf8');
      const seed = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' }).subarray(-32);
      return [
        [`${path} as text`, pem.split('\n')[1]!.slice(20)],
        [`${path} bare`, seed],
        [`${path} in hex`, seed.toString('hex')],
      ] as const;
    }),
  );
}

const submit = (fail: boolean, large: number, seconds = 0) =>
  client.submit<string>({ language: 'python', program, args: [marks.argument + 'y'.repeat(large), seconds], kwargs: { keyword: marks.keyword, fail, large } });

describe('what a task is made of', () => {
  it('is seen in no command line and no environment while it runs, and the environment of its peer by no task', async () => {
    const task = submit(false, 0, 2);
    await until('it runs', async () => (await client.task(task.id)).state === 'running');
    expect(hitsInProcesses(tasks, ['cmdline', 'environ'])).toEqual([]);
    const workers = (await (await pool.client('bea', runner)).status()).processes.filter(({ state }) => state === 'busy');
    expect(workers).toHaveLength(1);
    for (const { pid } of workers) expect(marksIn(readFileSync(`/proc/${pid}/environ`), marks)).toEqual([]);
    expect(hitsUnder(temporary, marks)).toEqual([]);
    expect(await task).toBe(marks.result);
    const seen = await client.submit<string[]>({ language: 'python', program: environments, args: [], fresh: true });
    expect(marksIn(Buffer.from(JSON.stringify(seen)), { environment: marks.environment })).toEqual([]);
  });

  it('stays with its home: no other member has anything of it on disk, in its logs or in what it answers', async () => {
    const large = limits.inlineBytesMax * 3;
    await expect(submit(true, large)).rejects.toThrow(marks.raised);
    expect(await submit(false, large)).toContain(marks.result);
    const last = submit(false, 0);
    const kept = await last.outcome();
    expect(kept.resultJson).toBe(JSON.stringify(marks.result));
    // A worker has the programs that it was given in its own scratch folder, as long as it lives.
    const scratch = join(pool.member('bea').folder, 'peers', runner.name, 'scratch');
    expect(hitsUnder(pool.member('bea').folder, marks).filter(({ place, mark }) => mark !== 'program' || !place.startsWith(scratch))).toEqual([]);
    expect(statSync(scratch).mode & 0o077).toBe(0);
    expect(hitsUnder(pool.member('cyd').folder, marks)).toEqual([]);
    expect(hitsUnder(temporary, marks)).toEqual([]);
    // At home it is kept, in the store of that peer and nowhere else.
    const atHome = hitsUnder(pool.member('ada').folder, marks);
    expect(atHome.map(({ mark }) => mark)).toEqual(expect.arrayContaining(['program', 'argument', 'result', 'raised']));
    expect(atHome.filter(({ place }) => !place.startsWith(join(pool.member('ada').folder, 'peers', home.name)))).toEqual([]);
    expect(marksIn(Buffer.from(pool.logs()), marks)).toEqual([]);
    for (const args of [['status'], ['history'], ['peers'], ['task', kept.id], ['wait', kept.id], ['cancel', kept.id]]) {
      const ran = await pool.cli('bea', [...args, '--json', '--port', String(home.port)]);
      expect({ args, found: marksIn(Buffer.from(ran.stdout + ran.stderr), marks) }).toEqual({ args, found: [] });
    }
  });

  it('leaves nothing with who ran it, and nothing in the temporary files of this machine', async () => {
    runner.process.process.kill('SIGTERM');
    await runner.process.ended;
    expect(hitsUnder(pool.member('bea').folder, marks)).toEqual([]);
    const fresh = ['/dev/shm', '/var/tmp', tmpdir()].flatMap((folder) =>
      existsSync(folder)
        ? readdirSync(folder, { withFileTypes: true }).filter((entry) => {
            const path = join(folder, entry.name);
            return path !== pool.root && /potluck|node|python|^tmp/i.test(entry.name) && existsSync(path) && statSync(path).mtimeMs >= startedAt;
          }).map((entry) => ({ path: join(folder, entry.name), isFile: entry.isFile() }))
        : [],
    );
    const hits = fresh.flatMap(({ path, isFile }) => (isFile ? marksIn(readFileSync(path), marks).map((mark) => ({ place: path, mark })) : []));
    expect(hits).toEqual([]);
  });
});

describe('private keys', () => {
  it('are in their own files only: in no other file, log, command line, environment or answer', async () => {
    const secrets = secretsOfKeys();
    const hits = hitsUnder(pool.root, secrets).filter(({ place, mark }) => !mark.startsWith(place));
    expect(hits).toEqual([]);
    expect(hitsInProcesses(secrets, ['cmdline', 'environ'])).toEqual([]);
    expect(marksIn(Buffer.from(pool.logs()), secrets)).toEqual([]);
    for (const args of [['status'], ['peers'], ['members'], ['audit']]) {
      const ran = await pool.cli('ada', [...args, '--json', '--port', String(home.port)]);
      expect(marksIn(Buffer.from(ran.stdout + ran.stderr), secrets)).toEqual([]);
    }
  });
});

describe('an invitation', () => {
  it('is kept nowhere: the tracker has the public half, and who joins forgets it', async () => {
    const { token, id } = JSON.parse((await pool.cli('ada', ['invite', '--json', '--address', `127.0.0.1:${pool.trackerPort}`])).stdout) as { token: string; id: string };
    const { seed } = readToken(token);
    const secrets = { token, middle: token.slice(60, 92), end: token.slice(-40), seed: Buffer.from(seed), hex: Buffer.from(seed).toString('hex'), base64: Buffer.from(seed).toString('base64').slice(0, 42), base64url: Buffer.from(seed).toString('base64url') };
    const dan = join(pool.root, 'dan');
    mkdirSync(dan, { mode: 0o700 });
    const env = { POTLUCK_HOME: dan, TMPDIR: temporary };
    const joined = await pool.cli('ada', ['join', token, '--json'], { env });
    expect(joined.status).toBe(0);
    const again = await pool.cli('ada', ['join', '-'], { env, input: token });
    const broken = await pool.cli('ada', ['join', `${token.slice(0, -2)}xx`], { env: { ...env, POTLUCK_HOME: join(pool.root, 'eve') } });
    for (const { stdout, stderr } of [joined, again, broken, await pool.cli('ada', ['invite', '--list', '--json']), await pool.cli('ada', ['audit', '--json']), await pool.cli('ada', ['invite', '--revoke', id])]) expect(marksIn(Buffer.from(stdout + stderr), secrets)).toEqual([]);
    expect(hitsUnder(pool.root, secrets)).toEqual([]);
    expect(hitsInProcesses(secrets, ['cmdline', 'environ'])).toEqual([]);
  });
});
