/** A task over its memory is killed and says so; its neighbours notice nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { isAlive } from './processes.ts';

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 2, isolation: 2 });
  client = await pool.client();
});
afterAll(() => pool.stop());

const LIMIT_MB = 100;
const greedy: [string, 'python' | 'javascript', string][] = [
  ['Python that keeps what it makes', 'python', 'def main():\n    kept = []\n    while True: kept.append(bytearray(b"x" * 1048576))'],
  ['a child of Python', 'python', 'import subprocess, sys\ndef main():\n    code = "kept = []\\nwhile True: kept.append(bytearray(b\'x\' * 1048576))"\n    status = subprocess.run([sys.executable, "-c", code]).returncode\n    if status != 0: raise MemoryError(f"the child ended with {status}")'],
  ['JavaScript that keeps what it makes', 'javascript', 'export function main() { const kept = []; for (;;) kept.push(Buffer.alloc(1048576, 1)); }'],
];

describe('a task over its memory', () => {
  it.each(greedy)('%s: out_of_memory with the limit named, the neighbour unharmed', async (_, language, program) => {
    const neighbour = client.submit<[number, number]>({ language: 'python', program: 'import os, time\ndef main():\n    before = os.getpid()\n    time.sleep(1.5)\n    return [before, os.getpid()]' });
    const outcome = await client.submit({ language, program, memoryMb: LIMIT_MB }).outcome();
    expect(outcome).toMatchObject({ state: 'out_of_memory', error: { code: 'out_of_memory', message: expect.stringContaining(`${LIMIT_MB} MB`) as string } });
    const [before, after] = await neighbour;
    expect(before).toBe(after);
    expect(isAlive(before)).toBe(true);
    expect((await neighbour.outcome()).attempt).toBe(1);
  });

  it('ends the command with exit status 1', async () => {
    const { status, stdout, stderr } = await pool.cli(['cpu', '--memory', String(LIMIT_MB), '--program', greedy[0]![2]]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(`${LIMIT_MB} MB`);
  });

  it('that fits into it runs', async () => {
    expect(await client.submit({ language: 'python', program: 'def main(): return len(bytearray(30 * 1048576))', memoryMb: LIMIT_MB })).toBe(30 * 1_048_576);
  });

  it('that no peer could give it is refused before it is accepted', async () => {
    await expect(client.submit({ language: 'python', program: 'def main(): pass', memoryMb: 16_000_000 }).accepted).rejects.toMatchObject({ code: 'impossible' });
  });
});
