/** Timeout and cancel kill: whatever a task does, it and all it started are gone, and its slot is free. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool, TaskRequest } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { isAlive } from './processes.ts';
import { sleeping } from './programs.ts';
import { until } from './until.ts';

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 2 });
  client = await pool.client();
});
afterAll(() => pool.stop());

/** `main(path)` writes the ids of its processes into the file, then does what it does. */
const told = (body: string) => `
import os, signal, subprocess, sys, time

def tell(path, *pids):
    with open(path + ".part", "w") as f:
        f.write(" ".join(map(str, pids)))
    os.rename(path + ".part", path)

def main(path):
${body.replace(/^/gm, '    ').trimEnd()}
`;

const stubborn: [string, string][] = [
  ['a busy loop', 'tell(path, os.getpid())\nwhile True: pass'],
  ['a long sleep', 'tell(path, os.getpid())\ntime.sleep(3600)'],
  ['a loop that catches everything', 'tell(path, os.getpid())\nfor number in range(1, 32):\n    try: signal.signal(number, signal.SIG_IGN)\n    except Exception: pass\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException: pass'],
  ['children', 'children = [subprocess.Popen(["sleep", "3600"]) for _ in range(3)]\ntell(path, os.getpid(), *[child.pid for child in children])\ntime.sleep(3600)'],
  ['a child in a session of its own', 'child = subprocess.Popen([sys.executable, "-c", "import signal, time\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\nwhile True: time.sleep(1)"], start_new_session=True)\ntell(path, os.getpid(), child.pid)\ntime.sleep(3600)'],
  [
    'a child that forked twice away from it',
    'read, write = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.write(write, str(os.getpid()).encode())\n        while True: time.sleep(1)\n    os._exit(0)\nos.wait()\ntell(path, os.getpid(), int(os.read(read, 20)))\ntime.sleep(3600)',
  ],
];

const pidsIn = (path: string): number[] => readFileSync(path, 'utf8').split(' ').map(Number);

async function allGone(path: string, since: number): Promise<void> {
  const pids = pidsIn(path);
  expect(pids.length).toBeGreaterThan(0);
  await until(`gone: ${pids.filter(isAlive).join(', ')}`, () => !pids.some(isAlive), 1_000);
  expect(performance.now() - since).toBeLessThan(1_000);
}

/** Both slots take something new at once. */
async function slotsAreFree(): Promise<void> {
  const two = [client.submit({ language: 'python', program: sleeping, args: [0.2] }), client.submit({ language: 'python', program: sleeping, args: [0.2] })];
  const outcomes = await Promise.all(two.map((task) => task.outcome()));
  for (const { queuedMs } of outcomes) expect(queuedMs).toBeLessThan(1_000);
}

const request = (name: string, body: string, more: Partial<TaskRequest> = {}): TaskRequest & { path: string } => {
  const path = `${pool.folder}/${name.replaceAll(/\W/g, '-')}`;
  return { language: 'python', program: told(body), args: [path], path, ...more };
};

describe.each(stubborn)('%s', (name, body) => {
  it('is over when its time is', async () => {
    const asked = request(`timeout ${name}`, body, { timeoutMs: 500 });
    const outcome = await client.submit(asked).outcome();
    const endedAt = performance.now();
    expect(outcome).toMatchObject({ state: 'timed_out', error: { code: 'timed_out' } });
    expect(outcome.runMs).toBeLessThan(1_500);
    await allGone(asked.path, endedAt);
    await slotsAreFree();
  });

  it('is over when it is cancelled', async () => {
    const asked = request(`cancel ${name}`, body);
    const task = client.submit(asked);
    await until('it runs', () => existsSync(asked.path));
    const cancelledAt = performance.now();
    expect(await task.cancel()).toMatchObject({ state: 'cancelled' });
    await allGone(asked.path, cancelledAt);
    await slotsAreFree();
  });
});

