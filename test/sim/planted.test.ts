/** Faults planted in the production code, one at a time: a check that lets one slip through is no check. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('finds every planted fault', { timeout: 600_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/sim.mjs', '--planted', '--quick', '--seeds', '150'], { cwd: root });
  expect(stdout).toMatch(/all \d+ planted faults were found/);
});
