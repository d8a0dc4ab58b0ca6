/**
 * What is tried by system calls that a task has no need of. The control makes the same call outside. Where
 * that needs a right that only a new user namespace gives, it makes one first, and what it does there ends
 * with it.
 */
import { type Call, cString, machineProgram, structure, type Arch } from './machine-code.ts';
import { syscallNumber, type SyscallName } from './syscalls.ts';
import type { Act, Ground, Probe } from './types.ts';

function call(name: string, tries: string, make: (arch: Arch, ground: Ground) => readonly Call[] | string): Probe {
  return {
    name,
    group: 'system calls',
    level: 2,
    tries,
    heavy: false,
    make: (ground) => {
      const { arch } = ground.decoys;
      if (arch === undefined) return 'there is no filter of system calls for this machine';
      const calls = make(arch, ground);
      if (typeof calls === 'string') return calls;
      const act: Act = { act: 'machine', target: { code: Buffer.from(machineProgram(calls, arch)).toString('base64') } };
      return { inside: act, outside: act };
    },
  };
}

const sys = (arch: Arch, name: SyscallName, ...args: Call['args']): Call => ({ number: syscallNumber(name, arch), args });
const simple = (probe: string, tries: string, name: SyscallName, ...args: Call['args']): Probe => call(probe, tries, (arch) => [sys(arch, name, ...args)]);
const socket = (probe: string, tries: string, family: number, type: number, protocol = 0): Probe => simple(probe, tries, 'socket', family, type, protocol);

const SOCK_STREAM = 1;
const SOCK_RAW = 3;
const SOCK_SEQPACKET = 5;
const NEW_USER = 0x1000_0000;
const NEW_MOUNTS = 0x2_0000;
const SIGCHLD = 17;
const HERE = -100;
const READ_WRITE = 2;
const NO_TERMINAL = 0x100;

/** With the rights that a new user namespace gives, where one is to be had: what is done in it ends with it. */
const asRootInside = (arch: Arch): Call => ({ ...sys(arch, 'unshare', NEW_USER | NEW_MOUNTS), mayFail: true });
const withRights = (probe: string, tries: string, name: SyscallName, ...args: Call['args']): Probe =>
  call(probe, tries, (arch) => [asRootInside(arch), sys(arch, name, ...args)]);

/** A program's first page: the file begins there, and its end is free. */
const FIRST_BYTES = 0x40_0000;
const OWN_MEMORY = 0x40_0ff0;
/** In the folder where the act runs. */
const MOUNT_POINT = cString('potluck-probe-mount');

const TIOCSTI = 0x5412n;

/** A terminal of its own; what is pushed into it is read by nobody. The same call reaches the owner's, where one is in reach. */
function terminalInput(request: bigint) {
  return (arch: Arch): Call[] => [
    sys(arch, 'setsid'),
    sys(arch, 'openat', HERE, cString('/dev/ptmx'), READ_WRITE | NO_TERMINAL, 0),
    sys(arch, 'ioctl', { resultOf: 1 }, 0x4004_5431, structure(8)), // TIOCSPTLCK: not locked
    sys(arch, 'ioctl', { resultOf: 1 }, 0x5441, READ_WRITE), // TIOCGPTPEER: the terminal, now that of this session
    sys(arch, 'ioctl', { resultOf: 3 }, request, cString('x')),
  ];
}

const onlyX64 = (make: () => Call[]) => (arch: Arch): Call[] | string => (arch === 'x64' ? make() : 'only x86 has it');

