/**
 * What is tried: the files, processes, network, privileges and bounds of a machine. System calls are in
 * calls.ts. Each probe says what hostile code wants, from which level it must fail, and the act.
 *
 * Whatever an act reads, writes or signals is a decoy; what is the owner's own is at most looked up, or
 * opened and closed without a byte read or written.
 */
import { existsSync, readlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { callProbes } from './calls.ts';
import { waitingProgram } from './decoys.ts';
import type { Act, Ground, Level, Probe } from './types.ts';

type Tries = { inside: Act; outside: Act } | string;

const probe = (group: Probe['group'], level: Level, name: string, tries: string, make: (ground: Ground) => Tries, heavy = false): Probe => ({ name, group, level, tries, heavy, make });

const same = (act: string, target: Act['target']): Tries => ({ inside: { act, target }, outside: { act, target } });
const sameIf = (there: boolean, why: string, act: string, target: () => Act['target']): Tries => (there ? same(act, target()) : why);
const there = (paths: readonly string[]): string[] => paths.filter((path) => existsSync(path));
/** On paths of this machine, as far as it has them. */
const onPaths = (paths: readonly string[], act: string, more: Act['target'] = {}): Tries => {
  const found = there(paths);
  return sameIf(found.length > 0, `this machine has no ${paths.join(', ')}`, act, () => ({ paths: found, ...more }));
};
const secret = (pick: (ground: Ground) => readonly string[]) => (ground: Ground): Tries =>
  sameIf(pick(ground).length > 0, 'no such place here', 'read_secret', () => ({ paths: pick(ground), token: ground.decoys.token }));
const writing = (pick: (ground: Ground) => readonly string[]) => (ground: Ground): Tries => onPaths(pick(ground), 'open_file', { write: true });
const inHome = (...names: string[]) => names.map((name) => join(homedir(), name));

const files: readonly Probe[] = [
  probe('files', 2, 'ssh-folder', 'see what is in ~/.ssh', () => onPaths(inHome('.ssh'), 'list_folder')),
  probe('files', 2, 'ssh-key', 'read a private key in a folder like ~/.ssh', secret(({ decoys }) => [decoys.files.ssh])),
  probe('files', 2, 'peer-key', 'open the keys of the pool and its members', ({ homeFolder }) => onPaths([join(homeFolder, 'member.key'), join(homeFolder, 'pool.key')], 'open_file', { write: false })),
  probe('files', 2, 'key-content', 'read a key in the folder of the pool', secret(({ decoys }) => [decoys.files.key])),
  probe('files', 2, 'journal', 'read a journal of tasks', secret(({ decoys }) => [decoys.files.journal])),
  probe('files', 2, 'other-scratch', 'read the files of another task', secret(({ decoys }) => [decoys.files.scratch])),
  probe('files', 2, 'shared-folders', 'read what others left in /tmp, /var/tmp and /dev/shm', secret(({ decoys }) => decoys.tmpFiles)),
  probe('files', 2, 'system-settings', 'learn the users of the machine from /etc/passwd', () => same('read_secret', { paths: ['/etc/passwd'], token: 'root:' })),
  probe('files', 2, 'system-secrets', 'open those that name this machine, or that only root may read', () => onPaths(['/etc/machine-id', '/etc/hostname', '/etc/shadow', '/etc/fstab'], 'open_file', { write: false })),
  probe('files', 2, 'shell-start', 'write ~/.bashrc or ~/.profile', writing(() => inHome('.bashrc', '.profile', '.zshrc', '.bash_profile'))),
  probe('files', 2, 'cron', 'write a table of cron', writing(() => ['/etc/crontab', '/etc/passwd', `/var/spool/cron/crontabs/${process.env['USER'] ?? 'root'}`])),
  probe('files', 2, 'library', "write the interpreter's library, where a sitecustomize would run", writing(({ code }) => code.library)),
  probe('files', 2, 'compiled', 'write a compiled module in __pycache__', writing(({ code }) => code.compiled)),
  probe('files', 2, 'guest', 'write the code by which a peer starts tasks', writing(({ code }) => code.guests)),
  probe('files', 2, 'settings', 'write a settings file of the pool', writing(({ decoys }) => [decoys.files.settings])),
  // No program: while one is open for writing, nobody can start it.
  probe('files', 2, 'system-files', 'write a file of the system, beside its programs', writing(() => ['/usr/lib/os-release', '/usr/share/common-licenses/GPL-3', '/usr/share/zoneinfo/UTC'])),
  probe('files', 2, 'unbounded-folders', 'write outside of the few folders that are bounded', ({ decoys: { folder, token } }) => ({
    inside: { act: 'make_file', target: { folders: ['/', '/dev', '/etc', '/usr', '/proc', '/potluck', '/var', '/run'], name: token } },
    outside: { act: 'make_file', target: { folders: [folder], name: token } },
  })),
  probe('files', 2, 'core-pattern', 'write /proc/sys/kernel/core_pattern, by which the kernel starts programs', writing(() => ['/proc/sys/kernel/core_pattern'])),
  probe('files', 2, 'kernel-settings', 'write other settings of the kernel', writing(() => ['/proc/sys/kernel/modprobe', '/proc/sys/vm/overcommit_memory', '/proc/sysrq-trigger', '/sys/kernel/uevent_helper'])),
  probe('files', 2, 'device-mode', 'change the mode of /dev/full, which is the machine\'s own', () => same('chmod_as_it_is', { path: '/dev/full' })),
  probe('files', 2, 'terminal', 'open the terminal that the peer was started from', () => same('open_file', { paths: ['/dev/tty'], write: true })),
  probe('files', 2, 'disks', 'open a disk or the memory of the machine', () => onPaths(['/dev/vda', '/dev/sda', '/dev/nvme0n1', '/dev/mem', '/dev/kmsg', '/proc/kcore'], 'open_file', { write: false })),
];

const processes: readonly Probe[] = [
  probe('processes', 0, 'own-environment', 'find a secret of the peer in its own environment', ({ decoys: { token } }) => same('own_environment', { token })),
  probe('processes', 2, 'first-environment', 'find a secret of the peer in /proc/1/environ', ({ decoys: { token, pid } }) =>
    pid === undefined ? 'no decoy process runs here' : { inside: { act: 'scan_proc', target: { name: 'environ', token, pids: [1] } }, outside: { act: 'scan_proc', target: { name: 'environ', token, pids: [pid] } } }),
  probe('processes', 2, 'all-environments', 'find a secret in the environment of another process', withDecoy((token) => ['scan_proc', { name: 'environ', token }])),
  probe('processes', 2, 'command-lines', 'see the processes of the machine', withDecoy((token) => ['scan_proc', { name: 'cmdline', token }])),
  probe('processes', 2, 'kill', 'signal a process of the machine', withDecoy((_, pid) => ['may_kill', { pid }])),
  probe('processes', 1, 'outlive', 'live on when it is killed, with another parent and another session', ({ decoys: { arch, token }, language }) => {
    if (arch === undefined) return 'no program for this machine';
    const leave = (where: string): Act => ({ act: 'outlive', target: { code: base64(waitingProgram(arch, false)), token: `${token.replace('decoy', 'lives')}-${language}-${where}` } });
    return { inside: leave('inside'), outside: leave('outside') };
  }),
  probe('processes', 2, 'descriptors', 'read through a descriptor that it was handed down', ({ decoys: { token } }) => same('descriptors', { token })),
];

function withDecoy(act: (token: string, pid: number) => [string, Act['target']]): (ground: Ground) => Tries {
  return ({ decoys: { token, pid } }) => (pid === undefined ? 'no decoy process runs here' : same(...act(token, pid)));
}

const network: readonly Probe[] = [
  probe('network', 2, 'loopback', 'reach a listener on loopback', ({ decoys: { loopback, token } }) => sameIf(loopback !== undefined, 'there is no loopback', 'tcp', () => ({ ...loopback, token }))),
  probe('network', 2, 'loopback-ipv6', 'reach a listener on the IPv6 loopback', ({ decoys: { loopback6, token } }) => sameIf(loopback6 !== undefined, 'this machine has no IPv6', 'tcp', () => ({ ...loopback6, token }))),
  probe('network', 2, 'lan', 'reach an address of the LAN', ({ decoys: { lan, token } }) => sameIf(lan !== undefined, 'this machine has no address but loopback', 'tcp', () => ({ ...lan, token }))),
  probe('network', 2, 'metadata', 'reach the metadata service of a cloud', ({ decoys: { metadata, token } }) =>
    sameIf(metadata !== undefined, '169.254.169.254 is no address of this machine, and nothing is sent to others', 'tcp', () => ({ ...metadata, token }))),
  probe('network', 2, 'datagrams', 'send a datagram', ({ decoys: { datagrams, token } }) => sameIf(datagrams !== undefined, 'there is no loopback', 'udp', () => ({ ...datagrams, token }))),
  probe('network', 2, 'peer-port', "reach the peer's own port", ({ peer }) => sameIf(peer !== undefined, 'no peer runs in this process', 'tcp', () => ({ ...peer, token: '' }))),
  probe('network', 2, 'page', 'read a page on loopback', ({ decoys: { page, token } }) => sameIf(page !== undefined, 'there is no loopback', 'page', () => ({ url: page, token }))),
  probe('network', 2, 'unix-sockets', 'reach a daemon by its socket in the file system', ({ decoys: { unixSockets, token } }) => sameIf(unixSockets.length > 0, 'no socket could be made', 'unix', () => ({ paths: unixSockets, token }))),
  probe('network', 2, 'abstract-socket', 'reach a daemon by its abstract name', ({ decoys: { abstractSocket, token } }) => sameIf(abstractSocket !== undefined, 'this system has none', 'unix', () => ({ paths: [abstractSocket], token }))),
  probe('network', 2, 'd-bus', 'find the sockets of D-Bus', () => onPaths(['/run/dbus/system_bus_socket', `/run/user/${process.getuid?.() ?? 0}/bus`], 'find_path')),
  probe('network', 2, 'docker', 'find the socket of Docker or its kin', () => onPaths(['/run/docker.sock', '/var/run/docker.sock', '/run/podman/podman.sock', '/run/containerd/containerd.sock'], 'find_path')),
];

/** An empty set of capabilities, as /proc writes it. */
const NONE = ['0'.repeat(16)];

/** By the number that the kernel gives each. */
const shared = (kind: string, what: string): Probe =>
  probe('privileges', 2, `shared-${what}`, `be in the machine's own namespace of ${what}`, () =>
    sameIf(existsSync(`/proc/self/ns/${kind}`), 'this kernel has none', 'in_namespace', () => ({ kind, of: readlinkSync(`/proc/self/ns/${kind}`) })));

const privileges: readonly Probe[] = [
  probe('privileges', 2, 'root', 'be root, or become it', () => same('be_root', {})),
  probe('privileges', 2, 'mapped-root', 'have a root in its user namespace', () => same('map_root', {})),
  shared('user', 'users'),
  shared('pid', 'processes'),
  shared('net', 'networks'),
  shared('mnt', 'mounts'),
  shared('ipc', 'messages'),
  shared('uts', 'names'),
  shared('cgroup', 'groups'),
  probe('privileges', 2, 'capabilities', 'hold a capability', () => same('own_status', { field: 'CapEff', good: NONE })),
  probe('privileges', 2, 'bounding-set', 'get a capability from a program', () => same('own_status', { field: 'CapBnd', good: NONE })),
  probe('privileges', 2, 'set-user-id', 'gain rights by a set-user-id program', () => same('own_status', { field: 'NoNewPrivs', good: ['1'] })),
  probe('privileges', 2, 'unfiltered', 'make system calls past any filter', () => same('own_status', { field: 'Seccomp', good: ['2'] })),
];

/** Held this long, so that a watchdog that looks now and then has looked. */
const HOLD_S = 0.4;

const bounds: readonly Probe[] = [
  heavy('fork-bomb', 1, 'start more processes than it may', ({ processesMax, decoys: { arch } }) =>
    arch === undefined ? 'no program for this machine' : same('processes', { count: processesMax + 16, hold_s: HOLD_S, code: base64(waitingProgram(arch, false)) })),
  heavy('memory', 1, 'take more memory than it may', ({ memoryMb }) => same('memory', { megabytes: memoryMb + 16, hold_s: HOLD_S })),
  heavy('disk', 2, 'write more files than its folder may hold', ({ memoryMb, decoys: { folder } }) => fillOf('.', folder, memoryMb)),
  heavy('tmp', 2, 'fill /tmp', ({ memoryMb, decoys: { folder } }) => fillOf('/tmp', inMemory(folder), memoryMb)),
  heavy('shared-memory', 2, 'fill /dev/shm', ({ memoryMb, decoys: { folder } }) => fillOf('/dev/shm', inMemory(folder), memoryMb)),
];

function heavy(name: string, level: Level, tries: string, make: (ground: Ground) => Tries): Probe {
  return probe('bounds', level, name, tries, make, true);
}

/** The control spares the disk, where there is another place. */
const inMemory = (otherwise: string): string => (existsSync('/dev/shm') ? '/dev/shm' : otherwise);

const fillOf = (inside: string, outside: string, limitMb: number): Tries => ({
  inside: { act: 'fill', target: { folders: [inside], megabytes: limitMb + 8 } },
  outside: { act: 'fill', target: { folders: [outside], megabytes: limitMb + 8 } },
});

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

export const catalogue: readonly Probe[] = [...files, ...processes, ...network, ...privileges, ...callProbes, ...bounds];
