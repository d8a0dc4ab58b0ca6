/** What a task prints while its home is away: it is in the record, and every follower sees it once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPool } from './pool.ts';
import { Notes } from './programs.ts';
import { until } from './until.ts';

/** `main(notes, gate, ending)`: prints lines until the gate opens, noting how many; then as many that end it; gives the number of lines. */
const printing = `
import os, sys, time

def main(notes, gate, ending):
    count = 0
    def line():
        nonlocal count
        print(f"line {count} grüße 👋", flush=True)
        print(f"error {count}", file=sys.stderr, flush=True)
        count += 1
    while not os.path.exists(gate):
        line()
        with open(notes, "w") as file: file.write(f"{count}\\n")
        time.sleep(0.005)
    for _ in range(ending): line()
    return count
`;

let pool: TestPool;
beforeAll(async () => {
  // The home runs nothing itself, so that its death ends no attempt.
  pool = await TestPool.start({ peers: 2, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
});
afterAll(() => pool.stop());

const linesOf = (count: number) => ({
  stdout: Array.from({ length: count }, (_, at) => `line ${at} grüße 👋\n`).join(''),
  stderr: Array.from({ length: count }, (_, at) => `error ${at}\n`).join(''),
});

describe('output of a task whose home is killed with SIGKILL and started again', () => {
  for (const endsMeanwhile of [false, true]) {
    it(`is in the record and at its follower, every line once, when it ends ${endsMeanwhile ? 'while the home is away' : 'later'}`, async () => {
      const home = pool.peers[0]!;
      const client = await pool.client(0);
      const notes = new Notes(pool.folder, `count-${endsMeanwhile}`);
      const printed = () => Number(notes.lines()[0] ?? 0);
      const heard = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
      const gaps: number[] = [];
      const task = client.submit<number>({
        language: 'python',
        program: printing,
        args: [notes.path, notes.gate(notes.path.slice(-9)), 50],
        onOutput: ({ stream, data, dropped }) => {
          heard[stream].push(Buffer.from(data));
          if (dropped > 0) gaps.push(dropped);
        },
      });
      await until('the follower hears it', () => heard.stdout.length > 10);
      await home.kill('SIGKILL');
      const before = printed();
      await until('it printed while the home was away', () => printed() > before + 50);
      if (endsMeanwhile) notes.open(notes.path.slice(-9));
      await home.restart();
      if (!endsMeanwhile) {
        const there = heard.stdout.length;
        await until('the follower hears it again', () => heard.stdout.length > there + 5);
        notes.open(notes.path.slice(-9));
      }
      const count = await task;
      expect((await task.outcome()).attempt).toBe(1);
      const { output } = await client.task(task.id);
      expect(output).toEqual({ stdout: { text: linesOf(count).stdout, dropped_bytes: 0 }, stderr: { text: linesOf(count).stderr, dropped_bytes: 0 } });
      expect({ stdout: Buffer.concat(heard.stdout).toString(), stderr: Buffer.concat(heard.stderr).toString(), gaps }).toEqual({ ...linesOf(count), gaps: [] });
    });
  }
});
