// @ts-check
/**
 * The JavaScript side of a worker: reads jobs from its host, runs them, answers.
 *
 * Owns everything that happens inside the worker's process. Its neighbour, the host
 * (worker.ts and frames.ts), owns the process itself, its limits and its death.
 * exact-json.mjs owns how values are read and written.
 *
 * Invariants
 *  1. One job at a time, and one answer for it, whatever the task throws, rejects or exits.
 *  2. An answer leaves after all that the job wrote, with a mark behind it in both streams.
 *  3. What is needed to answer was bound here before the first task ran.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Misfit, readExact, typeName, writeExact } from './exact-json.mjs';

const CONTROL_FD = 3;
const PROCESS_COUNT_FD = 4;
/** The host reads this as: the task closed the worker's channel. */
const EXIT_CONTROL_LOST = 113;
const RESULT_BYTES_MAX = 64 * 1024 * 1024;
const MESSAGE_CHARS_MAX = 8 * 1024;
const TRACEBACK_CHARS_MAX = 32 * 1024;
const FLAG_MARK_OUT = 1;
const FLAG_MARK_ERR = 2;
const FLAG_LEFTOVERS = 4;
const CHECK_TIMEOUT_MS = 5000;
const JOB_HEAD_BYTES = 17;
const JOB_HAS_KWARGS = 2;
/** Behind every program: finds its functions that are not exported. */
const FINDER = '__potluck_find';
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;
const GUEST_URLS = [import.meta.url, new URL('./exact-json.mjs', import.meta.url).href];

/** Ends at once, whatever a task made of `process.exit`. @type {(code: number) => never} */
const exitProcess = Reflect.get(process, 'reallyExit').bind(process);
const hrtime = process.hrtime.bigint.bind(process.hrtime);
const stringify = JSON.stringify;
const { pid } = process;
const scratch = process.cwd();
const pause = new Int32Array(new SharedArrayBuffer(4));

/** @typedef {{ code: string, type: string, message: string, traceback?: string, hint?: string }} JobError */
/** @typedef {{ url: string, source: string, attempts: number, module: Record<string, unknown> | null }} Program */

class Failure extends Error {
  /** @param {JobError} error */
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

/** @type {{ mark: string, name: string, memoryMb: number | null, processCount: boolean }} */
let settings;
/** @type {Map<string, Program>} */
const programs = new Map();
/** The job that has not been answered. */
let current = 0;
let startedNs = 0n;
/** Something went wrong outside of what the task's own promise tells. */
let damaged = false;

// --- writing ---------------------------------------------------------------------------

/**
 * @param {number} fd
 * @param {Uint8Array} bytes
 * @returns {boolean} false when a task closed the descriptor
 */
function writeWhole(fd, bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EAGAIN') return false;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
  return true;
}

/**
 * @param {string} kind
 * @param {Buffer} body
 */
function answer(kind, body) {
  const job = current;
  current = 0;
  const runNs = hrtime() - startedNs;
  const mark = Buffer.from(settings.mark + job.toString(16).padStart(8, '0'), 'latin1');
  let flags = damaged || processesLeft() ? FLAG_LEFTOVERS : 0;
  if (writeWhole(1, mark)) flags |= FLAG_MARK_OUT;
  else flags |= FLAG_LEFTOVERS;
  if (writeWhole(2, mark)) flags |= FLAG_MARK_ERR;
  else flags |= FLAG_LEFTOVERS;
  const frame = Buffer.allocUnsafe(26 + body.length);
  frame.writeUInt32BE(22 + body.length, 0);
  frame.write(kind, 4, 'latin1');
  frame.writeUInt32BE(job, 5);
  frame.writeBigUInt64BE(runNs / 1000n, 9);
  frame.writeBigUInt64BE(hrtime(), 17);
  frame[25] = flags;
  body.copy(frame, 26);
  if (!writeWhole(CONTROL_FD, frame)) exitProcess(EXIT_CONTROL_LOST);
}

/** @param {unknown} error */
function fail(error) {
  answer('F', Buffer.from(stringify(describe(error))));
}

/** The count has this process's threads in it, and one that ended may take a moment to go. */
function processesLeft() {
  if (!settings.processCount) return false;
  const bytes = Buffer.alloc(16);
  for (let look = 0; look < 20; look++) {
    try {
      const size = readSync(PROCESS_COUNT_FD, bytes, 0, 16, 0);
      if (Number(bytes.toString('latin1', 0, size)) <= readdirSync('/proc/self/task').length) return false;
    } catch {
      return true; // a task closed the descriptor
    }
    Atomics.wait(pause, 0, 0, 1);
  }
  return true;
}

// --- failures --------------------------------------------------------------------------

/**
 * @param {string} text
 * @param {number} limit
 */
function shorten(text, limit) {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit / 2)}\n[... ${text.length - limit} characters left out ...]\n${text.slice(-limit / 2)}`;
}

/**
 * @param {unknown} error
 * @returns {JobError}
 */
function describe(error) {
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
    const hint = moduleHint(error);
    return hint === null ? described : { ...described, hint };
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
    const kept = lines.filter((line) => !/^\s+at .*\(?node:/.test(line) && !GUEST_URLS.some((url) => line.includes(url)));
    parts.push(userText(kept.join('\n')));
  }
  return parts.join('\nCaused by: ');
}

/** @param {string} text */
function userText(text) {
  return text
    .replaceAll(/file:\/\/[^\s:)]*\/(program\.mjs)(?:\?\d+)?/g, '$1')
    .replaceAll(join(scratch, 'programs'), '')
    .replaceAll(/\/[0-9a-f]{16}\/program\.mjs/g, 'program.mjs');
}

/** @param {Error} error */
function moduleHint(error) {
  if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ERR_MODULE_NOT_FOUND') {
    const name = /Cannot find package '([^']+)'/.exec(error.message)?.[1];
    if (name !== undefined) return `peer ${settings.name} runs programs of one file with ${process.execPath}; of modules, only Node's own (node:...) can be imported, not ${name}`;
  }
  if (error instanceof ReferenceError && /^(require|module|exports|__dirname) is not defined/.test(error.message)) {
    return 'a program is an ES module: write import ... from and export';
  }
  return null;
}

