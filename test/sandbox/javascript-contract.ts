import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, death, failure, heldLevel, resultText } from './harness.ts';

let bench: Bench;
let workers = 0;
beforeAll(async () => {
  bench = await Bench.start(await heldLevel());
});
afterAll(async () => {
  await bench.stop();
});

function worker(memoryMb: number | null = null): string {
  return bench.spawn(`javascript-${++workers}`, 'javascript', memoryMb);
}

/** One worker for all that leaves it unharmed. */
function shared(): string {
  return bench.workers.list().some((each) => each.worker === 'shared') ? 'shared' : bench.spawn('shared', 'javascript');
}

const echo = 'export function main(x) { return x; }';

describe('values come through', () => {
  test.each([
    ['emoji', '"🥘 potluck 🧑‍🍳"'],
    ['an empty string', '""'],
    ['nothing', 'null'],
    ['an empty list', '[]'],
    ['a key named __proto__', '{"__proto__":{"a":1},"long":12345678901234567890}'],
    ['100 levels', `${'['.repeat(100)}7${']'.repeat(100)}`],
    ['integers beyond 2^53', `[${2n ** 53n},${2n ** 200n},-${2n ** 200n},{"deep":[12345678901234567890]}]`],
    ['long digits in a string', '["12345678901234567890",0.1234567890123456789e0]'],
    ['a lone surrogate', String.raw`"a\ud83db"`],
  ])('%s', async (_name, text) => {
    const result = resultText(await bench.run(shared(), echo, { args: `[${text}]` }));
    expect(JSON.parse(result)).toEqual(JSON.parse(text));
    for (const digits of text.match(/\d{18,}/g) ?? []) expect(text.includes('.') || result.includes(digits)).toBe(true);
  });

  test('an integer beyond 2^53 is a bigint to the task', async () => {
    const program = 'export function main(x) { return [typeof x, x + 1n]; }';
    expect(resultText(await bench.run(shared(), program, { args: `[${2n ** 64n}]` }))).toBe(`["bigint",${2n ** 64n + 1n}]`);
  });

  test('a string of 10 MB both ways', async () => {
    const text = 'potluck é '.repeat(1_000_000);
    expect(JSON.parse(resultText(await bench.run(shared(), echo, { args: JSON.stringify([text]) }))) === text).toBe(true);
  });

  test('no return value is null', async () => {
    expect(resultText(await bench.run(shared(), 'export function main() {}'))).toBe('null');
  });
});

describe('the function is found', () => {
  test.each([
    ['an export', 'export function main() { return 1; }'],
    ['a default export', 'export default () => 1;'],
    ['a top-level function', 'function main() { return 1; }'],
    ['a top-level constant', 'const main = async () => 1; // no newline at the end'],
    ['behind a top-level await', 'const one = await Promise.resolve(1);\nfunction main() { return one; }'],
    ['with an import', 'import { basename } from "node:path";\nexport const main = () => Number(basename("/x/1"));'],
  ])('%s', async (_name, program) => {
    expect(resultText(await bench.run(shared(), program))).toBe('1');
  });

  test('a missing one is an error that names those there are, nearest first', async () => {
    const program = 'export function other() {}\nfunction mian() {}\nconst x = 5;';
    const error = failure(await bench.run(shared(), program));
    expect(error).toMatchObject({ code: 'function_missing', hint: 'the program defines: mian, other' });
  });

  test('what only the language defines is not a function of the program', async () => {
    expect(failure(await bench.run(shared(), 'const x = 1;', { function: 'fetch' })).code).toBe('function_missing');
    expect(failure(await bench.run(shared(), 'const x = 1;', { function: 'x); process.exit(' })).code).toBe('function_missing');
  });
});

describe('a worker is kept', () => {
  test('20 jobs report one pid, and the program ran once', async () => {
    const name = worker();
    const program = 'let calls = 0;\nglobalThis.loads = (globalThis.loads ?? 0) + 1;\nexport const main = () => [process.pid, loads, ++calls];';
    const seen: unknown[] = [];
    for (let i = 0; i < 20; i++) seen.push(JSON.parse(resultText(await bench.run(name, program))));
    const pid = (seen[0] as number[])[0];
    expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => [pid, 1, index + 1]));
  });
});

describe('what JSON cannot hold is named with its place', () => {
  test.each([
    ['new Set([1])', 'Set', 'result["a"][3]'],
    ['new Map()', 'Map', 'result["a"][3]'],
    ['NaN', 'NaN', 'result["a"][3]'],
    ['-Infinity', '-Infinity', 'result["a"][3]'],
    ['Buffer.from("x")', 'Buffer', 'result["a"][3]'],
    ['() => 1', 'function', 'result["a"][3]'],
    ['Symbol("x")', 'symbol', 'result["a"][3]'],
    ['{ b: (function* () {})() }', 'Generator', 'result["a"][3]["b"]'],
  ])('%s', async (value, type, path) => {
    const error = failure(await bench.run(shared(), `export const main = () => ({ a: [1, 2, 3, ${value}] });`));
    expect(error.code).toBe('result_not_json');
    expect(error.message).toContain(`${path} is `);
    expect(error.type.toLowerCase()).toContain(type.toLowerCase());
    expect(error.hint).toBeTruthy();
  });

  test('a loop', async () => {
    const error = failure(await bench.run(shared(), 'export const main = () => { const a = {}; a.b = a; return a; };'));
    expect(error).toMatchObject({ code: 'result_not_json', message: 'result["b"] is an object that contains itself, which JSON cannot hold' });
  });
});

