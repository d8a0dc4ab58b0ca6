/** `npm run test:node24`: the suite under Node 24, which is taken from the registry's `node` package. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { root } from './ensure.mjs';

const folder = join(root, '.test-node');
mkdirSync(folder, { recursive: true });
const binary = join(folder, 'node_modules', 'node', 'bin', 'node');
if (!existsSync(binary)) execFileSync('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', '--allow-scripts=node', 'node@24'], { stdio: 'inherit' });
const env = { ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` };
console.error(`testing with node ${execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()}`);
process.exitCode = spawnSync(binary, ['scripts/test.mjs', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit', env }).status ?? 1;