describe('in the box', () => {
  let boxed: TestPool;
  let inside: Pool;
  beforeAll(async () => {
    boxed = await TestPool.start({ peers: 1, slots: 2, isolation: 2 });
    inside = await boxed.client();
  });
  afterAll(() => boxed.stop());

  /** All that is in the process space of the interpreters that the peer names, as this machine numbers them. */
  async function membersOfBoxes(): Promise<number[]> {
    const { processes, isolation } = (await inside.status()) as unknown as { processes: { pid: number; state: string }[]; isolation: number };
    expect(isolation).toBe(2);
    const spaces = new Set(processes.filter(({ state }) => state === 'busy').map(({ pid }) => readlinkSync(`/proc/${pid}/ns/pid`)));
    expect(spaces.has(readlinkSync('/proc/self/ns/pid'))).toBe(false);
    return readdirSync('/proc').map(Number).filter((pid) => pid > 0 && spaces.has(spaceOf(pid)));
  }

  it.each(stubborn)('%s is over within a second of being cancelled, and so is all of its box', async (name, body) => {
    let printed = '';
    const task = inside.submit({ language: 'python', program: told(body).replace(/def tell[^]*?\n\n/, 'def tell(path, *pids): print(*pids, flush=True)\n\n'), args: [''], onOutput: ({ data }) => (printed += Buffer.from(data).toString()) });
    await until('it runs', () => printed.endsWith('\n'));
    const members = await membersOfBoxes();
    expect(members.length, name).toBeGreaterThanOrEqual(1 + printed.trim().split(' ').length);
    const cancelledAt = performance.now();
    expect(await task.cancel()).toMatchObject({ state: 'cancelled' });
    await until(`gone: ${members.filter(isAlive).join(', ')}`, () => !members.some(isAlive), 1_000);
    expect(performance.now() - cancelledAt).toBeLessThan(1_000);
  });
});

/** '' when it ended meanwhile. */
function spaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return '';
  }
}

describe('many that time out', () => {
  it('do not stall the others', async () => {
    const hanging = Array.from({ length: 100 }, () => client.submit({ language: 'python', program: 'def main():\n    while True: pass', timeoutMs: 50 }));
    const others = Array.from({ length: 100 }, (_, at) => client.submit<number>({ language: 'python', program: 'def main(x): return x', args: [at] }));
    // One that is more urgent goes before those that wait, whatever the slots do.
    const urgent = client.submit({ language: 'python', program: 'def main(): return 1', priority: 10 });
    expect((await urgent.outcome()).queuedMs).toBeLessThan(2_000);
    expect(await Promise.all(others)).toEqual(others.map((_, at) => at));
    const outcomes = await Promise.all(hanging.map((task) => task.outcome()));
    expect(new Set(outcomes.map(({ state }) => state))).toEqual(new Set(['timed_out']));
    await slotsAreFree();
  });
});

describe('at the command line', () => {
  it('Ctrl+C cancels the task, kills it, and ends with 130', async () => {
    const asked = request('interrupt', 'tell(path, os.getpid())\nwhile True: pass');
    const started = pool.start(['cpu', '--id', 'interrupted', '--program', asked.program, '--args', JSON.stringify([asked.path])]);
    await until('it runs', () => existsSync(asked.path));
    const interruptedAt = performance.now();
    started.process.kill('SIGINT');
    expect(await started.ended).toMatchObject({ status: 130, stdout: '' });
    await allGone(asked.path, interruptedAt);
    expect(await client.watch('interrupted').outcome()).toMatchObject({ state: 'cancelled' });
  });

  it('--timeout ends with 5, a cancelled task with 4', async () => {
    const timedOut = await pool.cli(['cpu', '--program', sleeping, '--args', '[60]', '--timeout', '0.2']);
    expect(timedOut).toMatchObject({ status: 5, stdout: '', stderr: expect.stringContaining('0.2 s') as string });
    const waiting = pool.start(['cpu', '--id', 'cancel-me', '--program', sleeping, '--args', '[60]']);
    await until('it runs', async () => (await client.task('cancel-me')).state === 'running');
    expect(await pool.cli(['cancel', '--task-id', 'cancel-me'])).toMatchObject({ status: 0 });
    expect(await waiting.ended).toMatchObject({ status: 4, stdout: '' });
  });
});
