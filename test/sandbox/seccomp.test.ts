/**
 * The filter of system calls, instruction by instruction: an interpreter of its language runs it on every number that
 * there is, on both processors. walls.test.ts has the same calls made for real.
 */
import { describe, expect, test } from 'vitest';
import { assemble, giveBack, jump, label, load, unless } from '../../src/sandbox/bpf.ts';
import {
  ABSENT, ALLOW, AUDIT, EAFNOSUPPORT, ENOSYS, EPERM, filterFor, FIRST_UNKNOWN, FORBIDDEN, KILL_PROCESS, LOOKED_INTO, NAMESPACES, numberOf, TERMINAL_INPUT, X32_BIT,
} from '../../src/sandbox/seccomp.ts';
import type { Architecture } from '../../src/sandbox/seccomp.ts';

interface Call {
  number: number;
  audit: number;
  args?: bigint[];
}

/** What the kernel shows a filter: number, architecture, instruction pointer, six arguments. */
function shown({ number, audit, args = [] }: Call): DataView {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, audit, true);
  data.setBigUint64(8, 0xdead_beef_dead_beefn, true);
  args.forEach((value, index) => data.setBigUint64(16 + index * 8, value, true));
  return data;
}

/** Runs a program of classic BPF as the kernel does; anything that the kernel would not load throws. */
function run(program: Uint8Array, call: Call): { verdict: number; steps: number } {
  const data = shown(call);
  const code = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const count = program.byteLength / 8;
  let accumulator = 0;
  for (let at = 0, steps = 1; ; at += 1, steps += 1) {
    if (at >= count) throw new Error(`instruction ${at} of ${count}`);
    const [operation, ifTrue, ifFalse, value] = [code.getUint16(at * 8, true), code.getUint8(at * 8 + 2), code.getUint8(at * 8 + 3), code.getUint32(at * 8 + 4, true)];
    switch (operation) {
      case 0x20: // BPF_LD | BPF_W | BPF_ABS
        if (value % 4 !== 0 || value > 60) throw new Error(`a word at ${value}`);
        accumulator = data.getUint32(value, true);
        break;
      case 0x06: // BPF_RET | BPF_K
        return { verdict: value, steps };
      case 0x15: // BPF_JMP | BPF_JEQ | BPF_K
        at += accumulator === value ? ifTrue : ifFalse;
        break;
      case 0x35: // BPF_JMP | BPF_JGE | BPF_K
        at += accumulator >= value ? ifTrue : ifFalse;
        break;
      case 0x45: // BPF_JMP | BPF_JSET | BPF_K
        at += (accumulator & value) !== 0 ? ifTrue : ifFalse;
        break;
      default:
        throw new Error(`operation ${operation}`);
    }
  }
}

describe('the assembler', () => {
  test('writes each instruction as the kernel reads it', () => {
    const program = assemble([load(4), jump('equal', 7, 'yes'), unless('atLeast', 9, 'no'), jump('anyBit', 0x8000_0000, 'yes'), label('no'), giveBack(0x0005_0001), label('yes'), giveBack(0x7fff_0000)]);
    expect(Buffer.from(program).toString('hex').match(/.{16}/g)).toEqual([
      '2000000004000000', // A = word at 4
      '1500030007000000', // A = 7: on to 5
      '3500000109000000', // A < 9: on to 4
      '4500010000000080', // A has the highest bit: on to 5
      '0600000001000500',
      '060000000000ff7f',
    ]);
  });

  test('a jump back, too far or to nowhere is an error', () => {
    expect(() => assemble([label('a'), load(0), jump('equal', 1, 'a'), giveBack(0)])).toThrow(RangeError);
    expect(() => assemble([jump('equal', 1, 'a'), giveBack(0)])).toThrow(RangeError);
    const far = (between: number) => [jump('equal', 1, 'a'), ...Array.from({ length: between }, () => giveBack(0)), label('a'), giveBack(0)];
    expect(() => assemble(far(256))).toThrow(RangeError);
    expect(assemble(far(255)).length).toBe(257 * 8);
  });
});

test('there is no filter for other processors', () => {
  expect([filterFor('arm'), filterFor('ia32'), filterFor('riscv64')]).toEqual([null, null, null]);
});

