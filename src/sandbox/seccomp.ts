/**
 * Which system calls the code in a box may make: a filter for bubblewrap to load, one for each processor.
 *
 * The box's namespaces already keep out of reach what these calls would touch; the filter keeps a mistake in the
 * kernel's rarely used parts from being of use. So it names what is forbidden, and the rest is allowed.
 *
 * Invariants
 *  1. A call by the rules of another architecture (32-bit, x32) ends the process: its numbers mean other calls.
 *  2. What programs probe for and do without says "no such call" (ENOSYS), so that they take the other way:
 *     clone3, whose flags a filter cannot see; io_uring; every call newer than this file.
 *  3. Only the low word of an argument that the kernel takes as 32 bits is looked at.
 */
import { assemble, giveBack, jump, label, load, unless } from './bpf.ts';
import type { Line } from './bpf.ts';

export type Architecture = 'x64' | 'arm64';

export const ALLOW = 0x7fff_0000;
export const KILL_PROCESS = 0x8000_0000;
const REFUSE = 0x0005_0000;
export const EPERM = REFUSE | 1;
export const ENOSYS = REFUSE | 38;
export const EAFNOSUPPORT = REFUSE | 97;

/** Offsets in the data that the kernel shows a filter; arguments are 64 bits, their low word first. */
const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
const argumentAt = (index: number): number => 16 + index * 8;

/** What the kernel calls the architecture, by the AUDIT_ARCH numbers. */
export const AUDIT: Record<Architecture, number> = { x64: 0xc000_003e, arm64: 0xc000_00b7 };
/** Numbers from here on are x32 calls, which count as the 64-bit architecture. */
export const X32_BIT = 0x4000_0000;

const AF_UNIX = 1;
/** Every CLONE_NEW… that clone itself takes. */
export const NAMESPACES = 0x7e02_0000;
/** Put characters into the input of a terminal; and, on consoles, by TIOCLINUX. */
export const TERMINAL_INPUT = [0x5412, 0x541c] as const;
/** The first number that no kernel had when this list was made; numbers are the same everywhere by now. */
export const FIRST_UNKNOWN = 467;

/** Names, and the numbers that they have on either architecture; null: it has no such call. */
type Numbers = readonly [x64: number | null, arm64: number | null];

export const FORBIDDEN: Readonly<Record<string, Numbers>> = {
  // Mounting, by the old calls and the new ones.
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
  // Namespaces.
  unshare: [272, 97],
  setns: [308, 268],
  // Other processes' memory and descriptors.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  process_madvise: [440, 440],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  // Parts of the kernel that tasks have no use for, and that were often its weak ones.
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  fanotify_init: [300, 262],
  lookup_dcookie: [212, 18],
  modify_ldt: [154, null],
  uselib: [134, null],
  // The machine itself.
  syslog: [103, 116],
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  swapon: [167, 224],
  swapoff: [168, 225],
  reboot: [169, 142],
  sethostname: [170, 161],
  setdomainname: [171, 162],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  vhangup: [153, 58],
  iopl: [172, null],
  ioperm: [173, null],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
};

export const ABSENT: Readonly<Record<string, Numbers>> = {
  clone3: [435, 435],
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
};

/** Those that depend on an argument. */
export const LOOKED_INTO = {
  clone: [56, 220],
  socket: [41, 198],
  socketpair: [53, 199],
  ioctl: [16, 29],
} as const satisfies Record<string, Numbers>;

export function numberOf(numbers: Numbers, architecture: Architecture): number | null {
  return numbers[architecture === 'x64' ? 0 : 1];
}

/** The filter's program; null for a processor that it is not written for. */
export function filterFor(architecture: string): Uint8Array | null {
  return architecture === 'x64' || architecture === 'arm64' ? assemble(linesFor(architecture)) : null;
}

function linesFor(architecture: Architecture): Line[] {
  const all = (calls: Readonly<Record<string, Numbers>>, to: string): Line[] =>
    Object.values(calls).flatMap((numbers) => {
      const number = numberOf(numbers, architecture);
      return number === null ? [] : [jump('equal', number, to)];
    });
  const one = (name: keyof typeof LOOKED_INTO, to: string): Line[] => all({ [name]: LOOKED_INTO[name] }, to);
  return [
    load(ARCHITECTURE_AT),
    unless('equal', AUDIT[architecture], 'kill'),
    load(NUMBER_AT),
    ...(architecture === 'x64' ? [jump('atLeast', X32_BIT, 'kill')] : []),
    jump('atLeast', FIRST_UNKNOWN, 'absent'),
    ...one('ioctl', 'ioctl'),
    ...one('clone', 'clone'),
    ...one('socket', 'socket'),
    ...one('socketpair', 'socket'),
    ...all(ABSENT, 'absent'),
    ...all(FORBIDDEN, 'refuse'),
    label('allow'),
    giveBack(ALLOW),
    label('ioctl'),
    load(argumentAt(1)),
    ...TERMINAL_INPUT.map((request) => jump('equal', request, 'refuse')),
    giveBack(ALLOW),
    label('clone'),
    load(argumentAt(0)),
    jump('anyBit', NAMESPACES, 'refuse'),
    giveBack(ALLOW),
    label('socket'),
    load(argumentAt(0)),
    unless('equal', AF_UNIX, 'family'),
    giveBack(ALLOW),
    label('refuse'),
    giveBack(EPERM),
    label('absent'),
    giveBack(ENOSYS),
    label('family'),
    giveBack(EAFNOSUPPORT),
    label('kill'),
    giveBack(KILL_PROCESS),
  ];
}
