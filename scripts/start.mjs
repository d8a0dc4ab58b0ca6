/**
 * `npm start`: everything from a fresh clone to results on the screen.
 *
 * Installs and builds if that was not done, starts a pool on this machine (`potluck up`), runs the tasks of
 * the guide, shows which peer ran each, and keeps the pool up until Ctrl+C. With `--exit` it ends after that.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureBuilt, ensureInstalled } from './ensure.mjs';

const run = promisify(execFile);
const potluck = fileURLToPath(new URL('../bin/potluck.js', import.meta.url));
const exitAfter = process.argv.includes('--exit');

const tasks = [
  { say: 'the square of 5', args: ['--program', 'def main(x): return x * x', '--function', 'main', '--args', '[5]'] },
  { say: 'the sum of 1 to 100', args: ['--program', 'def main(n): return sum(range(1, n+1))', '--function', 'main', '--args', '[100]'] },
  { say: '2 to the power of 200', args: ['--program', 'def main(n): return 2 ** n', '--args', '[200]'] },
  { say: 'JavaScript: the largest of three', args: ['--language', 'javascript', '--program', 'export const main = (...n) => Math.max(...n)', '--args', '[3, 14, 15]'] },
];

await ensureInstalled();
await ensureBuilt();

const up = spawn(process.execPath, [potluck, 'up', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = once(up, 'exit');
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    stopping = true;
    // On a terminal the children have had the Ctrl+C already; a second one must not reach them as "at once".
    if (signal === 'SIGTERM' || !process.stdin.isTTY) up.kill('SIGTERM');
  });
}

const pool = await Promise.race([firstDocument(up.stdout), ended.then(() => undefined)]);
if (pool?.error !== undefined) {
  console.error(`error: ${pool.error.message}\n  fix: ${pool.error.hint ?? ''}`);
  await ended;
}
if (pool === undefined || pool.error !== undefined) process.exit(up.exitCode || 1);

const ports = pool.peers.map(({ port }) => String(port));
console.log(`the pool is up: a tracker on port ${pool.tracker.port}, peers on ${ports.join(', ')}`);
let failed = false;
for (const { say, args } of tasks) {
  if (stopping) break;
  try {
    const { stdout } = await run(process.execPath, [potluck, 'cpu', '--port', ports[0], ...args, '--json']);
    // Only `result` is shown; it is cut out as the text that it is, so that large integers stay whole.
    const document = JSON.parse(stdout);
    const result = stdout.slice(stdout.indexOf('"result":') + 9).trim().replace(/\}$/, '');
    console.log(`  ${say.padEnd(34)} ran on ${document.peer}  → ${result}`);
  } catch (error) {
    failed = true;
    console.error(`  ${say}: ${error.stdout || error.stderr || error.message}`);
  }
}

if (exitAfter || failed) {
  up.kill('SIGTERM');
} else if (!stopping) {
  console.log(`pages: ${pool.peers.map(({ web }) => web).join('  ')}`);
  console.log('log in at the first with: npx potluck page');
  console.log('in another terminal: npx potluck cpu --program "def main(x): return x * x" --args "[7]"');
  console.log('Ctrl+C stops all of it');
}
await ended;
process.exit(failed ? 1 : exitAfter || stopping ? 0 : (up.exitCode ?? 1));

/** The first line of a stream as JSON. */
async function firstDocument(stream) {
  let text = '';
  for await (const chunk of stream) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  return JSON.parse(text.slice(0, text.indexOf('\n')));
}
