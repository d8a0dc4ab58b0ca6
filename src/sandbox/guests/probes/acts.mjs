// @ts-check
/**
 * What hostile code tries, one act at a time; run as a task in the box and, as a control, outside. The same
 * acts, by the same names, as in acts.py.
 *
 * main(act, target) answers { reached, why }: whether the act came through, and what it saw or what stopped
 * it. Errors of the system are answers; others are not caught: they are no proof of a wall.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import * as fs from 'node:fs';
import { get } from 'node:http';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { basename, join } from 'node:path';

const NETWORK_MS = 3000; // everything that is asked is on this machine
const PROGRAM_MS = 10_000;
/** Of the shared buffer that is slept on. */
const still = new Int32Array(new SharedArrayBuffer(4));

/** @typedef {{ reached: boolean, why: string }} Answer */

/**
 * @param {string} act
 * @param {Record<string, never>} target
 * @returns {Promise<Answer>}
 */
export async function main(act, target) {
  const run = acts[/** @type {keyof typeof acts} */ (act)];
  if (run === undefined) throw new TypeError(`no act ${act}`);
  try {
    return await run(target);
  } catch (error) {
    return no(systemCode(error));
  }
}

const yes = (/** @type {unknown} */ why = '') => ({ reached: true, why: String(why).slice(0, 200) });
const no = (/** @type {unknown} */ why) => ({ reached: false, why: String(why).slice(0, 200) });

/** @param {unknown} error */
function systemCode(error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/^E[A-Z0-9]+$/.test(code)) return code;
  throw error;
}

/**
 * Reached by the first that works; else the last reason.
 * @template T
 * @param {T[]} things
 * @param {(thing: T) => Answer | Promise<Answer>} attempt
 */
async function firstThatWorks(things, attempt) {
  let why = 'nothing to try';
  for (const thing of things) {
    try {
      const answer = await attempt(thing);
      if (answer.reached) return answer;
      why = answer.why;
    } catch (error) {
      why = systemCode(error);
    }
  }
  return no(why);
}

/** @param {string} path */
function contentOf(path) {
  const fd = fs.openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(65536);
    return bytes.subarray(0, fs.readSync(fd, bytes)).toString('latin1');
  } finally {
    fs.closeSync(fd);
  }
}

/** Runs machine code that ends with the error number of the call that failed. @param {{ code: string }} target */
function machine({ code }) {
  const path = programFile(code);
  try {
    const ended = spawnSync(path, { stdio: 'ignore', timeout: PROGRAM_MS, killSignal: 'SIGKILL' });
    if (ended.error !== undefined) return no(systemCode(ended.error));
    if (ended.signal !== null) return no(`ended by ${ended.signal}`);
    if (ended.status === 0) return yes();
    return no(Object.entries(constants.errno).find(([, number]) => number === ended.status)?.[0] ?? ended.status);
  } finally {
    fs.unlinkSync(path);
  }
}

/** @param {string} code */
function programFile(code) {
  const path = join(process.cwd(), `probe-${process.pid}-${process.hrtime.bigint()}`);
  fs.writeFileSync(path, Buffer.from(code, 'base64'), { mode: 0o700, flag: 'wx' });
  return path;
}

/**
 * A connection that is read until the token came or something ended it.
 * @param {import('node:net').NetConnectOpts} where
 * @param {string} token
 * @returns {Promise<Answer>}
 */
function greeting(where, token) {
  return new Promise((resolve, reject) => {
    const link = connect({ ...where, timeout: NETWORK_MS });
    if (token === '') link.on('connect', () => end(yes('connected')));
    link.on('data', (bytes) => end(bytes.toString('latin1').includes(token) ? yes() : no('somebody else answered')));
    link.on('timeout', () => end(no('ETIMEDOUT')));
    link.on('end', () => end(no('closed without a word')));
    link.on('error', reject);
    const end = (/** @type {Answer} */ answer) => {
      link.destroy();
      resolve(answer);
    };
  });
}

