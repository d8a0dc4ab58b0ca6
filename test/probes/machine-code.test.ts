/** Programs of a few system calls: what they are made of, and that they run. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Arch, type Call, cString, machineProgram, structure } from '../../src/probes/machine-code.ts';
import { syscallNumber } from '../../src/probes/syscalls.ts';

const HEADERS = 64 + 56;
const codeOf = (calls: Call[], arch: Arch): Buffer => Buffer.from(machineProgram(calls, arch)).subarray(HEADERS);

describe('a program in machine code', () => {
  it('is on x86-64 the instructions that the manual gives', () => {
    const code = codeOf([{ number: 1, args: [2] }], 'x64').toString('hex');
    expect(code.match(/^(.{20})(.{20})(0f05)(.{6})(.{6})(....)(f7d8)(89c7)(.{10})(0f05)(31ff)(.{10})(0f05)/)?.slice(1)).toEqual(['48bf0200000000000000', '48b80100000000000000', '0f05', '4989c4', '4885c0', '790b', 'f7d8', '89c7', 'b83c000000', '0f05', '31ff', 'b83c000000', '0f05']);
  });

  it('takes on x86-64 a result from where it was kept', () => {
    const code = codeOf([{ number: 1, args: [], mayFail: true }, { number: 2, args: [0, 0, 0, { resultOf: 0 }], mayFail: true }], 'x64').toString('hex');
    expect(code).toContain('4d89e2'); // mov r10, r12
  });

  it('is on aarch64 the instructions that the manual gives', () => {
    const code = codeOf([{ number: 0x1_0002, args: [3] }, { number: 4, args: [{ resultOf: 0 }] }], 'arm64');
    const words = Array.from({ length: code.length / 4 }, (_, at) => code.readUInt32LE(at * 4).toString(16));
    expect(words.slice(0, 13)).toEqual(['d2800060', 'f2a00000', 'f2c00000', 'f2e00000', 'd2800048', 'f2a00028', 'f2c00008', 'f2e00008', 'd4000001', 'aa0003f3', 'b6f80080', 'cb0003e0', 'd2800ba8']);
    expect(words[14]).toBe('aa1303e0'); // mov x0, x19
  });

  it('refuses more calls than it can keep results of, and a result that is not there yet', () => {
    expect(() => machineProgram(Array.from({ length: 6 }, () => ({ number: 1, args: [] })), 'x64')).toThrow(RangeError);
    expect(() => machineProgram([{ number: 1, args: [{ resultOf: 0 }] }], 'arm64')).toThrow(RangeError);
  });
});

const arch = process.arch as Arch;

describe('run on this machine', () => {
  let folder = '';
  let made = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'potluck-code-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const run = (calls: Call[]) => {
    const path = join(folder, `program-${(made += 1)}`);
    writeFileSync(path, machineProgram(calls, arch), { mode: 0o700 });
    const { status, signal } = spawnSync(path, { cwd: folder, timeout: 5_000 });
    return { status, signal };
  };
  const call = (name: Parameters<typeof syscallNumber>[0], ...args: Call['args']): Call => ({ number: syscallNumber(name, arch), args });

  it('ends with 0 when all calls went well, one with the result of another', () => {
    expect(run([call('socket', 1, 1, 0), call('ioctl', { resultOf: 0 }, 0x541b, structure(8))])).toEqual({ status: 0, signal: null });
  });

  it('ends with the number of the error of the first that did not', () => {
    expect(run([call('openat', -100, cString('/no/such/file'), 0, 0), call('socket', 999, 1, 0)])).toEqual({ status: constants.errno.ENOENT, signal: null });
  });

  it('goes on after a call that may fail', () => {
    expect(run([{ ...call('openat', -100, cString('/no/such/file'), 0, 0), mayFail: true }, call('mkdirat', -100, cString('made'), 0o700)])).toEqual({ status: 0, signal: null });
    expect(run([call('mkdirat', -100, cString('made'), 0o700)])).toEqual({ status: constants.errno.EEXIST, signal: null });
  });
});
