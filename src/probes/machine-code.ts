/**
 * Tiny programs in machine code: a few system calls one after another, as a whole executable file.
 *
 * A task may run any machine code, so what is forbidden must be tried with it: neither language can make
 * these calls by itself everywhere, and the old 32-bit entry has no other door. The program ends with
 * status 0 if every call succeeded, else with the error number of the first that did not.
 */

export type Arch = 'x64' | 'arm64';

/** An argument: a number, the address of bytes that lie in the program, or what an earlier call gave. */
export type Argument = number | bigint | Uint8Array | { resultOf: number };

export interface Call {
  number: number;
  args: readonly Argument[];
  /** By the 32-bit entry of x86 (`int 0x80`), whose numbers are its own. */
  by32?: boolean;
  /** Its failure ends nothing. */
  mayFail?: boolean;
}

/** Results are kept in registers that calls leave alone: there are so many. */
const CALLS_MAX = 5;
const LOAD_ADDRESS = 0x40_0000n;
const HEADERS_BYTES = 64 + 56;
const MACHINE = { x64: 62, arm64: 183 } as const;
/** Addresses at which data may lie without care for what the kernel expects. */
const ALIGN = 16;

/**
 * @returns an ELF executable
 * @throws RangeError with too many calls, or an argument that refers to no earlier one
 */
export function machineProgram(calls: readonly Call[], arch: Arch): Uint8Array {
  if (calls.length > CALLS_MAX) throw new RangeError(`${calls.length} calls in one program; ${CALLS_MAX} at most`);
  calls.forEach(({ args }, at) => {
    for (const arg of args) if (isResult(arg) && arg.resultOf >= at) throw new RangeError(`call ${at} wants the result of call ${arg.resultOf}`);
  });
  // The code's length does not depend on the addresses in it, so it is measured first.
  const assemble = arch === 'x64' ? codeForX64 : codeForArm64;
  const codeBytes = assemble(calls, () => 0n).length;
  const data: Uint8Array[] = [];
  let at = align(HEADERS_BYTES + codeBytes);
  const place = (bytes: Uint8Array): bigint => {
    const address = LOAD_ADDRESS + BigInt(at);
    const padded = new Uint8Array(align(bytes.length));
    padded.set(bytes);
    data.push(padded);
    at += padded.length;
    return address;
  };
  const code = assemble(calls, place);
  const padding = new Uint8Array(align(HEADERS_BYTES + codeBytes) - HEADERS_BYTES - codeBytes);
  return Buffer.concat([headers(arch, at), code, padding, ...data]);
}

/** Text as the kernel wants it. */
export const cString = (text: string): Uint8Array => Buffer.from(`${text}\0`);

/** Bytes with 64-bit little-endian words at their start, zero behind. */
export function structure(length: number, ...words: (number | bigint)[]): Uint8Array {
  const bytes = Buffer.alloc(length);
  words.forEach((word, at) => bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(word)), at * 8));
  return bytes;
}

const align = (length: number): number => Math.ceil(length / ALIGN) * ALIGN;
const isResult = (arg: Argument): arg is { resultOf: number } => typeof arg === 'object' && !(arg instanceof Uint8Array);

