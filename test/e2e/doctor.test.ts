/** `potluck doctor` as a person and as a program see it, where everything is there and where something was taken away. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, environment } from './processes.ts';

interface Report {
  level: number;
  takes_foreign_work: boolean;
  missing: string | null;
  fix: string | null;
  probes: { name: string; verdict: string; level: number; tries: string; why: string }[];
}

const isRoot = process.platform === 'linux' && process.getuid?.() === 0;
/** A folder of mounts of its own, in which a program can be covered. */
const canCover = (): boolean => isRoot && spawnSync('unshare', ['--mount', 'mount', '--bind', '/dev/null', '/bin/true']).status === 0;
/** A user with a cgroup of its own needs one of the first version, where root may make it. */
const groups = ['pids', 'memory'].map((controller) => join('/sys/fs/cgroup', controller));
/** A number that no user has. */
const USER = 61_234;
const asUserArgs = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups'];
const canDelegate = (): boolean => isRoot && groups.every((folder) => existsSync(join(folder, 'cgroup.procs'))) && spawnSync('setpriv', [...asUserArgs, process.execPath, '-e', '0'], { cwd: '/' }).status === 0;
/** One that every user may run: a version manager's lies in root's home folder. */
const systemPython = ['/usr/bin/python3', '/usr/local/bin/python3'].filter((path) => existsSync(path)).slice(0, 1).flatMap((path) => ['--python', path]);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-doctor-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const home = () => ({ POTLUCK_HOME: join(folder, 'none') });

function reported(program: string, args: string[], env: NodeJS.ProcessEnv): Report & { status: number | null } {
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8', env, cwd: '/', timeout: 55_000 });
  if (!stdout.startsWith('{')) throw new Error(`no report: ${stdout}${stderr}`);
  return { ...(JSON.parse(stdout) as Report), status };
}

