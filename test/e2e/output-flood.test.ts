/** A task that prints without end: memory stays bounded, others notice nothing, both ends are kept, the rest is counted. */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { Pool, TaskOutput, TaskStory } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { until } from './until.ts';

/** `main(seconds)`: prints numbered lines of 64 bytes as fast as it can; gives the number of bytes. */
const flooding = `
import os, time

def main(seconds):
    end = time.time() + seconds
    line = total = 0
    while time.time() < end:
        block = b"".join(b"%062d \\n" % n for n in range(line, line + 1024))
        line += 1024
        while block:
            count = os.write(1, block)
            total += count
            block = block[count:]
    return total
`;

const MB = 1024 * 1024;
const GROWTH_MAX = 64 * MB;

const run = promisify(execFile);

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 2, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client(0);
  await client.submit({ language: 'python', program: flooding, args: [0.01], onOutput: () => undefined });
});
afterAll(() => pool.stop());

/** The highest memory of each process, above what it had. */
class Growth {
  readonly #pids: readonly number[];
  readonly #most: number[] = [];
  readonly #before: number[] = [];
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;

  static async start(pids: readonly number[]): Promise<Growth> {
    const growth = new Growth(pids);
    await growth.#look();
    growth.#before.push(...growth.#most);
    growth.#looking = growth.#keepLooking();
    return growth;
  }

  private constructor(pids: readonly number[]) {
    this.#pids = pids;
  }

  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#looking;
    return Math.max(...this.#most.map((most, at) => most - this.#before[at]!));
  }

  async #keepLooking(): Promise<void> {
    while (!this.#stopped) {
      await sleep(100);
      await this.#look();
    }
  }

  /** In a process of its own, so that looking is not what makes others late. */
  async #look(): Promise<void> {
    for (const [at, pid] of this.#pids.entries()) {
      const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid)]);
      this.#most[at] = Math.max(this.#most[at] ?? 0, Number(stdout) * 1024);
    }
  }
}

const lineAt = (offset: number): string => `${String(offset / 64).padStart(62, '0')} \n`;
const linesFrom = (offset: number, count: number): string => Array.from({ length: count }, (_, at) => lineAt(offset + at * 64)).join('');

/** What the record says, against what was printed. */
function expectKept({ output: { stdout } }: TaskStory, total: number): void {
  const { text, dropped_bytes: dropped, dropped_at: at } = stdout;
  expect(at).toBe(limits.outputHeadBytes);
  expect(text.slice(0, at)).toBe(linesFrom(0, limits.outputHeadBytes / 64));
  expect(text.slice(at)).toBe(linesFrom(total - limits.outputTailBytes, limits.outputTailBytes / 64));
  expect(dropped).toBe(total - limits.outputHeadBytes - limits.outputTailBytes);
}

