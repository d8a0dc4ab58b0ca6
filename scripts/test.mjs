/**
 * `npm test`: everything, on a fresh machine, with nothing else installed by hand.
 *
 * Installs npm packages, and Debian packages where it may; elsewhere it says what is missing, and the tests
 * that need it skip. Under CI a skip fails. Arguments are passed on to vitest. The last line is
 * `N passed, N failed, N skipped`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, root } from './ensure.mjs';

/** Programs that tests use, and the Debian packages that bring them. */
const needed = { python3: 'python3', strace: 'strace', ip: 'iproute2', chromium: 'chromium', bwrap: 'bubblewrap' };

const has = (program) => {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

function installPrograms() {
  const missing = Object.keys(needed).filter((program) => !has(program));
  if (missing.length === 0) return;
  const packages = missing.map((program) => needed[program]);
  if (process.platform !== 'linux' || process.getuid() !== 0 || !has('apt-get')) {
    console.error(`not installed: ${missing.join(', ')}; the tests that need them are skipped (Debian: apt-get install ${packages.join(' ')})`);
    return;
  }
  console.error(`installing ${packages.join(', ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 'ignore', 'inherit'], env });
  execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { stdio: ['ignore', 'ignore', 'inherit'], env });
}

ensureInstalled();
installPrograms();
ensureBuilt({ types: true });

const folder = mkdtempSync(join(tmpdir(), 'potluck-report-'));
const report = join(folder, 'report.json');
const vitest = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
const status = await new Promise((resolve) => vitest.on('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 130))));

let counts;
try {
  counts = JSON.parse(readFileSync(report, 'utf8'));
} catch (error) {
  console.error(`error: vitest left no report\n  why: ${error.message}\n  fix: see its output above`);
  process.exit(1);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const skipped = counts.numPendingTests + counts.numTodoTests;
const failed = counts.numFailedTests + (counts.numFailedTests === 0 && !counts.success ? 1 : 0);
const skipFails = process.env.CI !== undefined && skipped > 0;
if (skipFails) console.error('under CI a skipped test is a failure: see which above');
console.log(`${counts.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || skipFails || counts.numPassedTests === 0 ? 1 : status;
