/** Brings a clone into the state that its scripts need: packages installed, dist/ built from the sources as they are. */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command in the clone and shows its output only if it fails. */
function quietly(say, command, args) {
  console.error(`${say} …`);
  try {
    execFileSync(command, args, { cwd: root, stdio: 'pipe', env: { ...process.env, npm_config_loglevel: 'error' } });
  } catch (error) {
    process.stderr.write(error.stdout ?? '');
    process.stderr.write(error.stderr ?? '');
    console.error(`error: ${say} failed\n  why: ${command} ${args.join(' ')} ended with status ${error.status}\n  fix: see its output above`);
    process.exit(1);
  }
}

/**
 * Installs what package-lock.json says, unless it is there: npm's own list is newer, or this lock file was the last
 * that was installed here (a checkout makes every file new, also one whose content is not).
 */
export function ensureInstalled() {
  const folder = join(root, 'node_modules');
  const listed = join(folder, '.package-lock.json');
  const last = join(folder, '.potluck-lock.json');
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  if (existsSync(listed) && statSync(listed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs) return;
  if (existsSync(listed) && existsSync(last) && readFileSync(last, 'utf8') === lock) return;
  if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    console.error(`error: packages are not installed\n  why: ${folder} is a link, and what it leads to is not this clone's to replace\n  fix: remove the link`);
    process.exit(1);
  }
  quietly('installing packages', 'npm', ['ci', '--no-audit', '--no-fund']);
  writeFileSync(last, lock);
}

/** Newest change below a folder, ms since 1970. */
function newest(folder) {
  return Math.max(...readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !entry.parentPath.includes('__pycache__')).map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
}

export function ensureBuilt({ types = false } = {}) {
  const built = join(root, 'dist', 'cli.js');
  const typed = join(root, 'dist', 'types', 'sdk', 'index.d.ts');
  const fresh = existsSync(built) && statSync(built).mtimeMs >= Math.max(...['src', 'web', 'scripts'].map((folder) => newest(join(root, folder))));
  if (fresh && (!types || existsSync(typed))) return;
  quietly('building', process.execPath, ['scripts/build.mjs', ...(types ? [] : ['--no-types'])]);
}