describe('potluck doctor', () => {
  it('prints one document with every probe, and leaves no folder where there was none', () => {
    const { probes, level, takes_foreign_work: takes, status, missing } = reported(process.execPath, [command, 'doctor', '--json'], environment(home()));
    expect(probes.length).toBeGreaterThanOrEqual(40);
    for (const { verdict } of probes) expect(['held', 'broken', 'not applicable']).toContain(verdict);
    expect({ level, takes, status, missing }).toEqual({ level: 2, takes: true, status: 0, missing: null });
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

describe.skipIf(!canCover())('what was taken away', () => {
  const covered = (cover: string) => reported('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', `${cover}; exec "$0" "$@"`, process.execPath, command, 'doctor', '--json'], environment(home()));
  const cover = (program: string) => `for at in $(command -v -a ${program} 2>/dev/null || command -v ${program}) /usr/bin/${program} /bin/${program}; do [ -e "$at" ] && mount --bind /dev/null "$at"; done`;

  it.each([
    ['bubblewrap', cover('bwrap'), /bubblewrap is not installed/, /bubblewrap$/],
    ['setpriv', cover('setpriv'), /setpriv.* is not installed/, /util-linux$/],
    ['cgroups', 'mount -t tmpfs none /sys/fs/cgroup', /no cgroup/, /Delegate=yes/],
  ])('%s: a lower level, exit status 6, and the command that mends it', (_, how, missing, fix) => {
    const report = covered(how);
    expect(report.level).toBeLessThan(2);
    expect(report).toMatchObject({ takes_foreign_work: false, status: 6, missing: expect.stringMatching(missing) as string, fix: expect.stringMatching(fix) as string });
    // What tasks can do there is told, too.
    expect(report.probes.filter(({ verdict }) => verdict === 'broken').length).toBeGreaterThan(30);
  });
});

/** Also a network of its own, with an address that belongs to clouds. */
const canMakeNetwork = (): boolean => canCover() && spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two']).status === 0;

describe.skipIf(!canMakeNetwork())('a machine that has all that hostile code looks for', () => {
  it('holds every probe of it', () => {
    const user = join(folder, 'owner');
    for (const part of ['.ssh', 'pool']) mkdirSync(join(user, part), { recursive: true, mode: 0o700 });
    for (const file of ['.ssh/id_ed25519', '.bashrc', 'pool/member.key', 'pool/pool.key']) writeFileSync(join(user, file), 'x', { mode: 0o600 });
    const made = [
      'ip link set lo up',
      'ip link add one type veth peer name two && ip link set one up && ip link set two up',
      'ip address add 10.200.0.1/24 dev one && ip address add 169.254.169.254/32 dev one',
      'mount -t tmpfs none /run && mkdir /run/dbus && touch /run/dbus/system_bus_socket /run/docker.sock',
    ].join(' && ');
    const report = reported('unshare', ['--net', '--mount', '--propagation', 'private', 'sh', '-c', `${made} || exit 9; exec "$0" "$@"`, process.execPath, command, 'doctor', '--json', ...systemPython], {
      ...environment({}),
      HOME: user,
      POTLUCK_HOME: join(user, 'pool'),
    });
    const verdicts = Object.fromEntries(report.probes.map(({ name, verdict, why }) => [name, verdict === 'held' ? verdict : `${verdict}: ${why}`]));
    const looked = ['ssh-folder', 'ssh-key', 'peer-key', 'shell-start', 'metadata', 'lan', 'd-bus', 'docker', 'system-secrets', 'core-pattern', 'device-mode', 'root', 'family-packet', 'bpf'];
    expect(Object.fromEntries(looked.map((name) => [name, verdicts[name]]))).toEqual(Object.fromEntries(looked.map((name) => [name, 'held'])));
    expect(report.level).toBe(2);
  });
});

describe.skipIf(!canDelegate())('an ordinary user', () => {
  const own = groups.map((group) => join(group, `potluck-doctor-${process.pid}`));
  let copy = '';

  beforeAll(() => {
    // Where everybody may read it; the command needs no more of the package than this.
    copy = join(folder, 'copy');
    mkdirSync(copy);
    const root = dirname(dirname(command));
    for (const part of ['bin', 'dist', 'package.json']) cpSync(join(root, part), join(copy, part), { recursive: true });
    mkdirSync(join(folder, 'user'));
    chownSync(join(folder, 'user'), USER, USER);
    chmodSync(folder, 0o755);
    for (const group of own) {
      mkdirSync(group);
      chownSync(group, USER, USER);
      for (const name of readdirSync(group)) chownSync(join(group, name), USER, USER);
    }
  });
  afterAll(() => {
    for (const group of own) {
      for (const entry of readdirSync(group, { withFileTypes: true })) if (entry.isDirectory()) rmdirSync(join(group, entry.name));
      rmdirSync(group);
    }
  });

  const asUser = (before: string) =>
    reported(
      'sh',
      ['-c', `${before}; exec setpriv ${asUserArgs.join(' ')} "$0" "$@"`, process.execPath, join(copy, 'bin', 'potluck.js'), 'doctor', '--json', ...systemPython],
      { PATH: '/usr/bin:/bin:/usr/sbin', HOME: join(folder, 'user'), POTLUCK_HOME: join(folder, 'user', 'pool') },
    );

  it('with a cgroup of its own reaches level 2, and nothing is broken', () => {
    const report = asUser(own.map((group) => `echo $$ > ${group}/cgroup.procs`).join('; '));
    expect({ level: report.level, missing: report.missing, broken: report.probes.filter(({ verdict }) => verdict === 'broken') }).toEqual({ level: 2, missing: null, broken: [] });
    expect(report.probes.filter(({ verdict }) => verdict === 'held').length).toBeGreaterThanOrEqual(40);
  });

  it('without one stays at level 1, and is told how to get one', () => {
    expect(asUser('true')).toMatchObject({ level: 1, status: 6, missing: expect.stringContaining('no cgroup') as string, fix: expect.stringContaining('Delegate=yes') as string });
  });
});
