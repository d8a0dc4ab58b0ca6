// @ts-check
/**
 * A program: a module from source text, and the functions in it, exported or not.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { failure, shorten, userText } from './failures.mjs';

const CHECK_TIMEOUT_MS = 5000;
/** A line may be as long as the program. */
const SHOWN_CHARS_MAX = 2048;
/** Behind every program: finds its functions that are not exported. */
const FINDER = '__potluck_find';
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
const scratch = process.cwd();

/** @typedef {{ url: string, source: string, attempts: number, module: Record<string, unknown> | null }} Program */

/**
 * @param {string} hash
 * @param {string} source
 * @returns {Program}
 */
export function keepProgram(hash, source) {
  const folder = join(scratch, 'programs', hash.slice(0, 16));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'program.mjs');
  writeFileSync(file, `${source}\nexport function ${FINDER}(name) { return eval(name); }\n`);
  return { url: pathToFileURL(file).href, source, attempts: 0, module: null };
}

/** @param {Program} program */
export async function load(program) {
  if (program.module !== null) return program.module;
  // Node remembers a module that failed under its address; the next job tries afresh.
  const url = program.attempts === 0 ? program.url : `${program.url}?${program.attempts}`;
  program.attempts += 1;
  try {
    program.module = await import(url);
  } catch (error) {
    if (error instanceof SyntaxError && isOfProgram(error, url)) throw syntaxFailure(error, program);
    throw error;
  }
  return /** @type {Record<string, unknown>} */ (program.module);
}

/**
 * Whether Node could not compile the program, rather than the program something else.
 * @param {SyntaxError} error
 * @param {string} url
 */
function isOfProgram(error, url) {
  const stack = String(error.stack);
  return stack.startsWith(url) || !/\n\s+at .*program\.mjs/.test(stack);
}

/**
 * Node tells the place of a syntax error in a module only to those who run it as a command. It is asked
 * about the source alone, so that one that ends too early is not blamed on what stands behind it.
 * @param {SyntaxError} error
 * @param {Program} program
 */
function syntaxFailure(error, program) {
  const source = join(dirname(fileURLToPath(program.url)), 'source.mjs');
  writeFileSync(source, program.source);
  const checked = spawnSync(process.execPath, ['--check', source], { encoding: 'utf8', timeout: CHECK_TIMEOUT_MS });
  // At the end of the input Node draws no caret, only the space before it.
  const place = /^(file:\/\/\S+|\/\S+):(\d+)\n(.*)\n([ \t]*)(?:\^|\n)/m.exec(checked.stderr ?? '');
  const message = userText(/^SyntaxError: (.+)$/m.exec(checked.stderr ?? '')?.[1] ?? error.message);
  if (place === null) return failure('syntax_error', 'SyntaxError', `${message} (program.mjs)`);
  const [, , line, text, indent] = place;
  const where = `program.mjs, line ${line}, column ${(indent?.length ?? 0) + 1}`;
  const shown = failure('syntax_error', 'SyntaxError', `${message} (${where})`);
  shown.error.traceback = shorten(`program.mjs:${line}\n${text}\n${indent}^\nSyntaxError: ${message}`, SHOWN_CHARS_MAX);
  return shown;
}

/**
 * @param {Record<string, unknown>} module
 * @param {string} name
 */
export function findFunction(module, name) {
  const exported = Object.hasOwn(module, name) ? module[name] : undefined;
  if (typeof exported === 'function') return exported;
  if (name === 'main' && typeof module['default'] === 'function') return module['default'];
  return IDENTIFIER.test(name) && name !== FINDER ? findTopLevel(module, name) : null;
}

/**
 * @param {Record<string, unknown>} module
 * @param {string} name
 */
function findTopLevel(module, name) {
  const find = /** @type {(text: string) => unknown} */ (module[FINDER]);
  try {
    const value = find(name);
    const isGlobal = Object.hasOwn(globalThis, name) && Reflect.get(globalThis, name) === value;
    return typeof value === 'function' && !isGlobal ? value : null;
  } catch {
    return null; // no such name, or one that is a keyword
  }
}

/**
 * @param {Program} program
 * @param {Record<string, unknown>} module
 * @param {string} wanted
 */
export function functionMissing(program, module, wanted) {
  const declared = program.source.matchAll(/^(?:export\s+)?(?:default\s+)?(?:async\s+)?(?:function\s*\*?|const|let|var|class)\s+([\p{ID_Start}$_][\p{ID_Continue}$]*)/gmu);
  const names = new Set([...Object.keys(module), ...[...declared].map((match) => match[1] ?? '')]);
  const callable = [...names].filter((name) => name !== FINDER && findFunction(module, name) !== null);
  callable.sort((a, b) => distance(a, wanted) - distance(b, wanted));
  const hint = callable.length === 0 ? `the program defines no function; write: export function ${wanted}() { ... }` : `the program defines: ${callable.slice(0, 20).join(', ')}`;
  return failure('function_missing', 'ReferenceError', `the program has no function ${wanted}`, hint);
}

/**
 * How many letters differ.
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