/** One segment with everything, readable, writable and executable. */
function headers(arch: Arch, length: number): Uint8Array {
  const bytes = Buffer.alloc(HEADERS_BYTES);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeUInt16LE(2, 16); // an executable
  bytes.writeUInt16LE(MACHINE[arch], 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(LOAD_ADDRESS + BigInt(HEADERS_BYTES), 24); // the first instruction
  bytes.writeBigUInt64LE(64n, 32); // the segments' table
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt16LE(64, 58);
  bytes.writeUInt32LE(1, 64); // to be loaded
  bytes.writeUInt32LE(7, 68);
  bytes.writeBigUInt64LE(LOAD_ADDRESS, 80);
  bytes.writeBigUInt64LE(LOAD_ADDRESS, 88);
  bytes.writeBigUInt64LE(BigInt(length), 96);
  bytes.writeBigUInt64LE(BigInt(length), 104);
  bytes.writeBigUInt64LE(0x1000n, 112);
  return bytes;
}

type Place = (bytes: Uint8Array) => bigint;

const valueOf = (arg: number | bigint | Uint8Array, place: Place): bigint => BigInt.asUintN(64, arg instanceof Uint8Array ? place(arg) : BigInt(arg));

// --- x86_64 ----------------------------------------------------------------------------------

const RAX = 0;
const ARGUMENTS_X64 = [7, 6, 2, 10, 8, 9]; // rdi rsi rdx r10 r8 r9
const ARGUMENTS_X86 = [3, 1, 2, 6, 7]; // ebx ecx edx esi edi
const KEPT_X64 = [12, 13, 14, 15, 5]; // r12 to r15, rbp
const EXIT_X64 = 60;

function codeForX64(calls: readonly Call[], place: Place): Uint8Array {
  const out: number[] = [];
  const load = (register: number, value: bigint) => {
    out.push(0x48 | (register >> 3), 0xb8 | (register & 7));
    for (let at = 0n; at < 64n; at += 8n) out.push(Number((value >> at) & 0xffn));
  };
  const copy = (to: number, from: number) => out.push(0x48 | ((from >> 3) << 2) | (to >> 3), 0x89, 0xc0 | ((from & 7) << 3) | (to & 7));
  calls.forEach((call, index) => {
    const registers = call.by32 === true ? ARGUMENTS_X86 : ARGUMENTS_X64;
    call.args.forEach((arg, at) => {
      if (isResult(arg)) copy(registers[at]!, KEPT_X64[arg.resultOf]!);
      else load(registers[at]!, valueOf(arg, place));
    });
    load(RAX, BigInt(call.number));
    out.push(...(call.by32 === true ? [0xcd, 0x80, 0x48, 0x98] : [0x0f, 0x05])); // with cdqe: the old entry's errors have 32 bits
    copy(KEPT_X64[index]!, RAX);
    const fail = [0xf7, 0xd8, 0x89, 0xc7, 0xb8, EXIT_X64, 0, 0, 0, 0x0f, 0x05]; // exit(-rax)
    if (call.mayFail !== true) out.push(0x48, 0x85, 0xc0, 0x79, fail.length, ...fail);
  });
  out.push(0x31, 0xff, 0xb8, EXIT_X64, 0, 0, 0, 0x0f, 0x05); // exit(0)
  return Uint8Array.from(out);
}

// --- aarch64 ---------------------------------------------------------------------------------

const NUMBER_ARM64 = 8;
const KEPT_ARM64 = [19, 20, 21, 22, 23];
const EXIT_ARM64 = 93;
const SVC = 0xd4000001;

function codeForArm64(calls: readonly Call[], place: Place): Uint8Array {
  const out: number[] = [];
  const load = (register: number, value: bigint) => {
    for (let part = 0; part < 4; part += 1) {
      const bits = Number((value >> BigInt(part * 16)) & 0xffffn);
      out.push((part === 0 ? 0xd2800000 : 0xf2800000) | (part << 21) | (bits << 5) | register);
    }
  };
  const copy = (to: number, from: number) => out.push(0xaa0003e0 | (from << 16) | to);
  calls.forEach((call, index) => {
    call.args.forEach((arg, at) => {
      if (isResult(arg)) copy(at, KEPT_ARM64[arg.resultOf]!);
      else load(at, valueOf(arg, place));
    });
    load(NUMBER_ARM64, BigInt(call.number));
    out.push(SVC);
    copy(KEPT_ARM64[index]!, 0);
    const fail = [0xcb0003e0, 0xd2800000 | (EXIT_ARM64 << 5) | NUMBER_ARM64, SVC]; // exit(-x0)
    if (call.mayFail !== true) out.push(0xb6f80000 | ((fail.length + 1) << 5), ...fail); // over it, if x0 is not negative
  });
  out.push(0xd2800000, 0xd2800000 | (EXIT_ARM64 << 5) | NUMBER_ARM64, SVC);
  const bytes = Buffer.alloc(out.length * 4);
  out.forEach((word, at) => bytes.writeUInt32LE(word >>> 0, at * 4));
  return bytes;
}