describe('a flood of output', () => {
  it('is told as far as it goes, and leaves memory and other tasks alone', async () => {
    const growth = await Growth.start([...pool.peers.map(({ pid }) => pid), process.pid]);
    const parts: Pick<TaskOutput, 'offset' | 'dropped'>[] = [];
    let told = 0;
    let wrong = 0;
    const flood = client.submit<number>({
      language: 'python',
      program: flooding,
      args: [3],
      onOutput: ({ offset, dropped, data }) => {
        parts.push({ offset, dropped });
        if (offset - dropped !== told) wrong += 1;
        told = offset + data.length;
        // A piece may begin and end anywhere in a line.
        const line = Math.floor(offset / 64) * 64;
        const expected = linesFrom(line, 2).slice(offset - line, offset - line + Math.min(64, data.length));
        if (Buffer.from(data.subarray(0, 64)).toString() !== expected) wrong += 1;
      },
    });
    await until('it floods', () => told > MB);
    const latencies: number[] = [];
    while (flood.state !== 'done' && latencies.length < 100) {
      const before = performance.now();
      expect(await client.submit({ language: 'python', program: 'def main(x): return x', args: [latencies.length] })).toBe(latencies.length);
      latencies.push(performance.now() - before);
    }
    const total = await flood;
    expect(total).toBeGreaterThan(20 * MB);
    expect({ wrong, told }).toEqual({ wrong: 0, told: total });
    expect(parts[0]).toEqual({ offset: 0, dropped: 0 });
    expect(await growth.stop()).toBeLessThan(GROWTH_MAX);
    expect(latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.9)]).toBeLessThan(250);
    expectKept(await client.task(flood.id), total);
  });

  it('reaches a terminal\'s pipe as its ends and a line for each gap, and `task` shows the same', async () => {
    const ran = await pool.cli(['cpu', '--no-mark', '--no-progress', '--program', flooding, '--args', '[1]', '--id', 'flood-cli']);
    expect(ran.status).toBe(0);
    const total = Number(ran.stdout);
    const gaps = [...ran.stderr.matchAll(/\n?… (\d+) bytes dropped …\n/g)];
    const printed = ran.stderr.slice(ran.stderr.indexOf(lineAt(0)));
    expect(printed.startsWith(linesFrom(0, limits.outputHeadBytes / 64))).toBe(true);
    expect(printed).toContain(linesFrom(total - limits.outputTailBytes, limits.outputTailBytes / 64));
    expect(gaps.length).toBeGreaterThan(0);
    const { stdout } = await pool.cli(['task', 'flood-cli']);
    expect(stdout).toContain(`  … ${total - limits.outputHeadBytes - limits.outputTailBytes} bytes dropped …\n  ${lineAt(total - limits.outputTailBytes).trimEnd()}`);
    expect(stdout).toContain(lineAt(total - 64).trimEnd());
  });

  it('for a client that reads nothing waits nowhere: it finds a gap and the end', async () => {
    const started = pool.start(['cpu', '--no-mark', '--no-progress', '--program', flooding, '--args', '[4]', '--id', 'flood-frozen']);
    await started.said(lineAt(64));
    const growth = await Growth.start([...pool.peers.map(({ pid }) => pid), started.pid]);
    started.process.kill('SIGSTOP');
    await until('the task has ended', async () => (await client.task('flood-frozen')).state === 'done');
    expect(await growth.stop()).toBeLessThan(GROWTH_MAX);
    started.process.kill('SIGCONT');
    const { status, stdout, stderr } = await started.ended;
    expect(status).toBe(0);
    const total = Number(stdout);
    const dropped = [...stderr.matchAll(/… (\d+) bytes dropped …\n/g)].map((match) => Number(match[1]));
    expect(Math.max(...dropped)).toBeGreaterThan(10 * MB);
    expect(stderr).toContain(linesFrom(total - limits.outputTailBytes, limits.outputTailBytes / 64));
    expectKept(await client.task('flood-frozen'), total);
  });
});

describe('output of characters of several bytes', () => {
  it('is whole though it comes in pieces, and has no broken character at the gap', async () => {
    const program = `
import os, time

def main(size):
    data = ("äöü€👋" * (size // 13 + 1)).encode()[:size]
    for at in range(0, 300, 7):
        os.write(1, data[at:min(at + 7, 300)])
        time.sleep(0.001)
    os.write(2, b"x" + data)
    return len(data)
`;
    const heard: Buffer[] = [];
    const task = client.submit<number>({ language: 'python', program, args: [199_992], onOutput: ({ stream, data }) => void (stream === 'stdout' && heard.push(Buffer.from(data))) });
    await task;
    const whole = 'äöü€👋'.repeat(30);
    const bytes = Buffer.from(whole).subarray(0, 300);
    expect(Buffer.concat(heard).equals(bytes)).toBe(true);
    const { stdout, stderr } = (await client.task(task.id)).output;
    expect(stdout.text).toBe(bytes.toString());
    expect(Buffer.byteLength(stderr.text) + stderr.dropped_bytes).toBe(199_993);
    expect(stderr.text).not.toContain('\ufffd');
  });
});