describe.each<Architecture>(['x64', 'arm64'])('on %s', (architecture) => {
  const program = filterFor(architecture)!;
  const audit = AUDIT[architecture];
  const verdict = (number: number, ...args: bigint[]): number => run(program, { number, audit, args }).verdict;
  const numberIn = (calls: Record<string, readonly [number | null, number | null]>, name: string): number | null => numberOf(calls[name]!, architecture);

  test.each(Object.keys(FORBIDDEN))('%s is refused, with any arguments', (name) => {
    const number = numberIn(FORBIDDEN, name);
    if (number === null) return expect(architecture).toBe('arm64');
    expect([verdict(number), verdict(number, 1n, 1n), verdict(number, 0xffff_ffff_ffff_ffffn)]).toEqual([EPERM, EPERM, EPERM]);
  });

  test.each(Object.keys(ABSENT))('%s is said not to exist', (name) => {
    expect(verdict(numberIn(ABSENT, name)!)).toBe(ENOSYS);
  });

  test('what no kernel had when the list was made is said not to exist', () => {
    expect([FIRST_UNKNOWN - 1, FIRST_UNKNOWN, FIRST_UNKNOWN + 1, 1000, X32_BIT - 1].map((number) => verdict(number))).toEqual([ALLOW, ENOSYS, ENOSYS, ENOSYS, ENOSYS]);
  });

  test('clone makes processes and threads, and no namespaces: each flag alone, and with others', () => {
    const clone = numberIn(LOOKED_INTO, 'clone')!;
    const names = { time: 0x80n, mount: 0x2_0000n, cgroup: 0x200_0000n, uts: 0x400_0000n, ipc: 0x800_0000n, user: 0x1000_0000n, pid: 0x2000_0000n, net: 0x4000_0000n };
    const thread = 0x3d_0f00n; // what pthread_create asks for
    expect([verdict(clone, 17n), verdict(clone, thread), verdict(clone, 0x0120_0011n), verdict(clone, 0x4111n)]).toEqual([ALLOW, ALLOW, ALLOW, ALLOW]);
    for (const [name, flag] of Object.entries(names)) {
      // In clone that bit is part of the signal's number; the namespace of time is only for unshare and clone3.
      const expected = name === 'time' ? ALLOW : EPERM;
      expect([name, verdict(clone, flag), verdict(clone, flag | 17n), verdict(clone, flag | thread), verdict(clone, flag | 0xffff_ffff_0000_0000n)]).toEqual([name, expected, expected, expected, expected]);
    }
    expect(Object.values(names).reduce((all, flag) => all | flag, 0n)).toBe(BigInt(NAMESPACES) | 0x80n);
  });

  test.each(['socket', 'socketpair'])('%s: AF_UNIX and no other family, by the low word', (name) => {
    const number = numberIn(LOOKED_INTO, name)!;
    for (let family = 0n; family < 64n; family += 1n) expect(verdict(number, family, 1n)).toBe(family === 1n ? ALLOW : EAFNOSUPPORT);
    expect([verdict(number, 0xffff_ffffn), verdict(number, 0x1_0000_0002n), verdict(number, 0x1_0000_0001n)]).toEqual([EAFNOSUPPORT, EAFNOSUPPORT, ALLOW]);
  });

  test('ioctl: no typing into terminals, whatever the high word', () => {
    const ioctl = numberIn(LOOKED_INTO, 'ioctl')!;
    for (const request of TERMINAL_INPUT) {
      expect([verdict(ioctl, 0n, BigInt(request)), verdict(ioctl, 0n, BigInt(request) | 0x1_0000_0000n), verdict(ioctl, 5n, BigInt(request) | 0xffff_ffff_0000_0000n)]).toEqual([EPERM, EPERM, EPERM]);
    }
    expect([0x5401n, 0x5411n, 0x5413n, 0x541bn, 0x5421n].map((request) => verdict(ioctl, 0n, request))).toEqual([ALLOW, ALLOW, ALLOW, ALLOW, ALLOW]);
  });

  test('every other call is allowed', () => {
    const listed = new Set([FORBIDDEN, ABSENT, LOOKED_INTO].flatMap((calls: Record<string, readonly [number | null, number | null]>) => Object.keys(calls).map((name) => numberIn(calls, name))));
    const refused = Array.from({ length: FIRST_UNKNOWN }, (_, number) => number).filter((number) => !listed.has(number) && verdict(number) !== ALLOW);
    expect(refused).toEqual([]);
  });

  test('a call by the rules of any other architecture ends the process, whatever its number', () => {
    const others = [AUDIT[architecture === 'x64' ? 'arm64' : 'x64'], 0x4000_0003, 0x4000_0028, 0xc000_00f3, 0, 0xffff_ffff];
    for (const other of others) for (const number of [0, 1, 16, 41, 221, FIRST_UNKNOWN]) expect(run(program, { number, audit: other }).verdict).toBe(KILL_PROCESS);
  });

  test('numbers from the x32 bit on', () => {
    const expected = architecture === 'x64' ? KILL_PROCESS : ENOSYS;
    expect([X32_BIT, X32_BIT + 1, X32_BIT + 520, 0x8000_0000, 0xffff_ffff].map((number) => verdict(number))).toEqual(Array.from({ length: 5 }, () => expected));
  });

  test('it is short, and every part of it is reached', () => {
    const count = program.byteLength / 8;
    expect(count).toBeLessThan(150);
    const longest = Math.max(...Array.from({ length: FIRST_UNKNOWN }, (_, number) => run(program, { number, audit, args: [1n, 1n] }).steps));
    expect(longest).toBeLessThanOrEqual(count);
  });
});
