/** What bad input gets: what, why, what to do; its exit status; one document with --json; and nothing half done. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { freePorts, Started, type Ran } from './processes.ts';
import { sleeping } from './programs.ts';

let pool: TestPool;
let client: Pool;
let nobody: string;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  client = await pool.client();
  nobody = String((await freePorts(1))[0]);
});
afterAll(() => pool.stop());

const three = /^error: .+\n {2}why: .+(?:\n {7}.+)*\n {2}fix: .+$/m;
const square = ['--program', 'def main(x): return x * x'];
const huge = () => {
  const path = join(pool.folder, 'huge.py');
  writeFileSync(path, `text = "${'x'.repeat(1_100_000)}"\ndef main(): pass`);
  return path;
};

/** [exit status, code, what is said, arguments] */
const cases: [number, string, RegExp, () => string[]][] = [
  // 1: the task's own faults
  [1, 'exception', /ValueError: no/, () => ['cpu', '--program', 'def main(): raise ValueError("no")']],
  [1, 'syntax_error', /line 1/, () => ['cpu', '--program', 'def main(:']],
  [1, 'function_missing', /the program defines: \w+, \w+/, () => ['cpu', '--program', 'def one(): pass\ndef two(): pass']],
  [1, 'result_not_json', /result is set/, () => ['cpu', '--program', 'def main(): return {1}']],
  [1, 'out_of_memory', /100 MB/, () => ['cpu', '--program', 'def main(): return len("x" * 10**9)', '--memory', '100']],
  // 2: wrong use
  [2, 'bad_json', /line 1, column 4/, () => ['cpu', ...square, '--args', '[5,]']],
  [2, 'bad_json', /line 2, column 3/, () => ['cpu', ...square, '--args', '[5,\n  x]']],
  [2, 'bad_json', /array/, () => ['cpu', ...square, '--args', '{"x": 5}']],
  [2, 'bad_json', /array/, () => ['cpu', ...square, '--args', '5']],
  [2, 'bad_json', /object/, () => ['cpu', ...square, '--kwargs', '[5]']],
  [2, 'usage', /python, javascript/, () => ['cpu', ...square, '--language', 'ruby']],
  [2, 'usage', /--timeout/, () => ['cpu', ...square, '--timeout', 'soon']],
  [2, 'usage', /--priority/, () => ['cpu', ...square, '--priority', '1.5']],
  [2, 'usage', /--program/, () => ['cpu']],
  [2, 'file_unreadable', /nowhere\.py/, () => ['cpu', '--file', '/nowhere.py']],
  [2, 'usage', /did you mean .*status/, () => ['statsu']],
  [2, 'usage', /did you mean --args/, () => ['cpu', ...square, '--arg', '[5]']],
  [2, 'usage', /--port/, () => ['status', '--port', '99999']],
  [2, 'usage', /--state/, () => ['history', '--state', 'dnoe']],
  [2, 'usage', /--limit/, () => ['history', '--limit', 'many']],
  [2, 'usage', /--since/, () => ['history', '--since', 'yesteryear']],
  // 3: nobody there
  [3, 'peer_unreachable', /potluck peer|--port \d+/, () => ['cpu', ...square, '--port', nobody]],
  [3, 'peer_unreachable', /potluck peer|--port \d+/, () => ['status', '--port', nobody]],
  [3, 'peer_unreachable', /potluck peer|--port \d+/, () => ['peers', '--port', nobody]],
  // 5: too late
  [5, 'timed_out', /0\.3 s/, () => ['cpu', '--program', 'def main():\n  while True: pass', '--timeout', '0.3']],
  // 6: refused, or nothing could ever run it
  [6, 'unknown_task', /no-such-id.*not submitted here/s, () => ['wait', 'no-such-id']],
  [6, 'unknown_task', /no-such-id.*not submitted here/s, () => ['task', 'no-such-id']],
  [6, 'unknown_task', /no-such-id.*not submitted here/s, () => ['cancel', '--task-id', 'no-such-id']],
  [6, 'impossible', /memory/, () => ['cpu', ...square, '--memory', '16000000']],
  [6, 'program_too_large', /1 MiB|1048576|1 048 576/, () => ['cpu', '--file', huge()]],
];

