/** Builds dist/: the command, the SDK, the index's thread, the guests, the page in the browser, and the types of the SDK. */
import { build } from 'esbuild';
import { build as buildPage } from 'vite';
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
// Beside the old one and then in its place: who starts the program meanwhile finds one or the other.
const out = `dist.${process.pid}`;

await build({
  entryPoints: { cli: 'src/cli/main.ts', sdk: 'src/sdk/index.ts', 'index-worker': 'src/store/index-worker.ts' },
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // Native, so it stays a dependency of the package.
  external: ['libsql'],
  // Some bundled CommonJS asks for `require`.
  banner: { js: "import { createRequire as __makeRequire } from 'node:module'; const require = __makeRequire(import.meta.url);" },
  chunkNames: 'chunk-[hash]',
  sourcemap: 'linked',
  logLevel: 'warning',
});
await buildPage({
  root: 'web',
  configFile: false,
  logLevel: 'warn',
  // Inline scripts, styles and pictures are what the page's policy forbids.
  build: { outDir: join('..', out, 'web'), emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false }, cssMinify: 'lightningcss' },
});
// Without what an interpreter compiled here: it is of use to none but that one.
cpSync('src/sandbox/guests', join(out, 'guests'), { recursive: true, filter: (path) => !path.includes('__pycache__') });
if (!process.argv.includes('--no-types')) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.types.json', '--outDir', join(out, 'types')], { stdio: 'inherit' });
  withoutSchemaLibrary(join(out, 'types'));
}
const old = `dist.old.${process.pid}`;
if (existsSync('dist')) renameSync('dist', old);
renameSync(out, 'dist');
rmSync(old, { recursive: true, force: true });

/** Types of schemas refer to the few that schema-types.d.ts declares, not to a library that is not installed with the package. */
function withoutSchemaLibrary(folder) {
  copyFileSync('scripts/schema-types.d.ts', join(folder, 'schema-types.d.ts'));
  for (const name of readdirSync(folder, { recursive: true })) {
    const path = join(folder, name);
    if (!path.endsWith('.d.ts')) continue;
    const text = readFileSync(path, 'utf8');
    const shape = `${relative(dirname(path), folder) || '.'}/schema-types.js`;
    if (text.includes("from 'zod'")) writeFileSync(path, text.replace("from 'zod'", `from '${shape}'`));
  }
}
