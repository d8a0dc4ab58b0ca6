import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Job } from '../../src/sandbox/types.ts';
import { aheadMax } from '../../src/sandbox/worker.ts';
import { Bench, death, eventually, heldLevel, resultText } from './harness.ts';

let bench: Bench;
let workers = 0;
beforeAll(async () => {
  bench = await Bench.start(await heldLevel());
});
afterAll(async () => {
  await bench.stop();
});

async function worker(): Promise<string> {
  const name = bench.spawn(`ahead-${++workers}`);
  await bench.ready(name);
  return name;
}

function jobs(name: string, program: string, args: string[]): Job[] {
  return args.map((each) => bench.job(name, program, { args: each }));
}

/** Keeps a list of what ran, in the worker's own folder. */
const NOTED = 'import time\nran = []\ndef main(x, seconds):\n    ran.append(x)\n    time.sleep(seconds)\n    return ran\n';

function answered(name: string): number[] {
  return bench.events.flatMap((event) => (event.type === 'result' && event.worker === name ? [event.job] : []));
}

describe('jobs fed ahead', () => {
  test('run one by one in their order', async () => {
    const name = await worker();
    const fed = jobs(name, NOTED, Array.from({ length: 100 }, (_, index) => `[${index}, 0]`));
    bench.workers.feed(name, fed);
    const last = await bench.ended(name, 100);
    expect(JSON.parse(resultText(last))).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(answered(name)).toEqual(fed.map((job) => job.job));
  });

  test('taken back unstarted, never run', async () => {
    const name = await worker();
    bench.workers.feed(name, jobs(name, NOTED, ['[0, 1]', '[1, 0]', '[2, 0]']));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(bench.workers.takeBack(name)).toEqual([2, 3]);
    expect(bench.workers.takeBack(name)).toEqual([]);
    // Fed after the recall and before the guest has come past the recalled ones.
    bench.workers.feed(name, jobs(name, NOTED, ['[3, 0]', '[4, 0]']));
    expect(JSON.parse(resultText(await bench.ended(name, 5)))).toEqual([0, 3, 4]);
    expect(answered(name)).toEqual([1, 4, 5]);
  });

  test('taken back before the worker was ready', async () => {
    const name = bench.spawn(`ahead-${++workers}`);
    bench.workers.feed(name, jobs(name, NOTED, ['[0, 0]', '[1, 0]']));
    expect(bench.workers.takeBack(name)).toEqual([1, 2]);
    bench.workers.feed(name, jobs(name, NOTED, ['[2, 0]']));
    expect(JSON.parse(resultText(await bench.ended(name, 3)))).toEqual([2]);
  });

  test('each is either run once or taken back, however the two race', async () => {
    const name = await worker();
    const taken: number[] = [];
    let fed = 0;
    for (let round = 0; round < 300; round++) {
      const more = jobs(name, NOTED, Array.from({ length: 1 + (round % 7) }, () => `[${++fed}, 0.0001]`));
      bench.workers.feed(name, more);
      for (let spin = 0; spin < (round * 7919) % 2000; spin++) Math.sqrt(spin);
      if (round % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
      taken.push(...bench.workers.takeBack(name));
      if (round % 3 === 0) await eventually(() => answered(name).length + taken.length === fed, 'all are accounted for');
    }
    await eventually(() => answered(name).length + taken.length === fed, 'all are accounted for');
    const last = await bench.run(name, NOTED, { args: `[${++fed}, 0]` });
    expect(JSON.parse(resultText(last))).toEqual(answered(name));
    expect([...answered(name), ...taken].toSorted((a, b) => a - b)).toEqual(Array.from({ length: fed }, (_, index) => index + 1));
    expect(taken.length).toBeGreaterThan(50);
  });

  test('a worker that dies names the job in progress first, then those that had not started', async () => {
    const name = await worker();
    bench.workers.feed(name, jobs(name, 'import os\ndef main(x):\n    if x == 1: os._exit(9)', ['[0]', '[1]', '[2]', '[3]']));
    expect(death(await bench.ended(name, 4)).unanswered).toEqual([2, 3, 4]);
    expect(answered(name)).toEqual([1]);
  });

  test('more than a worker may hold is refused', () => {
    const name = bench.spawn(`ahead-${++workers}`, 'javascript');
    expect(aheadMax('javascript')).toBe(1);
    expect(() => bench.workers.feed(name, jobs(name, '', ['[]', '[]']))).toThrow(RangeError);
  });
});

describe('output of jobs fed ahead', () => {
  test.each([
    ['print', 'print(x, end=";")'],
    ['raw writes', 'os.write(1, b"%d;" % x)'],
    ['children', 'subprocess.run(["echo", "-n", "%d;" % x])'],
    ['a print in every third', 'if x % 3 == 0: print(x, end=";")'],
    ['a raw write after a silent one', 'if x % 2: os.write(1, b"%d;" % x)'],
    ['both streams', 'print(x, end=";"); os.write(2, b"%d!" % x)'],
  ])('is each job’s own: %s', async (_name, line) => {
    const name = await worker();
    const program = `import os, subprocess\ndef main(x):\n    ${line}\n    return x`;
    const fed = jobs(name, program, Array.from({ length: 120 }, (_, index) => `[${index}]`));
    for (let at = 0; at < fed.length; at += 40) {
      bench.workers.feed(name, fed.slice(at, at + 40));
      await bench.ended(name, at + 40);
    }
    const silent = (x: number): boolean => (line.includes('% 3') && x % 3 !== 0) || (line.includes('% 2:') && x % 2 === 0);
    for (const job of fed) {
      const x = job.job - 1;
      expect([x, bench.output(name, job.job, 'stdout')]).toEqual([x, silent(x) ? '' : `${x};`]);
      if (line.includes('write(2')) expect(bench.output(name, job.job, 'stderr')).toBe(`${x}!`);
    }
  });

  test('costs a job that writes nothing no write but its answer', async () => {
    const name = await worker();
    const program = 'def main(x): return x';
    bench.workers.feed(name, jobs(name, program, Array.from({ length: 20 }, () => '[1]')));
    await bench.ended(name, 20);
    const pid = bench.workers.list().find((each) => each.worker === name)?.pid;
    const written = (): number => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
    const before = written();
    bench.workers.feed(name, jobs(name, program, Array.from({ length: 100 }, () => '[1]')));
    await bench.ended(name, 120);
    const answerBytes = 4 + 1 + 21 + 1;
    expect(written() - before).toBe(100 * answerBytes);
  });

  test('is not held back by jobs that wait behind', async () => {
    const name = await worker();
    const program = 'import os, time\ndef main(n):\n    for _ in range(n): os.write(1, b"x" * 65536)\n    time.sleep(1.5 if n else 0)\n    return n';
    bench.workers.feed(name, jobs(name, program, ['[500]', '[0]']));
    // Counted, not put together: that would take longer than the job.
    const arrived = () => bench.events.reduce((sum, event) => (event.type === 'output' && event.worker === name && event.job === 1 ? sum + event.data.length : sum), 0);
    await eventually(() => arrived() === 500 * 65_536, 'all of it is there');
    expect(answered(name)).toEqual([]);
    await bench.ended(name, 2);
  });

  test('comes before the job’s end, all of it, and while it runs', async () => {
    const name = await worker();
    const program = 'import sys, time\ndef main(n):\n    print("begun")\n    time.sleep(0.2)\n    sys.stdout.buffer.write(b"x" * n)\n    return n';
    const job = bench.job(name, program, { args: '[3000000]' });
    bench.workers.feed(name, [job]);
    await eventually(() => bench.output(name, job.job, 'stdout') === 'begun\n', 'the first line is there');
    expect(answered(name)).toEqual([]);
    const ran = await bench.ended(name, job.job);
    expect(ran.stdout.length).toBe(6 + 3_000_000);
    const end = bench.events.indexOf(ran.ending);
    expect(bench.events.slice(end).some((event) => event.type === 'output' && event.worker === name)).toBe(false);
  });
});
