import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, death, failure, resultText } from './harness.ts';

let bench: Bench;
let workers = 0;
beforeAll(async () => {
  bench = await Bench.start();
});
afterAll(async () => {
  await bench.stop();
});

function worker(): string {
  return bench.spawn(`python-${++workers}`);
}

/** One worker for all that leaves it unharmed. */
function shared(): string {
  return bench.workers.list().some((each) => each.worker === 'values') ? 'values' : bench.spawn('values');
}

describe('values come through', () => {
  const echo = 'def main(x):\n    return x\n';

  test('a square', async () => {
    expect(resultText(await bench.run(shared(), 'def main(x): return x * x', { args: '[5]' }))).toBe('25');
  });

  test('factorial(1000) digit for digit', async () => {
    let product = 1n;
    for (let factor = 2n; factor <= 1000n; factor++) product *= factor;
    const program = 'import math\ndef main(n): return math.factorial(n)';
    expect(resultText(await bench.run(shared(), program, { args: '[1000]' }))).toBe(String(product));
  });

  test('an integer of more digits than Python prints by default', async () => {
    const text = resultText(await bench.run(shared(), 'def main(): return 10 ** 5000'));
    expect(text).toBe(`1${'0'.repeat(5000)}`);
  });

  test('2**200 as an argument', async () => {
    const big = String(2n ** 200n);
    expect(resultText(await bench.run(shared(), echo, { args: `[${big}]` }))).toBe(big);
  });

  test.each([
    ['emoji', '"🥘 potluck 🧑‍🍳"'],
    ['other scripts', '"Ünïcödé 漢字 עברית"'],
    ['an empty string', '""'],
    ['an empty list', '[]'],
    ['an empty object', '{}'],
    ['nothing', 'null'],
    ['booleans and floats', '[true,false,1.5,-0.25,1e+300]'],
    ['100 levels', `${'['.repeat(100)}7${']'.repeat(100)}`],
    ['100 levels of objects', `${'{"a":'.repeat(100)}7${'}'.repeat(100)}`],
  ])('%s', async (_name, text) => {
    const ran = await bench.run(shared(), echo, { args: `[${text}]` });
    expect(JSON.parse(resultText(ran))).toEqual(JSON.parse(text));
  });

  test('a string of 10 MB both ways', async () => {
    const text = 'potluck é '.repeat(1_000_000);
    const ran = await bench.run(shared(), echo, { args: JSON.stringify([text]) });
    expect(JSON.parse(resultText(ran)) === text).toBe(true);
  });

  test('a lone surrogate', async () => {
    expect(JSON.parse(resultText(await bench.run(shared(), echo, { args: String.raw`["a\ud83db"]` })))).toBe('a\ud83db');
  });

  test('tuples become arrays, and plain keys become strings', async () => {
    const ran = await bench.run(shared(), 'def main(): return {2: (1, 2), None: 0, True: [()]}');
    expect(JSON.parse(resultText(ran))).toEqual({ 2: [1, 2], null: 0, true: [[]] });
  });

  test('named arguments', async () => {
    const ran = await bench.run(shared(), 'def main(a, *, b=1): return a - b', { args: '[10]', kwargs: '{"b": 3}' });
    expect(resultText(ran)).toBe('7');
  });

  test('async functions are awaited', async () => {
    const program = 'import asyncio\nasync def main(x):\n    await asyncio.sleep(0.001)\n    return x + 1';
    expect(resultText(await bench.run(shared(), program, { args: '[1]' }))).toBe('2');
  });

  test('another function than main', async () => {
    const ran = await bench.run(shared(), 'def main(): return 1\ndef other(): return 2', { function: 'other' });
    expect(resultText(ran)).toBe('2');
  });
});

describe('a worker is kept', () => {
  test('20 jobs report one pid, and the program ran once', async () => {
    const name = worker();
    const program = 'import os\nloads = 0\nloads += 1\ncalls = 0\ndef main():\n    global calls\n    calls += 1\n    return [os.getpid(), loads, calls]';
    const seen: unknown[] = [];
    for (let i = 0; i < 20; i++) seen.push(JSON.parse(resultText(await bench.run(name, program))));
    const pid = (seen[0] as number[])[0];
    expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => [pid, 1, index + 1]));
  });
});

describe('failures have names', () => {
  test('a segmentation fault names its signal', async () => {
    const ran = await bench.run(worker(), 'import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGSEGV)');
    expect(death(ran)).toMatchObject({ signal: 'SIGSEGV', why: 'the worker was killed by SIGSEGV (segmentation fault)' });
  });

  test('an exception has type, message and the user’s own lines', async () => {
    const error = failure(await bench.run(worker(), 'def main():\n    x = 1\n    return x / 0'));
    expect(error).toMatchObject({ code: 'exception', type: 'ZeroDivisionError', message: 'division by zero' });
    expect(error.traceback).toContain('File "program.py", line 3, in main\n    return x / 0');
    expect(error.traceback).not.toContain('guest.py');
  });
});
