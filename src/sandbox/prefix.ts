/**
 * What an interpreter needs to see of the machine it is installed on: the folders to show, read-only and at
 * their own paths, to the code in a box.
 *
 * The system's folders are shown to all. What an interpreter has outside of them is its `bin`, its `lib`, `lib64` and
 * the like, and its `pyvenv.cfg`; and the same of the installation that a virtual environment stands on.
 *
 * Invariants
 *  1. Nothing is shown that holds the home folder, or the pool's, or that either of them holds whole.
 *  2. Packages that a user installed beside the interpreter (~/.local/lib/python3…) are not shown.
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Interpreter } from './interpreters.ts';

/** What every machine's programs are made of. */
export const SYSTEM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'] as const;
/** Installations that are one whole: a program there uses files of many of its packages. What lies there is public. */
const PACKAGE_STORES: readonly { folder: string; parts: readonly string[] }[] = [
  { folder: '/nix/store', parts: [''] },
  { folder: '/gnu/store', parts: [''] },
  // Not its var, in which its user's databases are, and not its etc.
  { folder: '/home/linuxbrew/.linuxbrew', parts: ['bin', 'lib', 'opt', 'Cellar'] },
];
/** Of a prefix. A folder that somebody called `library` or `lib-old` is none of Python's. */
const OWN_PARTS = /^(?:bin|lib(?:32|64|x32|exec)?|pyvenv\.cfg)$/;
/** As long as an interpreter's first start may take. */
const QUESTION_TIMEOUT_MS = 10_000;

const PYTHON_QUESTION = `
import json, os, site, sys
print(json.dumps({
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
    "user": site.getusersitepackages() if site.ENABLE_USER_SITE else "",
}))`;

export interface Shown {
  /** Absolute paths of files and folders outside the system's. */
  paths: string[];
  /** What it does without in the box, a sentence each. */
  notes: string[];
}

/** The interpreter cannot be shown without showing what must not be; the message says why. */
export class PrefixError extends Error {}

/**
 * @param hidden folders that must not be seen: the home folder and the pool's
 * @throws PrefixError
 */
export async function shownFor(interpreter: Interpreter, hidden: readonly string[]): Promise<Shown> {
  const shown = interpreter.language === 'python' ? await ofPython(interpreter) : ofNode(interpreter);
  const paths = unique(shown.paths.flatMap((path) => [path, realpathSync(path)])).filter((path) => !isOfSystem(path));
  for (const path of paths) refuseIfItShows(path, hidden, interpreter);
  return { paths: withoutNested(paths), notes: shown.notes };
}

/** @throws PrefixError when the system's folders hold one of these */
export function refuseHiddenInSystem(hidden: readonly string[]): void {
  for (const folder of hidden) {
    if (isOfSystem(realOf(folder))) throw new PrefixError(`${folder} lies in a folder of the system, which tasks can read`);
  }
}

export function isOfSystem(path: string): boolean {
  return SYSTEM_FOLDERS.some((folder) => holds(folder, path));
}

async function ofPython(interpreter: Interpreter): Promise<Shown> {
  const { stdout } = await promisify(execFile)(interpreter.path, ['-c', PYTHON_QUESTION], { env: questionEnv(), timeout: QUESTION_TIMEOUT_MS });
  const answer = JSON.parse(stdout) as { prefixes: string[]; user: string };
  const prefixes = unique([...answer.prefixes, dirname(dirname(realpathSync(interpreter.path)))]);
  const hasUserPackages = answer.user !== '' && existsSync(answer.user) && readdirSync(answer.user).length > 0;
  const notes = hasUserPackages ? [`packages in ${answer.user} are not in the box; install them where ${interpreter.path} has its own, or into a virtual environment`] : [];
  return { paths: prefixes.flatMap(partsOf), notes };
}

/** Its home says where user packages would be. */
function questionEnv(): Record<string, string> {
  const home = process.env['HOME'];
  return { PATH: '/usr/bin:/bin', ...(home === undefined ? {} : { HOME: home }) };
}

/** Node is one file, but for builds that keep most of it in a library beside it. */
function ofNode(interpreter: Interpreter): Shown {
  const real = realpathSync(interpreter.path);
  const prefix = dirname(dirname(real));
  const libraries = join(prefix, 'lib');
  const hasLibrary = !isOfSystem(prefix) && existsSync(libraries) && readdirSync(libraries).some((name) => name.startsWith('libnode.'));
  return { paths: [interpreter.path, ...storeOf(real), ...(hasLibrary ? [libraries] : [])], notes: [] };
}

function partsOf(prefix: string): string[] {
  const store = storeOf(prefix);
  if (store.length > 0) return store;
  if (isOfSystem(prefix) || !existsSync(prefix)) return [];
  const names = readdirSync(prefix).filter((name) => OWN_PARTS.test(name));
  return names.map((name) => join(prefix, name)).filter((path) => existsSync(path));
}

function storeOf(path: string): string[] {
  const store = PACKAGE_STORES.find(({ folder }) => holds(folder, path));
  return store === undefined ? [] : store.parts.map((part) => join(store.folder, part)).filter((part) => existsSync(part));
}

function refuseIfItShows(path: string, hidden: readonly string[], interpreter: Interpreter): void {
  // The folder that holds bin and lib is what somebody chose to install into.
  const prefix = dirname(path);
  for (const folder of hidden) {
    const real = realOf(folder);
    const whole = interpreter.language === 'python' && prefix !== '/' && !storeOf(path).length;
    if (holds(path, real) || (whole && holds(prefix, real))) {
      throw new PrefixError(`the ${interpreter.language} at ${interpreter.path} is installed in ${whole ? prefix : path}, which holds ${folder}`);
    }
  }
}

function realOf(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}

function holds(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

function withoutNested(paths: readonly string[]): string[] {
  return paths.filter((path) => !paths.some((other) => other !== path && holds(other, path)));
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
