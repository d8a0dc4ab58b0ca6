/** Folders as tasks leave them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeFolder } from '../../src/sandbox/scratch.ts';
import { Bench, resultText } from './harness.ts';

test.each([
  ['deeper than a path can be long', 'for _ in range(60): os.mkdir("d" * 200); os.chdir("d" * 200)'],
  ['closed to everybody', 'os.mkdir("d"); open("d/f", "w").close(); os.chmod("d", 0); os.chmod(".", 0)'],
])('a folder that is %s is removed', async (_, program) => {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-scratch-'));
  try {
    execFileSync('python3', ['-c', `import os\n${program}`], { cwd: folder });
    expect(await removeFolder(folder)).toBe(true);
    expect(existsSync(folder)).toBe(false);
  } finally {
    execFileSync('rm', ['-rf', folder]);
  }
});

test('a worker for which no folder can be made has not started, and the next one runs', async () => {
  const bench = await Bench.start();
  try {
    rmSync(bench.scratchRoot, { recursive: true });
    writeFileSync(bench.scratchRoot, '');
    bench.spawn('a');
    bench.workers.feed('a', [bench.job('a', 'def main(): return 1')]);
    await bench.gone('a');
    expect(bench.events).toMatchObject([{ type: 'exited', worker: 'a', ready: false, why: expect.stringContaining('cannot be started') as string }, { type: 'gone', worker: 'a' }]);
    rmSync(bench.scratchRoot);
    expect(resultText(await bench.run(bench.spawn('b'), 'def main(): return 1'))).toBe('1');
  } finally {
    await bench.stop();
  }
});
