// @ts-check
/**
 * What went wrong in a task, in the words that its submitter reads.
 */
import { join } from 'node:path';
import { typeName } from './exact-json.mjs';

const MESSAGE_CHARS_MAX = 8 * 1024;
const TRACEBACK_CHARS_MAX = 32 * 1024;
const OUR_FOLDER = new URL('..', import.meta.url).href;
const scratch = process.cwd();

/** @typedef {{ code: string, type: string, message: string, traceback?: string, hint?: string }} JobError */

export class Failure extends Error {
  /** @param {JobError} error */
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

/**
 * @param {string} text
 * @param {number} limit
 */
export function shorten(text, limit) {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit / 2)}\n[... ${text.length - limit} characters left out ...]\n${text.slice(-limit / 2)}`;
}

/**
 * @param {unknown} error
 * @param {{ name: string, boxed: boolean }} settings
 * @returns {JobError}
 */
export function describe(error, { name: peer, boxed }) {
  try {
    if (error instanceof Failure) return error.error;
    if (!(error instanceof Error)) {
      return { code: 'exception', type: typeName(error), message: `the task threw ${shorten(String(error), MESSAGE_CHARS_MAX)}` };
    }
    const trace = shorten(userStack(error), TRACEBACK_CHARS_MAX);
    const described = {
      code: 'exception',
      type: error.constructor?.name || error.name,
      message: shorten(userText(String(error.message)), MESSAGE_CHARS_MAX),
      traceback: trace,
    };
    const hint = moduleHint(error, peer) ?? (boxed ? wallHint(error) : null);
    if (hint === null) return described;
    return { ...described, hint, ...(isModuleMissing(error) && { code: 'module_missing' }) };
  } catch {
    return { code: 'exception', type: 'unknown', message: 'the task threw something that cannot be shown' };
  }
}

/**
 * The stack as Node prints it, without our frames and Node's own, then the causes'.
 * @param {Error} error
 */
function userStack(error) {
  const parts = [];
  const seen = new Set();
  for (let link = /** @type {unknown} */ (error); link instanceof Error && !seen.has(link); link = link.cause) {
    seen.add(link);
    const lines = String(link.stack ?? link).split('\n');
    const kept = lines.filter((line) => !/^\s+at .*\(?node:/.test(line) && !line.includes(OUR_FOLDER));
    parts.push(userText(kept.join('\n')));
  }
  return parts.join('\nCaused by: ');
}

/** @param {string} text */
export function userText(text) {
  return text
    .replaceAll(/file:\/\/[^\s:)]*\/(program\.mjs)(?:\?\d+)?/g, '$1')
    .replaceAll(join(scratch, 'programs'), '')
    .replaceAll(/\/[0-9a-f]{16}\/program\.mjs/g, 'program.mjs');
}

/** @param {Error} error */
const isModuleMissing = (error) => /** @type {NodeJS.ErrnoException} */ (error).code === 'ERR_MODULE_NOT_FOUND';

/**
 * @param {Error} error
 * @param {string} peer
 */
function moduleHint(error, peer) {
  if (isModuleMissing(error)) {
    const name = /Cannot find package '([^']+)'/.exec(error.message)?.[1];
    if (name !== undefined) return `peer ${peer} runs programs of one file with ${process.execPath}; of modules, only Node's own (node:...) can be imported, not ${name}`;
  }
  if (error instanceof ReferenceError && /^(require|module|exports|__dirname) is not defined/.test(error.message)) {
    return 'a program is an ES module: write import ... from and export';
  }
  return null;
}

/** Where a task in the box has files of its own, and what it sees of the system. */
const FOLDERS_INSIDE = /^\/(?:scratch|tmp|dev|proc|usr)\//;

/**
 * What an error has to do with the box: what it keeps out looks like an accident from inside.
 * @param {Error} error
 */
function wallHint(error) {
  const seen = new Set();
  for (let link = /** @type {unknown} */ (error); link instanceof Error && !seen.has(link); link = link.cause) {
    seen.add(link);
    const { code, path } = /** @type {NodeJS.ErrnoException} */ (link);
    if (code === 'EAFNOSUPPORT' || code === 'EAI_AGAIN' || code === 'ENOTFOUND') return "tasks have no network in the box (isolation 2); outside it run only tasks of one's own: potluck peer --isolation 1, and potluck cpu --confidential there";
    if ((code === 'ENOENT' || code === 'EACCES' || code === 'EROFS') && typeof path === 'string' && path.startsWith('/') && !FOLDERS_INSIDE.test(path)) {
      return "tasks see no files of the machine in the box (isolation 2): pass what it needs as arguments; outside it run only tasks of one's own: potluck peer --isolation 1, and potluck cpu --confidential there";
    }
  }
  return null;
}

/**
 * @param {string} code
 * @param {string} type
 * @param {string} message
 * @param {string} [hint]
 */
export function failure(code, type, message, hint) {
  const error = { code, type, message: shorten(message, MESSAGE_CHARS_MAX) };
  return new Failure(hint === undefined ? error : { ...error, hint });
}
