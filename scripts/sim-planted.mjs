/** Plants known faults in the code, one at a time, and lets the simulator look for each. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planted } from '../test/sim/planted.mjs';
import { bundleSim } from './sim-bundle.mjs';

/**
 * @param {{ name: string, file: string, from: string, to: string }} fault
 * @param {number} first the first seed
 * @param {number} count how many
 * @returns {Promise<{ seed: number, failure: string } | undefined>} undefined: it slipped through
 */
export async function hunt(fault, first, count) {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-planted-'));
  try {
    const bundle = join(folder, 'sim.mjs');
    await bundleSim(bundle, [fault]);
    return await new Promise((resolve, reject) => {
      execFile(process.execPath, [bundle, '--hunt', '--seed', String(first), '--seeds', String(count)], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
        if (error === null) resolve(undefined);
        else if (error.code === 1) resolve(JSON.parse(stdout.trim().split('\n').at(-1)));
        else reject(new Error(`${fault.name}: ${stderr || error.message}`));
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** At a time: as many as most machines have cores. */
const atOnce = 2;

/**
 * Looks for all of them, and says which seed finds each.
 * @param {number} seedsMax so many seeds from 1
 * @param {boolean} quick first the seed that found it before; the others only if it does not any more
 * @returns how many slipped through
 */
export async function huntAll(seedsMax, quick) {
  let missed = 0;
  const open = [...planted];
  const look = async () => {
    for (let fault = open.shift(); fault !== undefined; fault = open.shift()) {
      const known = quick && fault.seed !== undefined ? await hunt(fault, fault.seed, 1) : undefined;
      const found = known ?? (await hunt(fault, 1, seedsMax));
      if (found === undefined) missed += 1;
      console.log(found === undefined ? `NOT FOUND in ${seedsMax} seeds: ${fault.name}` : `seed ${String(found.seed).padStart(4)}: ${fault.name}\n           ${found.failure.slice(0, 140)}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, look));
  console.log(missed === 0 ? `all ${planted.length} planted faults were found` : `${missed} of ${planted.length} planted faults were not found`);
  return missed;
}