export const callProbes: readonly Probe[] = [
  socket('family-inet', 'open an internet socket', 2, SOCK_STREAM),
  socket('family-inet6', 'open an IPv6 socket', 10, SOCK_STREAM),
  socket('family-netlink', 'talk to the kernel about the network (AF_NETLINK)', 16, SOCK_RAW),
  socket('family-packet', 'read the raw packets of the network (AF_PACKET)', 17, SOCK_RAW),
  socket('family-alg', "use the kernel's ciphers (AF_ALG), a door that had holes", 38, SOCK_SEQPACKET),
  socket('family-vsock', 'reach the host of a virtual machine (AF_VSOCK)', 40, SOCK_STREAM),
  simple('io-uring', 'set up io_uring, which passes by filters of system calls', 'io_uring_setup', 1, structure(120)),
  simple('bpf', 'load something into the kernel (bpf)', 'bpf', 0, structure(72, 1n | (4n << 32n), 4n | (1n << 32n)), 72),
  simple('keyctl', "open the kernel's ring of keys", 'keyctl', 0, -3, 0),
  simple('add-key', "put a key into the kernel's ring", 'add_key', cString('user'), cString('potluck-probe'), cString('x'), 1, -2),
  simple('userfaultfd', 'catch page faults (userfaultfd), with which races are won', 'userfaultfd', 1),
  simple('perf', 'measure the machine (perf_event_open)', 'perf_event_open', structure(128, 1n | (128n << 32n), 0, 0, 0, 0, 0b110_0001), 0, -1, -1, 0),
  call('ptrace', 'trace a process of the machine', (arch, { decoys: { pid } }) => (pid === undefined ? 'no decoy process runs here' : [sys(arch, 'ptrace', 0x4206, pid, 0, 0)])),
  call('read-memory', 'read the memory of a process of the machine', (arch, { decoys: { pid } }) =>
    pid === undefined ? 'no decoy process runs here' : [sys(arch, 'process_vm_readv', pid, structure(16, OWN_MEMORY, 4), 1, structure(16, FIRST_BYTES, 4), 1, 0)]),
  call('steal-descriptor', 'take a descriptor of a process of the machine', (arch, { decoys: { pid } }) =>
    pid === undefined ? 'no decoy process runs here' : [sys(arch, 'pidfd_open', pid, 0), sys(arch, 'pidfd_getfd', { resultOf: 0 }, 0, 0)]),
  simple('unshare-user', 'make a user namespace, in which it would be root', 'unshare', NEW_USER),
  withRights('unshare-mounts', 'make a namespace of mounts', 'unshare', NEW_MOUNTS),
  call('clone-namespace', 'start a process in a new namespace (clone)', (arch) => [sys(arch, 'clone', NEW_USER | SIGCHLD, 0, 0, 0, 0)]),
  simple('clone3-namespace', 'start a process in a new namespace by the call that filters cannot look into (clone3)', 'clone3', structure(88, NEW_USER, 0, 0, 0, SIGCHLD), 88),
  call('setns', 'enter a namespace', (arch) => [asRootInside(arch), sys(arch, 'openat', HERE, cString('/proc/self/ns/mnt'), 0, 0), sys(arch, 'setns', { resultOf: 1 }, NEW_MOUNTS)]),
  call('mount', 'mount a file system', (arch) => [
    { ...sys(arch, 'mkdirat', HERE, MOUNT_POINT, 0o700), mayFail: true },
    asRootInside(arch),
    sys(arch, 'mount', cString('none'), MOUNT_POINT, cString('tmpfs'), 0, 0),
    sys(arch, 'umount2', MOUNT_POINT, 0),
  ]),
  withRights('fsopen', 'mount a file system by the newer calls (fsopen)', 'fsopen', cString('tmpfs'), 0),
  withRights('open-tree', 'copy a tree of mounts (open_tree)', 'open_tree', HERE, cString('/'), 0x8001),
  withRights('chroot', 'take another folder for the root', 'chroot', cString('/')),
  call('device-node', 'make the node of a device', (arch, { language }) => [sys(arch, 'mknodat', HERE, cString(`potluck-probe-null-${language}`), 0o02_0600, 0x103)]),
  call('terminal-input', 'push input into a terminal (TIOCSTI)', terminalInput(TIOCSTI)),
  call('terminal-input-masked', 'push input into a terminal with high bits set, which the kernel does not look at', terminalInput(TIOCSTI | (0xdead_beefn << 32n))),
  call('calls-of-32-bit', 'make system calls by the 32-bit entry, with other numbers', onlyX64(() => [{ number: 20, args: [], by32: true }])),
  call('calls-of-x32', 'make system calls by the numbers of x32', onlyX64(() => [{ number: 0x4000_0000 + 39, args: [] }])),
];
