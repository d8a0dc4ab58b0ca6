/** Bundles the simulator (test/sim) with the sources as they are, and runs it. See `npm run sim -- --help`. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleSim } from './sim-bundle.mjs';

const folder = mkdtempSync(join(tmpdir(), 'potluck-sim-'));
try {
  const bundle = join(folder, 'sim.mjs');
  await bundleSim(bundle);
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', bundle, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
