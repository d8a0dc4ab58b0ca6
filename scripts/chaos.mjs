/** Bundles the chaos run (test/chaos) and runs it against dist/. See `npm run chaos -- --help`. */
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, root } from './ensure.mjs';

ensureBuilt();
// Who is told to stop ends the run first, and this afterwards.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
// As deep below the root as its sources, which find bin/ and test/ from where they lie.
const folder = join(root, `dist.chaos-${process.pid}`);
try {
  const outfile = join(folder, 'test', 'chaos.mjs');
  await build({
    absWorkingDir: root,
    entryPoints: ['test/chaos/main.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['libsql'],
    sourcemap: 'inline',
    logLevel: 'warning',
    banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url);" },
  });
  process.exitCode = spawnSync(process.execPath, ['--enable-source-maps', outfile, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
