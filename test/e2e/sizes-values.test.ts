/** Sizes: what is too large is refused before it is accepted; what is as large as it may be hinders nobody. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import { limits } from '../../src/limits.ts';
import { version } from '../../src/version.ts';
import { dial, greet, type Message } from '../../src/wire/index.ts';
import { TestPool } from './pool.ts';
import { sleeping } from './programs.ts';
import { until } from './until.ts';
import { trusting } from '../helpers/members.ts';

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 3, slots: 2, isolation: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
});
afterAll(() => pool.stop());

const MiB = 1024 * 1024;
const echo = 'def main(x): return x';
/** A program of exactly that many bytes. */
const programOf = (bytes: number) => `${echo}\n#`.padEnd(bytes, 'x');
/** Arguments of exactly that many bytes of JSON: a list of one string. */
const argsOf = (bytes: number) => `["${randomBytes(Math.ceil(bytes / 2)).toString('hex').slice(0, bytes - 4)}"]`;

describe('a program', () => {
  it('of 1 MiB runs', async () => {
    expect(await client.submit({ language: 'python', program: programOf(limits.programBytesMax), args: [1] })).toBe(1);
  });

  it('of one byte more is refused at the command line, with the limit', async () => {
    const path = join(pool.folder, 'large.py');
    writeFileSync(path, programOf(limits.programBytesMax + 1));
    const { status, stdout, stderr } = await pool.cli(['cpu', '--file', path]);
    expect({ status, stdout }).toEqual({ status: 6, stdout: '' });
    expect(stderr).toContain(String(limits.programBytesMax));
    expect(stderr).not.toMatch(/^task /m);
  });
});

describe('values', () => {
  it('that are too large are refused by the home, too: with the limit, before they travel', async () => {
    const { identity } = await openHomeFolder(pool.folder);
    const link = await dial({ host: '127.0.0.1', port: pool.peers[0]!.port, identity, members: trusting(() => true), timeoutMs: 5_000 });
    await greet(link, { version, incarnation: 'test', as: 'client', name: 'test' });
    const wanted: string[] = [];
    link.serve(async (hash) => {
      wanted.push(hash);
      return undefined;
    });
    const hash = createHash('sha256').update('x').digest('hex');
    const told = new Promise<Message>((resolve) => (link.onMessage = resolve));
    link.send({ kind: 'submit', id: 'too-large', program: hash, language: 'python', function: 'main', args: { hash, size: limits.valueBytesMax + 1 }, options: {} });
    expect(await told).toMatchObject({ kind: 'refused', id: 'too-large', error: { code: 'arguments_too_large', message: expect.stringContaining('64 MiB') as string } });
    expect(wanted).toEqual([]);
    link.close();
    await expect(client.task('too-large')).rejects.toMatchObject({ code: 'unknown_task' });
  });

  it('that are too large are named by the SDK with the limit', () => {
    expect(() => client.submit({ language: 'python', program: echo, args: { json: argsOf(limits.valueBytesMax + 1) } })).toThrowError(
      expect.objectContaining({ code: 'arguments_too_large', why: expect.stringContaining(String(limits.valueBytesMax)) as string }),
    );
  });

  it('that a task returns and that are too large fail it, with the limit', async () => {
    const outcome = await client.submit({ language: 'python', program: `def main(): return "x" * ${limits.valueBytesMax}` }).outcome();
    expect(outcome).toMatchObject({ state: 'failed', error: { code: 'result_too_large', message: expect.stringMatching(/64 MiB|67108864/) as string } });
  });

  it('of 64 MiB come back as they went, and while they travel small tasks, cancels and heartbeats overtake', async () => {
    const json = argsOf(limits.valueBytesMax - 2);
    const other = await pool.client();
    const large = client.submit({ language: 'python', program: echo, args: { json } });
    const travel = { over: false };
    const ended = large.outcome().finally(() => (travel.over = true));
    const took: number[] = [];
    const cancels: number[] = [];
    while (!travel.over) {
      const startedAt = performance.now();
      await other.submit({ language: 'python', program: echo, args: [1] });
      took.push(performance.now() - startedAt);
      const sleeper = other.submit({ language: 'python', program: sleeping, args: [60] });
      await sleeper.accepted;
      const cancelledAt = performance.now();
      expect(await sleeper.cancel()).toMatchObject({ state: 'cancelled' });
      cancels.push(performance.now() - cancelledAt);
    }
    const outcome = await ended;
    expect(outcome).toMatchObject({ state: 'done', attempt: 1 });
    expect(outcome.resultJson!.length).toBe(json.length - 2);
    expect(outcome.resultJson === json.slice(1, -1)).toBe(true);
    expect(took.length).toBeGreaterThan(3);
    expect(Math.max(...took)).toBeLessThan(2_000);
    expect(Math.max(...cancels)).toBeLessThan(1_000);
    // Nobody was taken for dead on the way.
    expect((await client.peers()).map(({ state }) => state)).toEqual(['up', 'up', 'up']);
  });

  it('of 10 MB come whole through the command line and a pipe', async () => {
    const args = argsOf(10 * MiB);
    const { status, stdout } = await pool.cli(['cpu', '--program', echo, '--args', '-', '--quiet'], { input: args });
    expect(status).toBe(0);
    expect(stdout === `${args.slice(1, -1)}\n`).toBe(true);
  });

  it('that several tasks share are there after the home was killed', async () => {
    const json = argsOf(3 * MiB);
    const waiting = await pool.client();
    const tasks = Array.from({ length: 6 }, (_, at) => waiting.submit<string>({ language: 'python', program: 'import time\ndef main(x):\n    time.sleep(0.5)\n    return x[:10]', args: { json }, id: `shared-${at}` }));
    await Promise.all(tasks.map(({ accepted }) => accepted));
    await pool.peers[0]!.restart();
    expect(await Promise.all(tasks)).toEqual(tasks.map(() => json.slice(2, 12)));
    await until('history has them', async () => (await (await pool.client()).history({ limit: 100, state: 'done' })).filter(({ id }) => id.startsWith('shared-')).length === 6);
  });
});
