/** The same seed is the same history, in this process and in others; a failure comes back with the command that is printed. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { perform, scriptOf } from './scenario.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const seed = 7;

async function historyElsewhere(): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/sim.mjs', '--seed', String(seed)], { cwd: root });
  return stdout.match(/^history ([0-9a-f]{16})$/m)?.[1];
}

it('is the same history byte for byte in two processes and in this one', { timeout: 300_000 }, async () => {
  const [one, other] = await Promise.all([historyElsewhere(), historyElsewhere()]);
  const { world } = await perform(scriptOf(seed));
  expect(one).toBe(world.history.hash);
  expect(other).toBe(world.history.hash);
});
