/** Numbers of system calls, of the two machines that the box is for. */
import type { Arch } from './machine-code.ts';

const both = (x64: number, arm64: number) => ({ x64, arm64 });

/** From the kernel's tables: those of aarch64 are the generic ones; new calls have one number everywhere. */
const numbers = {
  openat: both(257, 56),
  ioctl: both(16, 29),
  setsid: both(112, 157),
  socket: both(41, 198),
  clone: both(56, 220),
  clone3: both(435, 435),
  unshare: both(272, 97),
  setns: both(308, 268),
  mount: both(165, 40),
  umount2: both(166, 39),
  mkdirat: both(258, 34),
  chroot: both(161, 51),
  fsopen: both(430, 430),
  open_tree: both(428, 428),
  mknodat: both(259, 33),
  ptrace: both(101, 117),
  process_vm_readv: both(310, 270),
  pidfd_open: both(434, 434),
  pidfd_getfd: both(438, 438),
  io_uring_setup: both(425, 425),
  bpf: both(321, 280),
  keyctl: both(250, 219),
  add_key: both(248, 217),
  userfaultfd: both(323, 282),
  perf_event_open: both(298, 241),
  prctl: both(157, 167),
  ppoll: both(271, 73),
} as const;

export type SyscallName = keyof typeof numbers;

export const syscallNumber = (name: SyscallName, arch: Arch): number => numbers[name][arch];