describe('bad input', () => {
  it.each(cases)('%d %s %s', async (status, code, said, args) => {
    const [plain, json] = await Promise.all([pool.cli(args()), pool.cli([...args(), '--json'])]);
    expect(plain.stdout).toBe('');
    expect(plain.stderr).toMatch(three);
    expect(plain.stderr).toMatch(said);
    expect(plain.status, plain.stderr).toBe(status);

    const document = JSON.parse(json.stdout) as { error: { code: string; message: string; hint: string | null } };
    expect(document.error.code).toBe(code);
    expect(json.status).toBe(status);
    expect(json.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(json.stderr).not.toContain('error:');
  });

  it('leaves no task behind', async () => {
    expect(await client.status()).toMatchObject({ queue_size: 0, running: 0 });
    const rows = await client.history({ limit: 1000 });
    // Refused is refused: it is not in the record.
    expect(rows.filter(({ error }) => error !== undefined && ['impossible', 'program_too_large'].includes(error.code))).toEqual([]);
  });
});

describe('other endings', () => {
  const held = () => client.submit({ language: 'python', program: sleeping, args: [30] });

  it('4: cancelled from elsewhere', async () => {
    const started = pool.start(['cpu', '--id', 'to-cancel', '--program', 'import time\ndef main():\n  print("runs")\n  time.sleep(60)']);
    await started.said('runs');
    expect(await pool.cli(['cancel', '--task-id', 'to-cancel'])).toMatchObject({ status: 0 });
    const { status, stdout, stderr } = await started.ended;
    expect({ status, stdout }).toEqual({ status: 4, stdout: '' });
    expect(stderr).toMatch(three);
  });

  it('5: expired, because it had not started within --wait', async () => {
    const holding = held();
    await holding.accepted;
    const { status, stderr } = await pool.cli(['cpu', ...square, '--args', '[1]', '--wait', '0.5']);
    await holding.cancel();
    expect(status).toBe(5);
    expect(stderr).toMatch(three);
    expect(stderr).toMatch(/taken/);
  });

  it('while it waits, the reason is said after a second', async () => {
    const holding = held();
    await holding.accepted;
    const waiting = pool.start(['cpu', ...square, '--args', '[5]']);
    await waiting.said('waiting: ');
    expect(waiting.stderr).toMatch(/waiting: the only slot of 1 fitting peer is taken/);
    await holding.cancel();
    expect(await waiting.ended).toMatchObject({ status: 0, stdout: '25\n' });
  });

  it('6: the same id with other content', async () => {
    expect((await pool.cli(['cpu', '--id', 'same', ...square, '--args', '[1]'])).status).toBe(0);
    expect(await pool.cli(['cpu', '--id', 'same', ...square, '--args', '[1]'])).toMatchObject({ status: 0, stdout: '1\n' });
    const { status, stderr } = await pool.cli(['cpu', '--id', 'same', ...square, '--args', '[2]']);
    expect(status).toBe(6);
    expect(stderr).toMatch(three);
  });
});

describe('who answers is not who was wanted', () => {
  it('a client that reaches a tracker is told so, and which port to use', async () => {
    const { status, stderr } = await pool.cli(['cpu', ...square, '--port', String(pool.tracker.port)]);
    expect(status).toBe(3);
    expect(stderr).toMatch(three);
    expect(stderr).toMatch(/this is a tracker.*\n.*\n {2}fix: use the port of a peer/);
  });

  it('a peer that finds a peer where the tracker should be says what it found', async () => {
    const lost = pool.start(['peer', '--port', '0', '--name', 'lost', '--tracker-port', String(pool.peers[0]!.port)]);
    await lost.said(`no tracker at 127.0.0.1:${pool.peers[0]!.port}: this is a peer`);
  });

  it('a client of another pool is refused, before its task is sent', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-errors-'));
    const { status, stderr } = await pool.cli(['cpu', ...square], { env: { POTLUCK_HOME: folder } });
    rmSync(folder, { recursive: true });
    expect(status).toBe(3);
    expect(stderr).toMatch(three);
    expect(stderr).toContain('has not joined the pool at');
  });
});

describe('a peer without python3', () => {
  it('joins, says so, and Python tasks are refused with the fix; JavaScript runs', async () => {
    const bare = await TestPool.start({ peers: 1, slots: 1, env: { PATH: '/nowhere' } });
    try {
      expect(bare.peers[0]!.log()).toContain('this peer runs no python');
      const { status, stdout, stderr } = await bare.cli(['cpu', ...square, '--args', '[5]']);
      expect({ status, stdout }).toEqual({ status: 6, stdout: '' });
      expect(stderr).toMatch(three);
      expect(stderr).toContain('p0 has no python');
      expect(await bare.cli(['cpu', '--quiet', '--language', 'javascript', '--program', 'export const main = () => 1'])).toMatchObject({ status: 0, stdout: '1\n' });
      expect((await bare.cli(['status'])).stdout).toContain('no python3');
    } finally {
      await bare.stop();
    }
  });
});

describe('a peer that does not start', () => {
  const start = async (folder: string, ...args: string[]): Promise<Ran> => new Started(['peer', '--port', '0', ...args], { POTLUCK_HOME: folder }).ended;

  it.each([
    ['an interpreter that was named and is none', ['--python', '/nowhere/python3'], 6],
    ['an address of another machine', ['--host', '203.0.113.7'], 2],
    ['a name that is none', ['--name', '../up'], 2],
    ['a flag that is none', ['--prot', '9000'], 2],
  ])('%s', async (_, args, status) => {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-errors-'));
    const ran = await start(folder, ...args);
    rmSync(folder, { recursive: true });
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toMatch(three);
    expect(ran.status, ran.stderr).toBe(status);
  });

  it('a folder that others can read', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-errors-'));
    chmodSync(folder, 0o755);
    const ran = await start(folder);
    rmSync(folder, { recursive: true });
    expect(ran.status).toBe(6);
    expect(ran.stderr).toMatch(three);
    expect(ran.stderr).toContain('chmod');
  });
});
