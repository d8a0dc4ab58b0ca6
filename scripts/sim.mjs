/** Bundles the simulator (test/sim) with the sources as they are, and runs it. See `npm run sim -- --help`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleSim } from './sim-bundle.mjs';
import { huntAll } from './sim-planted.mjs';

const args = process.argv.slice(2);
if (args.includes('--planted')) process.exitCode = (await huntAll(seedsOf(args), args.includes('--quick'))) === 0 ? 0 : 1;
else process.exitCode = await run(args);

async function run(options) {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-sim-'));
  try {
    const bundle = join(folder, 'sim.mjs');
    await bundleSim(bundle);
    return spawnSync(process.execPath, ['--enable-source-maps', bundle, ...options], { stdio: 'inherit' }).status ?? 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How many seeds may be needed to find one. */
function seedsOf(options) {
  const at = options.indexOf('--seeds');
  return at < 0 ? 500 : Number(options[at + 1]);
}
