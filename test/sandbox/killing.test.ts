import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { isAlive } from '../../src/sandbox/processes.ts';
import type { Isolation } from '../../src/sandbox/types.ts';
import { Bench, canBox, death, eventually, heldLevel, holdIn, resultText } from './harness.ts';

/** Prints the numbers of all processes it started, then does what must be stopped. */
const RUNAWAYS: [string, string][] = [
  ['a busy loop', 'def main():\n    print(os.getpid(), flush=True)\n    while True: pass'],
  ['a long sleep', 'def main():\n    print(os.getpid(), flush=True)\n    time.sleep(600)'],
  [
    'a loop that catches everything and ignores signals',
    'def main():\n    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n    print(os.getpid(), flush=True)\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass',
  ],
  ['a flood of output', 'def main():\n    print(os.getpid(), flush=True)\n    while True: sys.stderr.write("x" * 100_000)'],
  [
    'children of children',
    'def main():\n    a = subprocess.Popen(["sh", "-c", "sleep 601 & echo $!; sleep 602"])\n    print(os.getpid(), a.pid, flush=True)\n    a.wait()',
  ],
  [
    'a child in a session of its own',
    'def main():\n    a = subprocess.Popen(["sleep", "603"], start_new_session=True)\n    print(os.getpid(), a.pid, flush=True)\n    time.sleep(600)',
  ],
  [
    'a child that forked twice, left its session and wiped its environment',
    [
      'def main():',
      '    if os.fork() == 0:',
      '        os.setsid()',
      '        if os.fork() == 0:',
      '            print(os.getpid(), flush=True)',
      '            os.execve("/bin/sleep", ["sleep", "604"], {})',
      '        os._exit(0)',
      '    os.wait()',
      '    print(os.getpid(), flush=True)',
      '    time.sleep(600)',
    ].join('\n'),
  ],
  [
    'processes that keep starting others',
    [
      'def breed():',
      '    while True:',
      '        if os.fork() == 0: continue',
      '        time.sleep(0.01)',
      'def main():',
      '    print(os.getpid(), flush=True)',
      '    if os.fork() == 0: breed()',
      '    time.sleep(600)',
    ].join('\n'),
  ],
];
const IMPORTS = 'import os, signal, subprocess, sys, time\n';

const KINDS: [string, Isolation][] = [
  ['in the box', 2],
  ['in a cgroup', 1],
  ['as a tree of processes', 0],
];

