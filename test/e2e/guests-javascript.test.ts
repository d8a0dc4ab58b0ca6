/** JavaScript tasks through the command line: the same promises as for Python. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import type { Ran } from './processes.ts';
import { sleeping } from './programs.ts';

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 2, isolation: 2 });
  client = await pool.client();
});
afterAll(() => pool.stop());

const cpu = (program: string, ...more: string[]): Promise<Ran> => pool.cli(['cpu', '--quiet', '--language', 'javascript', '--program', program, ...more]);

interface Document {
  state: string;
  result?: unknown;
  error?: { code: string; message: string; hint: string | null; type?: string; traceback?: string };
}

async function outcome(program: string, ...more: string[]): Promise<Document & { status: number | null }> {
  const { status, stdout } = await cpu(program, '--json', ...more);
  return { ...(JSON.parse(stdout) as Document), status };
}

describe('values come through whole', () => {
  const POWER = (2n ** 200n).toString();
  const nested = `${'['.repeat(100)}${']'.repeat(100)}`;

  it.each([
    ['a bigint as a result', 'export const main = () => 2n ** 200n', '[]', POWER],
    ['2**200 as an argument', 'export const main = (n) => n', `[${POWER}]`, POWER],
    ['text of other scripts and emoji', 'export const main = (text) => text', '["naïve 日本語 עברית 👩‍👩‍👧 🇨🇿"]', '"naïve 日本語 עברית 👩‍👩‍👧 🇨🇿"'],
    ['nesting of 100', 'export const main = (value) => value', `[${nested}]`, nested],
    ['nothing', 'export const main = (...values) => values', '["", [], {}, null]', '["",[],{},null]'],
    ['undefined', 'export const main = () => undefined', '[]', 'null'],
    ['a top-level function that is not exported', 'function main(a, b) { return a + b }', '[1, 2]', '3'],
    ['a promise', 'export async function main(x) { return x * x }', '[5]', '25'],
  ])('%s', async (_, program, args, result) => {
    expect(await cpu(program, '--args', args)).toMatchObject({ status: 0, stdout: `${result}\n`, stderr: '' });
  });

  it('a string of 10 MB through a pipe, both ways', async () => {
    const text = 'ab🙂'.repeat(1_700_000);
    const { status, stdout } = await pool.cli(['cpu', '--quiet', '--language', 'javascript', '--program', 'export const main = (text) => text', '--args', '-'], { input: JSON.stringify([text]) });
    expect(status).toBe(0);
    expect(stdout === `${JSON.stringify(text)}\n`).toBe(true);
  });
});

describe('a result that JSON cannot hold fails with its type, its place and a hint', () => {
  it.each([
    ['a Set', 'new Set([1])', 'result is Set'],
    ['NaN deep inside', '({ a: [1, { b: NaN }] })', 'result["a"][1]["b"] is NaN'],
    ['bytes', '({ a: new Uint8Array(2) })', 'result["a"] is Uint8Array'],
    ['a function', '[() => 1]', 'result[0] is function'],
    ['a loop', '{ const c = {}; c.c = c; return c }', 'result["c"]'],
  ])('%s', async (_, value, place) => {
    const ended = await outcome(`export const main = () => ${value}`);
    expect(ended).toMatchObject({ status: 1, state: 'failed', error: { code: 'result_not_json', hint: expect.any(String) as string } });
    expect(ended.error!.message).toContain(place);
  });
});

describe('an error', () => {
  it("gives type, message and the user's own lines", async () => {
    const { status, stdout, stderr } = await cpu('function helper() {\n  throw new TypeError("boo");\n}\nexport function main() {\n\n  return helper();\n}');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('error: TypeError: boo');
    expect(stderr).toMatch(/at helper \(program\.mjs:2:\d+\)\n\s+at main \(program\.mjs:6:\d+\)/);
    expect(stderr).not.toContain('node:');
  });

  it.each([
    ['in a module that is not there', 'import x from "package-of-nowhere";\nexport const main = () => x', 'module_missing', /package-of-nowhere/],
    ['in the syntax', 'export const main = ( => 1', 'syntax_error', /line 1/],
    ['of a rejected promise', 'export const main = () => Promise.reject(new RangeError("no"))', 'exception', /no/],
    ['in a function that is missing', 'export const square = 1; export function cube() {}', 'function_missing', /main/],
  ])('%s', async (_, program, code, message) => {
    const { status, error } = await outcome(program);
    expect(status).toBe(1);
    expect(error!.code).toBe(code);
    expect(error!.message).toMatch(message);
  });
});

it('what a task prints arrives marked on stderr, the result alone on stdout', async () => {
  const program = `
import { execFileSync } from 'node:child_process';
export function main() {
  console.log('printed');
  console.error('an error');
  process.stdout.write('written\\n');
  execFileSync('echo', ['from a child'], { stdio: 'inherit' });
  return 'the result';
}`;
  const { status, stdout, stderr } = await cpu(program);
  expect({ status, stdout }).toEqual({ status: 0, stdout: '"the result"\n' });
  for (const text of ['printed', 'an error', 'written', 'from a child']) expect(stderr.split('\n')).toContain(`[p0] ${text}`);
});

describe('however a worker ends, it is named, and neither the peer nor a neighbour notices', () => {
  it.each([
    ['process.exit', 'export const main = () => process.exit(3)', 'exited', /process\.exit\(3\)/],
    ['process.abort', 'export const main = () => process.abort()', 'worker_died', /SIGABRT/],
    ['a segfault', 'export const main = () => process.kill(process.pid, "SIGSEGV")', 'worker_died', /SIGSEGV/],
    ['endless recursion', 'export const main = () => main()', 'exception', /stack/],
    ['closing every descriptor', 'import fs from "node:fs";\nexport const main = () => { for (let fd = 0; fd < 100; fd += 1) try { fs.closeSync(fd) } catch {} return 1 }', 'worker_died', /./],
    ['an error nobody catches', 'export const main = () => new Promise(() => setTimeout(() => { throw new Error("late") }, 10))', 'exception', /late/],
  ])('%s', async (_, program, code, message) => {
    const neighbour = client.submit({ language: 'python', program: sleeping, args: [0.3] });
    const ended = await outcome(program, '--timeout', '30');
    expect(ended.status).toBe(1);
    expect(ended.error!.code).toBe(code);
    expect(ended.error!.message).toMatch(message);
    expect((await neighbour.outcome()).state).toBe('done');
  });

  it('and the next task runs', async () => {
    expect(await cpu('export const main = () => 1')).toMatchObject({ status: 0, stdout: '1\n' });
  });
});
