/** Folders as tasks leave them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeFolder } from '../../src/sandbox/scratch.ts';

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
