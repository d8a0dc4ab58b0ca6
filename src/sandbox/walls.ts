/**
 * The walls around a worker (level 2): bubblewrap's arguments, and as root what has to come before it.
 *
 * `Walls` is what this machine has for it, found once; `Box` is that made ready for one peer; `Box.command` turns any
 * command into one that runs inside. Its neighbours: prefix.ts knows what interpreters need, stage.ts makes folders
 * reachable, seccomp.ts says which system calls there are, launch.ts starts the result and puts it into its cgroup
 * before it may run, levels.ts tries all of it.
 *
 * Inside there are: the system's programs and the interpreters, read-only; `/etc` with what we made of it; `/scratch`
 * (its home), `/tmp` and `/dev/shm`, in memory, bounded, gone with the worker; its own processes; no network; nobody's
 * files. Whoever looks from outside sees nothing of what is written there, so nothing written there is ever read.
 *
 * Invariants
 *  1. Never user 0 inside, not even as another user's name: a root peer becomes a user first that nobody else is.
 *  2. Every wall is asked for outright. One that the machine lacks is an error, never left out.
 *  3. No variable of the peer's environment goes inside, and none goes to the programs in between.
 */
import { existsSync, lstatSync, readlinkSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSystemConfiguration } from './box-etc.ts';
import { limits } from '../limits.ts';
import { SYSTEM_FOLDERS } from './prefix.ts';
import { Stage } from './stage.ts';

export interface Walls {
  /** Absolute path of bubblewrap. */
  bwrap: string;
  /** The programs by which a root peer becomes another user; null for a peer that is none. */
  root: { unshare: string; nsenter: string; setpriv: string } | null;
  /** For bubblewrap to load: see seccomp.ts. */
  filter: Uint8Array;
  /** Files and folders outside the system's that are shown inside, at the same paths. */
  shown: readonly string[];
  /** Where guest.py and guest.mjs are. */
  guestsFolder: string;
}

/** Inside. */
export const GUESTS_INSIDE = '/potluck';
export const SCRATCH_INSIDE = '/scratch';

/** How the box's own processes are called to whoever asks inside. */
const USER_INSIDE = 1000;
/**
 * Users that no system gives to anybody: above those of containers and below those of foreign files. 256 for each
 * process number, so that no two workers are the same user, whichever peer they are of.
 */
const USERS_FROM = 0x7000_0000;
const PEERS = 1_000_000;
const WORKERS = 256;
/** Inside containers that have only 65 536 users: the range that is reserved for nothing. */
const FEW_USERS_FROM = 60_706;
const FEW_USERS = 478;

export interface Inside {
  command: string;
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

export class Box {
  readonly walls: Walls;
  private readonly stage: Stage | null;
  private readonly system: readonly string[];
  private readonly shown: readonly string[];
  private starts = 0;

  private constructor(walls: Walls, stage: Stage | null, etc: string) {
    this.walls = walls;
    this.stage = stage;
    const at = (path: string): string => stage?.at(path) ?? path;
    this.system = [...systemBinds(), '--ro-bind', at(walls.guestsFolder), GUESTS_INSIDE, '--ro-bind', at(etc), '/etc'];
    this.shown = walls.shown.flatMap((path) => ['--ro-bind', at(path), path]);
  }

  /**
   * @param folder the peer's own; gets a folder `etc`
   * @throws Error that says what the machine refused
   */
  static async open(walls: Walls, folder: string): Promise<Box> {
    const etc = join(folder, 'etc');
    await makeSystemConfiguration(etc, USER_INSIDE);
    const stage = walls.root === null ? null : await Stage.make(walls.root.unshare, [...walls.shown, walls.guestsFolder, etc]);
    return new Box(walls, stage, etc);
  }

  /** The command that runs another one inside. It is to be started with an empty environment, by launch.ts. */
  command(inside: Inside, fds: { filter: number; block: number; info: number }): { command: string; args: string[] } {
    const box = [
      ...NAMESPACES,
      ...PROCESS,
      ...this.system,
      '--proc', '/proc',
      '--dev', '/dev',
      ...tmpfs('1777', limits.boxTmpBytes, '/tmp'),
      ...tmpfs('1777', limits.boxShmBytes, '/dev/shm'),
      ...tmpfs('0700', limits.scratchBytes, SCRATCH_INSIDE),
      // After what is writable: an interpreter may be installed under /tmp.
      ...this.shown,
      '--remount-ro', '/',
      '--remount-ro', '/dev',
      '--chdir', SCRATCH_INSIDE,
      ...Object.entries(inside.env).flatMap(([name, value]) => ['--setenv', name, value]),
      '--seccomp', String(fds.filter),
      '--block-fd', String(fds.block),
      '--info-fd', String(fds.info),
      '--', inside.command, ...inside.args,
    ];
    const { root, bwrap } = this.walls;
    if (root === null || this.stage === null) return { command: bwrap, args: box };
    const user = String(userOf(this.starts++));
    const become = [root.setpriv, '--reuid', user, '--regid', user, '--clear-groups', '--no-new-privs', bwrap];
    return { command: root.nsenter, args: [`--mount=${this.stage.namespace}`, ...become, ...box] };
  }

  close(): void {
    this.stage?.close();
  }
}

const NAMESPACES = ['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup', '--disable-userns'];
const PROCESS = ['--die-with-parent', '--new-session', '--cap-drop', 'ALL', '--hostname', 'potluck', '--uid', String(USER_INSIDE), '--gid', String(USER_INSIDE)];

function tmpfs(mode: string, bytes: number, path: string): string[] {
  return ['--perms', mode, '--size', String(bytes), '--tmpfs', path];
}

/** As on this machine: /bin may be a folder, or a link to the one in /usr. */
function systemBinds(): string[] {
  return SYSTEM_FOLDERS.filter((folder) => existsSync(folder)).flatMap((folder) =>
    lstatSync(folder).isSymbolicLink() ? ['--symlink', readlinkSync(folder), folder] : ['--ro-bind', folder, folder],
  );
}

function userOf(start: number): number {
  const [, , count = '0'] = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
  if (Number(count) < USERS_FROM + PEERS * WORKERS) return FEW_USERS_FROM + (start % FEW_USERS);
  return USERS_FROM + (process.pid % PEERS) * WORKERS + (start % WORKERS);
}
