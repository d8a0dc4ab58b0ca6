// @ts-check
/**
 * The JavaScript side of a worker: reads jobs from its host, runs them, answers.
 *
 * Owns everything that happens inside the worker's process. Its neighbour, the host
 * (worker.ts and frames.ts), owns the process itself, its limits and its death.
 * The modules of node_guest/ own the channel, values, programs and failures.
 *
 * Invariants
 *  1. One job at a time, and one answer for it, whatever the task throws, rejects or exits.
 *  2. An answer leaves after all that the job wrote, with a mark behind it in both streams.
 *  3. What is needed to answer was bound here before the first task ran.
 */
import { readFileSync, readSync, readdirSync } from 'node:fs';
import { CONTROL_FD, closeUnknown, listen, sleep, writeWhole } from './node_guest/channel.mjs';
import { describe, failure } from './node_guest/failures.mjs';
import { findFunction, functionMissing, keepProgram, load } from './node_guest/programs.mjs';
import { encodeResult, parseArguments } from './node_guest/values.mjs';

const PROCESS_COUNT_FD = 4;
/** Tokens of jobs fed ahead, of which JavaScript takes none. */
const LAST_KNOWN_FD = 5;
/** The host reads this as: the task closed the worker's channel. */
const EXIT_CONTROL_LOST = 113;
const FLAG_MARK_OUT = 1;
const FLAG_MARK_ERR = 2;
const FLAG_LEFTOVERS = 4;
const JOB_HEAD_BYTES = 17;
const JOB_HAS_KWARGS = 2;

/** Ends at once, whatever a task made of `process.exit`. @type {(code: number) => never} */
const exitProcess = Reflect.get(process, 'reallyExit').bind(process);
const hrtime = process.hrtime.bigint.bind(process.hrtime);
const stringify = JSON.stringify;
const { pid } = process;

/** @type {{ mark: string, name: string, memoryMb: number | null, othersCounted: number | null, boxed: boolean }} */
let settings;
/** @type {Map<string, import('./node_guest/programs.mjs').Program>} */
const programs = new Map();
/** The job that has not been answered. */
let current = 0;
let startedNs = 0n;
/** Something went wrong outside of what the task's own promise tells. */
let damaged = false;

// --- answers ---------------------------------------------------------------------------

/**
 * @param {string} kind
 * @param {Buffer} body
 */
function answer(kind, body) {
  const job = current;
  current = 0;
  const runNs = hrtime() - startedNs;
  const mark = Buffer.from(settings.mark + job.toString(16).padStart(8, '0'), 'latin1');
  let flags = damaged || activityLeft() || processesLeft() ? FLAG_LEFTOVERS : 0;
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
  answer('F', Buffer.from(stringify(describe(error, settings))));
}

/** What keeps an event loop busy after a task: its timers, servers and connections. */
const ACTIVITIES = new Set(['Timeout', 'Immediate', 'TCPServerWrap', 'TCPSocketWrap', 'UDPWrap', 'GetAddrInfoReqWrap', 'ProcessWrap', 'MessagePort']);
const activeResources = process.getActiveResourcesInfo.bind(process);

function activityLeft() {
  return activeResources().some((name) => ACTIVITIES.has(name));
}

/** The count has this process's threads in it, and one that ended may take a moment to go. */
function processesLeft() {
  const others = settings.othersCounted;
  if (others === null) return childrenLeft();
  const bytes = Buffer.alloc(16);
  for (let look = 0; look < 20; look++) {
    try {
      const size = readSync(PROCESS_COUNT_FD, bytes, 0, 16, 0);
      if (Number(bytes.toString('latin1', 0, size)) <= others + readdirSync('/proc/self/task').length) return false;
    } catch {
      return true; // a task closed the descriptor
    }
    sleep(1);
  }
  return true;
}

/** Where no cgroup counts them: those that it started itself. */
function childrenLeft() {
  if (process.platform !== 'linux') return false;
  try {
    return readdirSync('/proc/self/task').some((thread) => readFileSync(`/proc/self/task/${thread}/children`).length > 0);
  } catch {
    return false; // a kernel that does not tell, or a thread that ended meanwhile
  }
}

// --- jobs ------------------------------------------------------------------------------

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

closeUnknown(LAST_KNOWN_FD);

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

// With a job in progress it was not the host that closed the channel.
listen(onFrame, () => exitProcess(current === 0 ? 0 : EXIT_CONTROL_LOST));
