/**
 * Whether this machine can build the box around a worker, found out by building it.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { causeText } from '../errors.ts';
import { Cgroup, makeParent, placeBelow } from './cgroup.ts';
import type { CgroupPlace } from './cgroup.ts';
import type { Interpreter } from './interpreters.ts';
import { launch } from './launch.ts';
import { PrefixError, refuseHiddenInSystem, shownFor } from './prefix.ts';
import type { Shown } from './prefix.ts';
import { readIfThere } from './processes.ts';
import { removeFolder } from './scratch.ts';
import { filterFor } from './seccomp.ts';
import { boxed, environmentInside } from './spawn-plan.ts';
import { removeGroups } from './stale.ts';
import { Box } from './walls.ts';
import type { Walls } from './walls.ts';

export interface WallsNeed {
  interpreters: readonly Interpreter[];
  /** Where guest.py and guest.mjs are. */
  guestsFolder: string;
  /** Folders that no task may see: the user's home and the pool's. */
  hidden: readonly string[];
}

interface Missing {
  missing: string;
  fix: string;
}

/** The first with --disable-userns. */
const BWRAP_OLDEST = [0, 8] as const;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** An interpreter's first start on a busy machine, and then some. */
const PROOF_TIMEOUT_MS = 20_000;
const GONE_LOOKS_MAX = 100;
const GONE_LOOK_MS = 5;

/** @param cgroup one in which groups can be made */
export async function tryWalls(need: WallsNeed, cgroup: CgroupPlace): Promise<{ walls: Walls; notes: string[] } | Missing> {
  const asked = Promise.allSettled(need.interpreters.map((interpreter) => shownFor(interpreter, need.hidden)));
  const programs = await findPrograms();
  if ('missing' in programs) return programs;
  const filter = filterFor(process.arch);
  if (filter === null) return { missing: `there is no filter of system calls for ${process.arch}`, fix: '' };
  const shown: Shown[] = [];
  try {
    refuseHiddenInSystem(need.hidden);
    for (const answer of await asked) {
      if (answer.status === 'rejected') throw answer.reason;
      shown.push(answer.value);
    }
  } catch (error) {
    if (!(error instanceof PrefixError)) return { missing: causeText(error), fix: '' };
    return { missing: error.message, fix: 'python3 -m venv /opt/potluck-python, then: potluck peer --python /opt/potluck-python/bin/python' };
  }
  const walls: Walls = {
    ...programs,
    filter,
    guestsFolder: need.guestsFolder,
    shown: [...new Set(shown.flatMap(({ paths }) => paths))],
  };
  const compiled = Promise.all(need.interpreters.map((interpreter) => compileGuest(interpreter, need.guestsFolder)));
  const broken = await prove(walls, need.interpreters, cgroup);
  await compiled;
  return broken ?? { walls, notes: shown.flatMap(({ notes }) => notes) };
}

export async function findPrograms(): Promise<Pick<Walls, 'bwrap' | 'root'> | Missing> {
  const bwrap = find('bwrap');
  if (bwrap === null) return { missing: 'bubblewrap is not installed', fix: install('bubblewrap') };
  const version = await versionOf(bwrap);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < BWRAP_OLDEST[0] || (major === BWRAP_OLDEST[0] && minor < BWRAP_OLDEST[1])) {
    return { missing: `${bwrap} is ${version === '' ? 'of no version that it tells' : `version ${version}`}; ${BWRAP_OLDEST.join('.')} or newer is needed`, fix: install('bubblewrap') };
  }
  if (process.getuid?.() !== 0) return { bwrap, root: null };
  const [unshare, nsenter, setpriv] = [find('unshare'), find('nsenter'), find('setpriv')];
  if (unshare === null || nsenter === null || setpriv === null) {
    const absent = Object.entries({ unshare, nsenter, setpriv }).flatMap(([name, path]) => (path === null ? [name] : []));
    return { missing: `${absent.join(' and ')}, by which a root peer becomes another user, ${absent.length > 1 ? 'are' : 'is'} not installed`, fix: install('util-linux') };
  }
  return { bwrap, root: { unshare, nsenter, setpriv } };
}

/** On the path of the peer, as its owner would find it. */
function find(program: string): string | null {
  const folders = (process.env['PATH'] ?? SYSTEM_PATH).split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function versionOf(bwrap: string): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(bwrap, ['--version'], { env: {}, timeout: PROOF_TIMEOUT_MS });
    return /\d+(?:\.\d+)+/.exec(stdout)?.[0] ?? '';
  } catch {
    return ''; // told as a version that is none
  }
}