/**
 * @param {string} code
 * @param {string} type
 * @param {string} message
 * @param {string} [hint]
 */
function failure(code, type, message, hint) {
  const error = { code, type, message: shorten(message, MESSAGE_CHARS_MAX) };
  return new Failure(hint === undefined ? error : { ...error, hint });
}

// --- programs --------------------------------------------------------------------------

/**
 * @param {string} hash
 * @param {string} source
 * @returns {Program}
 */
function keepProgram(hash, source) {
  const folder = join(scratch, 'programs', hash.slice(0, 16));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'program.mjs');
  writeFileSync(file, `${source}\nexport function ${FINDER}(name) { return eval(name); }\n`);
  return { url: pathToFileURL(file).href, source, attempts: 0, module: null };
}

/** @param {Program} program */
async function load(program) {
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
 * Node tells the place of a syntax error in a module only to those who run it as a command.
 * @param {SyntaxError} error
 * @param {Program} program
 */
function syntaxFailure(error, program) {
  const checked = spawnSync(process.execPath, ['--check', fileURLToPath(program.url)], { encoding: 'utf8', timeout: CHECK_TIMEOUT_MS });
  const place = /^(file:\/\/\S+|\/\S+):(\d+)\n(.*)\n(\s*)\^/m.exec(checked.stderr ?? '');
  if (place === null) return failure('syntax_error', 'SyntaxError', `${userText(error.message)} (program.mjs)`);
  const [, , line, text, indent] = place;
  const where = `program.mjs, line ${line}, column ${(indent?.length ?? 0) + 1}`;
  const shown = failure('syntax_error', 'SyntaxError', `${userText(error.message)} (${where})`);
  shown.error.traceback = shorten(`program.mjs:${line}\n${text}\n${indent}^\nSyntaxError: ${userText(error.message)}`, TRACEBACK_CHARS_MAX);
  return shown;
}

/**
 * @param {Record<string, unknown>} module
 * @param {string} name
 */
function findFunction(module, name) {
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
function functionMissing(program, module, wanted) {
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

// --- jobs ------------------------------------------------------------------------------

/** @param {Buffer} text */
function parseArguments(text) {
  let args;
  try {
    args = readExact(text.toString('utf8'));
  } catch (error) {
    throw failure('bad_arguments', 'SyntaxError', `the arguments are not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (Array.isArray(args)) return args;
  throw failure('bad_arguments', 'TypeError', `the arguments are ${typeName(args)}, not a JSON array`);
}

/** @param {unknown} value */
function encodeResult(value) {
  let text;
  try {
    text = value === undefined ? 'null' : writeExact(value);
  } catch (error) {
    if (error instanceof Misfit) throw failure('result_not_json', error.type, `${error.path} is ${error.type}, which JSON cannot hold`, error.hint);
    if (error instanceof RangeError) throw failure('result_not_json', 'RangeError', `the result cannot be written as JSON: ${error.message}`);
    throw error;
  }
  const body = Buffer.from(text);
  if (body.length <= RESULT_BYTES_MAX) return body;
  throw failure('result_too_large', 'RangeError', `the result is ${body.length} bytes of JSON; at most ${RESULT_BYTES_MAX} may be returned`);
}

/** @param {Buffer} frame */
async function runJob(frame) {
  const job = frame.readUInt32BE(1);
  current = job;
  damaged = false;
  startedNs = hrtime();
  try {
    const body = await callTask(frame);
    await flushed();
    if (current === job) answer('R', body);
  } catch (error) {
    await flushed();
    if (current === job) fail(error);
  }
}

/** @param {Buffer} frame */
async function callTask(frame) {
  const flags = frame[5] ?? 0;
  let at = 1 + JOB_HEAD_BYTES;
  /** @param {number} size */
  const take = (size) => frame.subarray(at, (at += size));
  const hash = take(frame.readUInt16BE(6)).toString('latin1');
  const name = take(frame.readUInt16BE(8)).toString('utf8');
  const argsText = take(frame.readUInt32BE(10));
  if ((flags & JOB_HAS_KWARGS) !== 0) {
    throw failure('bad_arguments', 'TypeError', 'JavaScript functions take no named arguments', 'pass one object in the arguments');
  }
  const program = programs.get(hash);
  if (program === undefined) throw new Error('the host did not send the program');
  const module = await load(program);
  const task = findFunction(module, name);
  if (task === null) throw functionMissing(program, module, name);
  return encodeResult(await Reflect.apply(/** @type {Function} */ (task), undefined, parseArguments(argsText)));
}

/** Which of process.stdout and process.stderr were looked at: only those can hold something back. */
/** @type {Set<NodeJS.WriteStream>} */
const touched = new Set();

for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
  const original = Object.getOwnPropertyDescriptor(process, name)?.get;
  if (original === undefined) continue;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: true,
    get() {
      const stream = original.call(process);
      touched.add(stream);
      return stream;
    },
  });
}

async function flushed() {
  for (const stream of touched) {
    if (stream.writableLength > 0) await new Promise((resolve) => stream.write('', resolve));
  }
}

process.on('uncaughtException', (error) => {
  damaged = true;
  if (current !== 0) fail(error);
});
process.on('unhandledRejection', (reason) => {
  damaged = true;
  if (current !== 0) fail(reason);
});
process.exit = /** @type {typeof process.exit} */ (
  (code) => {
    damaged = true;
    const shown = code ?? process.exitCode ?? 0;
    if (current !== 0) fail(failure('exited', 'exit', `the task called process.exit(${shown}) instead of returning`, 'return a value; throw an error to fail'));
    exitProcess(Number(shown));
  }
);

// --- the control channel ---------------------------------------------------------------

/** @param {Buffer} frame */
function onFrame(frame) {
  const kind = frame.toString('latin1', 0, 1);
  if (kind === 'S') greet(JSON.parse(frame.toString('utf8', 1)));
  else if (kind === 'J') void runJob(frame);
  else if (kind === 'D') programs.delete(frame.toString('latin1', 1));
  else if (kind === 'P') {
    const size = frame[1] ?? 0;
    const hash = frame.toString('latin1', 2, 2 + size);
    programs.set(hash, keepProgram(hash, frame.toString('utf8', 2 + size)));
  }
}

/** @param {typeof settings} received */
function greet(received) {
  settings = received;
  const body = Buffer.from(stringify({ version: process.versions.node, pid }));
  const head = Buffer.allocUnsafe(5);
  head.writeUInt32BE(body.length + 1, 0);
  head.write('H', 4, 'latin1');
  if (!writeWhole(CONTROL_FD, Buffer.concat([head, body]))) exitProcess(EXIT_CONTROL_LOST);
}

/** @type {Buffer[]} */
let arrived = [];
let arrivedBytes = 0;
let wantedBytes = 4;

/** @param {Buffer} chunk */
function onBytes(chunk) {
  arrived.push(chunk);
  arrivedBytes += chunk.length;
  while (arrivedBytes >= wantedBytes) {
    const bytes = arrived.length === 1 && arrived[0] !== undefined ? arrived[0] : Buffer.concat(arrived);
    const end = 4 + bytes.readUInt32BE(0);
    arrived = [bytes];
    wantedBytes = end;
    if (bytes.length < end) return;
    arrived = [bytes.subarray(end)];
    arrivedBytes = bytes.length - end;
    wantedBytes = 4;
    onFrame(bytes.subarray(4, end));
  }
}

const control = new Socket({ fd: CONTROL_FD, readable: true, writable: false });
control.on('data', onBytes);
// The host is gone, or a task closed the channel; with a job in progress it was the task.
control.on('close', () => exitProcess(current === 0 ? 0 : EXIT_CONTROL_LOST));
control.on('error', () => exitProcess(current === 0 ? 0 : EXIT_CONTROL_LOST));
