/** Output that floods: it is read at a measure, and still each job's is its own, whole and before its answer. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Bench, eventually, heldLevel, resultText } from './harness.ts';

const MiB = 1024 * 1024;

const filling = `
import os, sys

def main(mark, count):
    block = mark.encode() * 65536
    for _ in range(count):
        os.write(1, block)
    os.write(2, b'.')
    return mark
`;
/** As `filling`, block by block as they are taken in: about at a turn's measure, the last lies in this process and nothing is unread. */
const drained = `
import fcntl, os, termios, time

def unread():
    try:
        return fcntl.ioctl(1, termios.TIOCOUTQ, bytes(4)) != bytes(4)
    except OSError:  # a system that does not say
        return True

def main(mark, count):
    for _ in range(count):
        os.write(1, mark.encode() * 65536)
        until = time.monotonic() + 0.003
        while unread() and time.monotonic() < until: pass
    return mark
`;
const endless = "import os\ndef main():\n  while True: os.write(1, b'y' * 65536)";

let bench: Bench;
beforeAll(async () => {
  bench = await Bench.start(await heldLevel());
});
afterAll(() => bench.stop());

const bytesOf = (worker: string) => bench.events.reduce((sum, event) => (event.type === 'output' && event.worker === worker ? sum + event.data.length : sum), 0);

describe('output that floods', () => {
  it('of job after job in one worker is each its own', async () => {
    const worker = bench.spawn('one-by-one');
    for (const [mark, count] of [['a', 200], ['b', 0], ['c', 1], ['d', 100], ['e', 1]] as const) {
      const ran = await bench.run(worker, filling, { args: JSON.stringify([mark, count]) });
      expect([resultText(ran), ran.stdout.length, ran.stderr]).toEqual([`"${mark}"`, count * 65_536, '.']);
      expect(ran.stdout.replaceAll(mark, '')).toBe('');
    }
  });

  it('that was read and waits when the job ends comes before its answer', async () => {
    const worker = bench.spawn('ends');
    await bench.ready(worker);
    // A worker looks closely at a program's first jobs; after those it believes what it sees.
    for (let n = 0; n < 20; n += 1) await bench.run(worker, drained, { args: '["-", 0]' });
    for (let n = 0; n < 60; n += 1) {
      const mark = String(n % 10);
      const ran = await bench.run(worker, drained, { args: JSON.stringify([mark, 14 + (n % 8)]) });
      expect([ran.stdout.length, ran.stdout.replaceAll(mark, '')]).toEqual([(14 + (n % 8)) * 65_536, '']);
    }
  });

  it('is each job\'s own also when the next ones are fed while it waits to be read', async () => {
    const worker = bench.spawn('ahead');
    await bench.ready(worker);
    const marks = [...'abcdefgh'];
    const jobs = marks.map((mark, at) => bench.job(worker, filling, { args: JSON.stringify([mark, at % 2 === 0 ? 60 : 0]) }));
    bench.workers.feed(worker, jobs.slice(0, 1));
    await eventually(() => bytesOf(worker) > 2 * MiB, 'it floods');
    bench.workers.feed(worker, jobs.slice(1));
    for (const [at, { job }] of jobs.entries()) {
      const { stdout, stderr } = await bench.ended(worker, job);
      expect([stdout.length, stderr]).toEqual([at % 2 === 0 ? 60 * 65_536 : 0, '.']);
      expect(stdout.replaceAll(marks[at]!, '')).toBe('');
    }
  });

  it('is read at a measure, and its worker is killed at once', async () => {
    const worker = bench.spawn('endless');
    await bench.ready(worker);
    const before = performance.now();
    bench.workers.feed(worker, [bench.job(worker, endless)]);
    await eventually(() => bytesOf(worker) > 30 * MiB, 'it floods');
    const turns = (performance.now() - before) / 10;
    // A turn's measure, and what one more read may be over it.
    expect(bytesOf(worker)).toBeLessThan((turns + 2) * (1 * MiB + 65_536));
    const killed = performance.now();
    bench.workers.kill(worker);
    await bench.gone(worker);
    expect(performance.now() - killed).toBeLessThan(1_000);
  });
});
