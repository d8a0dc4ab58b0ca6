/** `npm run test:node24`: the suite under Node 24, which is taken from the registry's `node` package. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { root } from './ensure.mjs';

const folder = join(root, '.test-node');
mkdirSync(folder, { recursive: true });
const binary = join(folder, 'node_modules', 'node', 'bin', 'node');
if (!existsSync(binary)) {
  // The package's install script links the binary for this platform; npm 11 runs it only if told so here.
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts: { node: true } }));
  execFileSync('npm', ['install', '--no-audit', '--no-fund', 'node@24'], { cwd: folder, stdio: 'inherit' });
}
const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
console.error(`testing with node ${execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()}`);
process.exitCode = spawnSync(binary, ['scripts/test.mjs', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit', env }).status ?? 1;