function install(name: string): string {
  const managers: [string, string][] = [
    ['apt-get', 'apt-get install'],
    ['dnf', 'dnf install'],
    ['pacman', 'pacman -S'],
    ['apk', 'apk add'],
    ['zypper', 'zypper install'],
  ];
  const manager = managers.find(([program]) => find(program) !== null)?.[1] ?? 'install the package';
  return `${process.getuid?.() === 0 ? '' : 'sudo '}${manager} ${name}`;
}

/**
 * Inside, Python cannot keep what it compiled of the guest, and would do it again at each start; so it is done before.
 * Where the folder is not ours to write to, starts take longer.
 */
async function compileGuest({ language, path, version }: Interpreter, guestsFolder: string): Promise<void> {
  if (language !== 'python') return;
  const guest = join(guestsFolder, 'potluck_guest');
  const kept = join(guest, '__pycache__', `loop.cpython-${version.split('.').slice(0, 2).join('')}.pyc`);
  if (existsSync(kept)) return;
  await promisify(execFile)(path, ['-m', 'compileall', '-q', guest], { env: {}, timeout: PROOF_TIMEOUT_MS }).catch(() => undefined);
}

/** Null when every interpreter ran in the box to its end. */
async function prove(walls: Walls, interpreters: readonly Interpreter[], cgroup: CgroupPlace): Promise<Missing | null> {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-proof-'));
  const parent = placeBelow(cgroup, `potluck-proof-${randomBytes(6).toString('hex')}`);
  let box: Box | null = null;
  try {
    makeParent(parent);
    box = await Box.open(walls, folder);
    const open = box;
    const tried = interpreters.map(async (interpreter, number) => {
      const said = await runOnce(open, interpreter, Cgroup.make(placeBelow(parent, `try-${number}`), null));
      return said === null ? null : explain(said, interpreter);
    });
    return (await Promise.all(tried)).find((broken) => broken !== null) ?? null;
  } catch (error) {
    return explain(causeText(error), null);
  } finally {
    box?.close();
    await removeGroups(parent);
    await removeFolder(folder);
  }
}

/** Null when it ended well, else what it said. */
async function runOnce(box: Box, interpreter: Interpreter, group: Cgroup): Promise<string | null> {
  const args = interpreter.language === 'python' ? ['-c', 'pass'] : ['-e', '0'];
  const plan = boxed(box, { command: interpreter.path, args, env: environmentInside(interpreter) }, ['ignore', 'ignore', 'pipe']);
  const { child, inner } = launch(plan, (pid) => group.enter(pid));
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const ended = await Promise.race([
    once(child, 'exit').then(([code]: unknown[]) => (code === 0 ? null : `exit status ${String(code)}`), causeText),
    delay(PROOF_TIMEOUT_MS, 'it did not come to an end', { ref: false }),
  ]);
  const entered = inner() !== null;
  for (let look = 0; look < GONE_LOOKS_MAX && !group.killAll(); look++) await delay(GONE_LOOK_MS);
  for (let look = 0; look < GONE_LOOKS_MAX && !group.remove(); look++) await delay(GONE_LOOK_MS);
  if (ended !== null) return said.trim().split('\n').at(-1) || ended;
  return entered ? null : 'bubblewrap did not tell which process is in the box';
}

/** The usual reasons, and what mends them. */
function explain(said: string, interpreter: Interpreter | null): Missing {
  const missing = `the box cannot be built${interpreter === null ? '' : ` around ${interpreter.path}`}: ${said}`;
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  const setting = BLOCKS.find(({ path, value }) => readIfThere(path)?.toString('latin1').trim() === value);
  return { missing, fix: setting === undefined ? '' : `${sudo}sysctl -w ${setting.name}=${setting.set}` };
}

/** Settings by which systems keep users from making namespaces of users. */
const BLOCKS = [
  { path: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns', value: '1', name: 'kernel.apparmor_restrict_unprivileged_userns', set: 0 },
  { path: '/proc/sys/kernel/unprivileged_userns_clone', value: '0', name: 'kernel.unprivileged_userns_clone', set: 1 },
  { path: '/proc/sys/user/max_user_namespaces', value: '0', name: 'user.max_user_namespaces', set: 15_000 },
] as const;
