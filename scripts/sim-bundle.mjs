/** The simulator as one file, with changes made to the sources on the way if asked for. */
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/**
 * @param {string} outfile
 * @param {{ file: string, from: string, to: string }[]} changes each `from` must stand exactly once in its file
 */
export async function bundleSim(outfile, changes = [], entry = 'test/sim/main.ts') {
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'inline',
    logLevel: 'warning',
    banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url);" },
    plugins: [withoutDatabase, changed(changes)],
  });
}

/** Nothing in a simulated pool opens one. */
const withoutDatabase = {
  name: 'without-database',
  setup(build) {
    build.onResolve({ filter: /^libsql$/ }, () => ({ path: 'libsql', namespace: 'none' }));
    build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export default class {}' }));
  },
};

const changed = (changes) => ({
  name: 'changed',
  setup(build) {
    if (changes.length === 0) return;
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const of = changes.filter(({ file }) => path === join(root, file));
      if (of.length === 0) return undefined;
      let contents = readFileSync(path, 'utf8');
      for (const { file, from, to } of of) {
        const parts = contents.split(from);
        if (parts.length !== 2) throw new Error(`"${from}" stands ${parts.length - 1} times in ${file}, not once`);
        contents = parts.join(to);
      }
      return { contents, loader: 'ts' };
    });
  },
});