describe('failures have names', () => {
  test('an exception has type, message and the user’s own lines', async () => {
    const error = failure(await bench.run(shared(), 'export function main() {\n  return inner();\n}\nfunction inner() { null.x; }'));
    expect(error).toMatchObject({ code: 'exception', type: 'TypeError' });
    expect(error.traceback).toContain('at inner (program.mjs:4:');
    expect(error.traceback).toContain('at main (program.mjs:2:');
    expect(error.traceback).not.toContain('guest.mjs');
  });

  test('a syntax error has line and column', async () => {
    const error = failure(await bench.run(shared(), 'export function main() {\n  let a = ;\n}'));
    expect(error).toMatchObject({ code: 'syntax_error', message: "Unexpected token ';' (program.mjs, line 2, column 11)" });
  });

  test('a program that ends too early is told about its own lines only', async () => {
    const error = failure(await bench.run(shared(), 'export function main() {\n  if (true) {'));
    expect(error).toMatchObject({ code: 'syntax_error', message: 'Unexpected end of input (program.mjs, line 2, column 14)' });
    expect(error.traceback).not.toContain('__potluck');
  });

  test('a rejection that nobody handles, and a late exception', async () => {
    const lost = await bench.run(shared(), 'export const main = () => new Promise(() => { Promise.reject(new Error("lost")); });');
    expect(failure(lost).message).toBe('lost');
    const late = await bench.run(shared(), 'export const main = () => new Promise(() => setTimeout(() => { throw new Error("late"); }));');
    expect(failure(late).message).toBe('late');
  });

  test('a recursion bomb', async () => {
    expect(failure(await bench.run(shared(), 'export const main = () => 1 + main();')).type).toBe('RangeError');
  });

  test('a failure of the top level is the task’s, and the next task tries again', async () => {
    const program = 'globalThis.tries = (globalThis.tries ?? 0) + 1;\nif (tries === 1) throw new Error("top");\nexport const main = () => tries;';
    const name = shared();
    expect(failure(await bench.run(name, program)).message).toBe('top');
    expect(resultText(await bench.run(name, program))).toBe('2');
  });

  test('process.exit', async () => {
    const error = failure(await bench.run(worker(), 'export const main = () => { try { process.exit(3); } catch { return 1; } };'));
    expect(error).toMatchObject({ code: 'exited', message: 'the task called process.exit(3) instead of returning' });
  });

  test('a signal', async () => {
    const ran = await bench.run(worker(), 'export const main = () => { process.kill(process.pid, "SIGSEGV"); for (;;); };');
    expect(death(ran)).toMatchObject({ signal: 'SIGSEGV', unanswered: [1] });
  });

  test('closing every descriptor', async () => {
    const program = 'import fs from "node:fs";\nexport const main = () => { for (let i = 0; i < 64; i++) try { fs.closeSync(i); } catch {} };';
    expect(death(await bench.run(worker(), program)).why).toMatch(/killed by SIGABRT|closed the descriptor/);
  });

  test('named arguments are refused', async () => {
    expect(failure(await bench.run(shared(), echo, { kwargs: '{"a":1}' })).code).toBe('bad_arguments');
  });
});

test('what a task leaves running tells the user of the worker not to keep it', async () => {
  for (const line of [
    'setInterval(() => console.log("still here"), 5);',
    'setTimeout(() => {}, 60_000);',
    'net.createServer().listen(0);',
    'childProcess.spawn("sleep", ["606"], { detached: true, stdio: "ignore" }).unref();',
  ]) {
    const program = `import net from "node:net";\nimport childProcess from "node:child_process";\nexport const main = () => { ${line} };`;
    expect((await bench.run(worker(), program)).ending).toMatchObject({ type: 'result', leftovers: true });
  }
});

test('what a task waited for is no leftover', async () => {
  const name = worker();
  const program = [
    'import { execFile } from "node:child_process";',
    'import { readFile } from "node:fs/promises";',
    'import { promisify } from "node:util";',
    'export const main = async () => { await promisify(execFile)("true"); await readFile("/proc/self/stat");',
    '  await new Promise((resolve) => setTimeout(resolve, 2)); clearTimeout(setTimeout(() => {}, 1000)); };',
  ].join('\n');
  for (let i = 0; i < 10; i++) expect((await bench.run(name, program)).ending).toMatchObject({ type: 'result', leftovers: false });
});

describe('output', () => {
  test('console, raw bytes and children are the task’s, whole and before its end', async () => {
    const program = [
      'import { spawnSync } from "node:child_process";',
      'import { writeSync } from "node:fs";',
      'export const main = (n) => { console.log("log", n); console.error("error", n); writeSync(1, "raw\\n");',
      '  spawnSync("sh", ["-c", "echo child; echo child >&2"], { stdio: "inherit" }); process.stdout.write("x".repeat(300000)); return n; };',
    ].join('\n');
    for (const n of [1, 2, 3]) {
      const ran = await bench.run(shared(), program, { args: `[${n}]` });
      expect(resultText(ran)).toBe(String(n));
      expect(ran.stdout).toBe(`log ${n}\nraw\nchild\n${'x'.repeat(300_000)}`);
      expect(ran.stderr).toBe(`error ${n}\nchild\n`);
    }
  });
});

test('a hog ends out of memory with its limit, and its neighbour notices nothing', async () => {
  const hog = worker(128);
  const neighbour = worker(128);
  const eat = bench.run(hog, 'export const main = () => { const all = []; for (;;) all.push(Buffer.alloc(1_000_000, 1)); };');
  const steady = 'export const main = async () => { for (let i = 0; i < 20; i++) await new Promise((r) => setTimeout(r, 10)); return "calm"; };';
  const [ran, calm] = await Promise.all([eat, bench.run(neighbour, steady)]);
  expect(death(ran)).toMatchObject({ outOfMemory: { limitMb: 128 }, why: 'the task went over its memory limit of 128 MB' });
  expect(resultText(calm)).toBe('"calm"');
});