const acts = {
  // --- files ---------------------------------------------------------------------------------
  /** @param {{ paths: string[], token: string }} target */
  read_secret: ({ paths, token }) => firstThatWorks(paths, (path) => (contentOf(path).includes(token) ? yes(path) : no('other content'))),

  /** Opened and closed: nothing is read, nothing written. @param {{ paths: string[], write: boolean }} target */
  open_file: ({ paths, write }) =>
    firstThatWorks(paths, (path) => {
      fs.closeSync(fs.openSync(path, write ? fs.constants.O_WRONLY : fs.constants.O_RDONLY));
      return yes(path);
    }),

  /** @param {{ paths: string[] }} target */
  list_folder: ({ paths }) => firstThatWorks(paths, (path) => (fs.readdirSync(path).length > 0 ? yes(path) : no('empty'))),

  /** @param {{ paths: string[] }} target */
  find_path: ({ paths }) =>
    firstThatWorks(paths, (path) => {
      fs.lstatSync(path);
      return yes(path);
    }),

  /** @param {{ folders: string[], name: string }} target */
  make_file: ({ folders, name }) =>
    firstThatWorks(folders, (folder) => {
      const path = join(folder, name);
      fs.closeSync(fs.openSync(path, 'wx', 0o600));
      fs.unlinkSync(path);
      return yes(folder);
    }),

  /** As it is already: who may do that may do anything with it. @param {{ path: string }} target */
  chmod_as_it_is: ({ path }) => {
    fs.chmodSync(path, fs.statSync(path).mode & 0o7777);
    return yes(path);
  },

  // --- environment and /proc -----------------------------------------------------------------
  /** @param {{ token: string }} target */
  own_environment: ({ token }) => (Object.values(process.env).some((value) => value?.includes(token)) || fs.readFileSync('/proc/self/environ', 'latin1').includes(token) ? yes() : no('not there')),

  /** In a file of every process but this one. @param {{ name: string, token: string, pids?: number[] }} target */
  scan_proc: ({ name, token, pids }) => {
    let refused = 0;
    const seen = pids ?? fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number);
    for (const pid of seen) {
      if (pid === process.pid) continue;
      try {
        if (fs.readFileSync(`/proc/${pid}/${name}`, 'latin1').includes(token)) return yes(`process ${pid}`);
      } catch (error) {
        systemCode(error);
        refused += 1;
      }
    }
    return no(`not in ${seen.length} processes, ${refused} of them closed`);
  },

  /** @param {{ field: string, good: string[] }} target */
  own_status: ({ field, good }) => {
    const value = new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(fs.readFileSync('/proc/self/status', 'latin1'))?.[1]?.trim();
    if (value === undefined) throw new Error(`no ${field} in the status of a process`);
    return good.includes(value) ? no(value) : yes(value);
  },

  be_root: () => {
    if (process.getuid?.() !== 0 && process.geteuid?.() !== 0) process.setuid?.(0);
    return yes(`uid ${process.getuid?.()}`);
  },

  /** Whether some user that this process knows is root inside, whoever that is outside. */
  map_root: () => {
    const lines = fs.readFileSync('/proc/self/uid_map', 'latin1').trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number));
    return lines.some(([first, , count]) => first === 0 && Number(count) > 0) ? yes(lines) : no(lines);
  },

  /** @param {{ kind: string, of: string }} target */
  in_namespace: ({ kind, of }) => {
    const own = fs.readlinkSync(`/proc/self/ns/${kind}`);
    return own === of ? yes(own) : no(own);
  },

  /** A folder or a file of the host behind a descriptor that was handed down. @param {{ token: string }} target */
  descriptors: ({ token }) => {
    const kinds = [];
    for (const entry of fs.readdirSync('/proc/self/fd')) {
      try {
        const about = fs.fstatSync(Number(entry));
        if (!about.isDirectory() && !(about.isFile() && Number(entry) > 2)) continue;
        if (contentOf(about.isDirectory() ? `/proc/self/fd/${entry}/secret` : `/proc/self/fd/${entry}`).includes(token)) return yes(`descriptor ${entry}`);
        kinds.push(entry);
      } catch (error) {
        kinds.push(`${entry} ${systemCode(error)}`);
      }
    }
    return no(`none leads out; files: ${kinds.join(', ') || 'none'}`);
  },

  // --- network and sockets -------------------------------------------------------------------
  /** @param {{ host: string, port: number, token: string }} target */
  tcp: ({ host, port, token }) => greeting({ host, port }, token),

  /** @param {{ paths: string[], token: string }} target */
  unix: ({ paths, token }) => firstThatWorks(paths, (path) => greeting({ path: path.startsWith('@') ? `\0${path.slice(1)}` : path }, token)),

  /** @param {{ host: string, port: number, token: string }} target @returns {Promise<Answer>} */
  udp: ({ host, port, token }) =>
    new Promise((resolve, reject) => {
      const link = createSocket('udp4');
      const timer = setTimeout(() => end(no('ETIMEDOUT')), NETWORK_MS);
      const end = (/** @type {Answer} */ answer) => {
        clearTimeout(timer);
        link.close();
        resolve(answer);
      };
      link.on('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      link.on('message', (bytes) => end(bytes.toString('latin1').includes(token) ? yes() : no('somebody else answered')));
      link.send('?', port, host);
    }),

  /** @param {{ url: string, token: string }} target @returns {Promise<Answer>} */
  page: ({ url, token }) =>
    new Promise((resolve, reject) => {
      const request = get(url, { timeout: NETWORK_MS, agent: false }, (answer) => {
        answer.on('data', (bytes) => resolve(String(bytes).includes(token) ? yes() : no('somebody else answered')));
        answer.on('end', () => resolve(no('an empty answer')));
      });
      request.on('timeout', () => request.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })));
      request.on('error', reject);
    }),

  // --- processes -----------------------------------------------------------------------------
  /** Signal 0: it asks whether a signal may be sent, and sends none. @param {{ pid: number }} target */
  may_kill: ({ pid }) => {
    process.kill(pid, 0);
    return yes();
  },

  machine,

  /** A process in another session, without environment, that names itself by its argument. @param {{ code: string, token: string }} target */
  outlive: async ({ code, token }) => {
    const child = spawn(programFile(code), [token], { detached: true, stdio: 'ignore', env: {} });
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    child.unref();
    return yes('left behind');
  },

  // --- bombs, each of a size that is said ----------------------------------------------------
  /** @param {{ count: number, hold_s: number, code: string }} target */
  processes: async ({ count, hold_s: holdS, code }) => {
    const path = programFile(code);
    const children = [];
    try {
      while (children.length < count) {
        const child = spawn(path, { stdio: 'ignore' });
        await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
        children.push(child);
      }
      Atomics.wait(still, 0, 0, holdS * 1000);
      return yes(`${count} processes`);
    } catch (error) {
      return no(`${systemCode(error)} after ${children.length}`);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      fs.unlinkSync(path);
    }
  },

  /** @param {{ megabytes: number, hold_s: number }} target */
  memory: ({ megabytes, hold_s: holdS }) => {
    const held = Array.from({ length: megabytes }, () => Buffer.alloc(1_048_576, 1));
    Atomics.wait(still, 0, 0, holdS * 1000);
    return yes(`${held.length} MB`);
  },

  /** @param {{ folders: string[], megabytes: number }} target */
  fill: ({ folders, megabytes }) =>
    firstThatWorks(folders, (folder) => {
      const path = join(folder === '.' ? process.cwd() : folder, `probe-filler-${process.pid}`);
      const fd = fs.openSync(path, 'wx', 0o600);
      try {
        const block = Buffer.alloc(1_048_576, 1);
        for (let written = 0; written < megabytes; written += 1) if (fs.writeSync(fd, block) < block.length) return no(`full after ${written} MB`);
        return yes(`${megabytes} MB in ${basename(folder) || folder}`);
      } finally {
        fs.closeSync(fd);
        fs.unlinkSync(path);
      }
    }),
};