describe.each(KINDS)('%s', (kind, isolation) => {
  if (isolation === 2 && !canBox) return it.skip('needs bubblewrap');
  let bench: Bench;
  let workers = 0;
  beforeAll(async () => {
    holdIn(isolation);
    const level = await heldLevel();
    if (isolation > 0 && level.cgroup === null) console.warn(`no cgroup here: ${level.missing}`);
    bench = await Bench.start(level);
  });
  afterAll(async () => {
    await bench.stop();
  });
  const worker = (): string => bench.spawn(`${kind}-${++workers}`);

  test.each(RUNAWAYS)('kill ends %s within a second', async (_name, body) => {
    const name = worker();
    const job = bench.job(name, IMPORTS + body);
    bench.workers.feed(name, [job]);
    const wanted = body.includes('getpid(), a.pid') ? (body.includes('echo') ? 3 : 2) : body.includes('execve') ? 2 : 1;
    const told = (): number[] => bench.output(name, job.job, 'stdout').split(/\s+/).filter(Boolean).map(Number);
    await eventually(() => told().length >= wanted, 'all have said who they are');
    const pids = bench.outside(name, told());
    expect(pids.every(isAlive)).toBe(true);
    const killedAt = performance.now();
    bench.workers.kill(name);
    await bench.gone(name);
    expect(performance.now() - killedAt).toBeLessThan(1000);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(bench.workers.list().some((each) => each.worker === name)).toBe(false);
    expect(bench.events.filter((event) => event.worker === name && (event.type === 'exited' || event.type === 'result'))).toEqual([]);
  });

  test('a worker that dies takes with it what it left behind, before it is gone', async () => {
    const name = worker();
    const job = bench.job(name, `${IMPORTS}def main():\n    a = subprocess.Popen(["sleep", "605"], start_new_session=True)\n    print(a.pid, flush=True)\n    time.sleep(600)`);
    bench.workers.feed(name, [job]);
    await eventually(() => bench.output(name, job.job, 'stdout').endsWith('\n'), 'it has started one');
    const [left = 0] = bench.outside(name, [Number(bench.output(name, job.job, 'stdout'))]);
    expect(isAlive(left)).toBe(true);
    process.kill(bench.workers.list().find((each) => each.worker === name)?.pid ?? 0, 'SIGKILL');
    expect(death(await bench.ended(name, job.job)).signal).toBe('SIGKILL');
    await bench.gone(name);
    expect(isAlive(left)).toBe(false);
  });

  test('what a job leaves running is reported', async () => {
    for (const start of [
      'subprocess.Popen(["sleep", "606"])',
      'subprocess.Popen(["sleep", "606"], start_new_session=True)',
      'subprocess.run(["sh", "-c", "(sleep 606 >/dev/null 2>&1 &)"])',
    ]) {
      const ran = await bench.run(worker(), `${IMPORTS}def main():\n    ${start}\n    return 1`);
      expect(ran.ending).toMatchObject({ type: 'result', leftovers: true });
    }
  });

  test('children that a job waited for, and threads that it joined, are no leftovers', async () => {
    const name = worker();
    const program = `${IMPORTS}from concurrent.futures import ThreadPoolExecutor\ndef main():\n    subprocess.run(["true"])\n    os.system("true | true")\n    with ThreadPoolExecutor(4) as pool:\n        return sum(pool.map(lambda x: x, range(10)))`;
    for (let i = 0; i < 10; i++) expect((await bench.run(name, program)).ending).toMatchObject({ type: 'result', leftovers: false });
  });

  test('100 jobs that each have to be killed do not stall the others', async () => {
    const steady = worker();
    await bench.run(steady, 'def main(): return 1');
    let slowestMs = 0;
    const done = new AbortController();
    const neighbour = (async () => {
      while (!done.signal.aborted) {
        const at = performance.now();
        await bench.run(steady, 'def main(): return 1');
        slowestMs = Math.max(slowestMs, performance.now() - at);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    for (let round = 0; round < 25; round++) {
      const names = [worker(), worker(), worker(), worker()];
      for (const name of names) bench.workers.feed(name, [bench.job(name, 'def main():\n    while True: pass')]);
      await Promise.all(names.map(async (name) => await bench.ready(name)));
      for (const name of names) bench.workers.kill(name);
      await Promise.all(names.map(async (name) => await bench.gone(name)));
    }
    done.abort();
    await neighbour;
    // A stall would last as long as the others take together; a busy machine's hiccup does not.
    expect(slowestMs).toBeLessThan(3000);
  }, 120_000);

  describe('memory', () => {
    const hog = 'def main():\n    a = []\n    while True: a.append(bytearray(10_000_000))';

    test('a hog ends out of memory with its limit, and its neighbour notices nothing', async () => {
      const [greedy, calm] = [bench.spawn(`${kind}-greedy`, 'python', 150), bench.spawn(`${kind}-calm`, 'python', 150)];
      const steady = 'import time\ndef main():\n    for _ in range(30): time.sleep(0.01)\n    return "calm"';
      const [ran, neighbour] = await Promise.all([bench.run(greedy, hog), bench.run(calm, steady)]);
      expect(death(ran)).toMatchObject({ outOfMemory: { limitMb: 150 }, why: 'the task went over its memory limit of 150 MB' });
      expect(resultText(neighbour)).toBe('"calm"');
    });

    test('a hog in a child process, whose parent waits for it', async () => {
      const program = `import multiprocessing\ndef eat():\n    a = []\n    while True: a.append(bytearray(10_000_000))\ndef main():\n    p = multiprocessing.get_context("fork").Process(target=eat)\n    p.start()\n    p.join()\n    return p.exitcode`;
      const ran = await bench.run(bench.spawn(`${kind}-parent`, 'python', 150), program);
      expect(death(ran)).toMatchObject({ outOfMemory: { limitMb: 150 } });
    });

    test('an allocation that Python refuses', async () => {
      const ran = await bench.run(bench.spawn(`${kind}-refused`, 'python', 150), 'def main(): bytearray(10 ** 15)');
      expect(ran.ending).toMatchObject({ type: 'failed', error: { code: 'out_of_memory', message: 'the task went over its memory limit of 150 MB' } });
      const free = await bench.run(worker(), 'def main(): bytearray(10 ** 15)');
      expect(free.ending).toMatchObject({ type: 'failed', error: { code: 'exception', type: 'MemoryError' } });
    });

    test('a task below its limit is left alone', async () => {
      const ran = await bench.run(bench.spawn(`${kind}-modest`, 'python', 150), 'def main(): return len(bytearray(50_000_000))');
      expect(resultText(ran)).toBe('50000000');
    });
  });
});
