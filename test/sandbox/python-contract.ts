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

  test('60 MB come through, and more than 64 MiB are refused by name', async () => {
    const program = 'def main(n): return "x" * n';
    expect(resultText(await bench.run(shared(), program, { args: '[60000000]' }))).toHaveLength(60_000_002);
    const error = failure(await bench.run(shared(), program, { args: '[67108864]' }));
    expect(error).toMatchObject({ code: 'result_too_large', message: 'the result is 67108866 bytes of JSON; at most 67108864 may be returned' });
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

describe('what JSON cannot hold is named with its place', () => {
  test.each([
    ['{1, 2}', 'set', 'result["a"][3] is set', 'return sorted(s) or list(s)'],
    ['b"x"', 'bytes', 'result["a"][3] is bytes', 'decode'],
    ['float("nan")', 'NaN', 'result["a"][3] is NaN', 'None'],
    ['float("-inf")', '-Infinity', 'result["a"][3] is -Infinity', 'None'],
    ['object()', 'object', 'result["a"][3] is object', 'dicts'],
    ['{"b": (1, C())}', 'C', 'result["a"][3]["b"][1] is C', 'dicts'],
    ['(x for x in [])', 'generator', 'result["a"][3] is generator', 'list('],
    ['{(1, 2): 3}', 'tuple', 'result["a"][3] is a dict with a key of type tuple', 'str(key)'],
    ['C', 'type', 'result["a"][3] is type', 'dicts'],
  ])('%s', async (value, type, message, hint) => {
    const error = failure(await bench.run(shared(), `class C: pass\ndef main(): return {"a": [1, 2, 3, ${value}]}`));
    expect(error.code).toBe('result_not_json');
    expect(error.type).toContain(type);
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  test('a generator function, and a loop', async () => {
    expect(failure(await bench.run(shared(), 'def main(): yield 1')).message).toBe('result is generator, which JSON cannot hold');
    expect(failure(await bench.run(shared(), 'def main():\n    a = []\n    a.append(a)\n    return a')).message).toContain('contains itself');
  });

  test('too many levels', async () => {
    const error = failure(await bench.run(shared(), 'def main():\n    a = []\n    for _ in range(100000): a = [a]\n    return a'));
    expect(error.code).toBe('result_not_json');
    expect(error.message).toContain('nested too deeply');
  });
});

describe('wrong calls are told apart from failing tasks', () => {
  test('a function that is missing: those there are, nearest first', async () => {
    const error = failure(await bench.run(shared(), 'import os\ndef other(): pass\ndef mian(): pass\nx = 1'));
    expect(error).toMatchObject({ code: 'function_missing', message: 'the program has no function main', hint: 'the program defines: mian, other' });
  });

  test('a name that is no function', async () => {
    expect(failure(await bench.run(shared(), 'main = 5')).message).toBe('main is a int, not a function');
  });

  test('a syntax error has line, column and text', async () => {
    const error = failure(await bench.run(shared(), 'def main():\n    return )\n'));
    expect(error).toMatchObject({ code: 'syntax_error', type: 'SyntaxError' });
    expect(error.message).toContain('program.py, line 2, column 12');
    expect(error.traceback).toContain('return )');
  });

  test('arguments that do not fit', async () => {
    const error = failure(await bench.run(shared(), 'def main(a, b=2): return a', { args: '[1, 2, 3]' }));
    expect(error).toMatchObject({ code: 'bad_arguments', hint: 'it is defined as: main(a, b=2)' });
  });

  test('a TypeError of the task’s own is not taken for one', async () => {
    expect(failure(await bench.run(shared(), 'def main(): return len(5)')).code).toBe('exception');
  });

  test.each([['not JSON', '[1'], ['no array', '5']])('arguments that are %s', async (_name, args) => {
    expect(failure(await bench.run(shared(), 'def main(x): return x', { args })).code).toBe('bad_arguments');
  });
});

describe('programs', () => {
  test('a failure of the top level is the task’s, and the next task tries again', async () => {
    const program = 'import sys\nsys.tries = getattr(sys, "tries", 0) + 1\nif sys.tries == 1: raise RuntimeError("top")\ndef main(): return sys.tries';
    const name = shared();
    expect(failure(await bench.run(name, program))).toMatchObject({ type: 'RuntimeError', message: 'top' });
    expect(resultText(await bench.run(name, program))).toBe('2');
  });

  test('two programs in one worker keep apart, and tracebacks show the right lines', async () => {
    const one = 'x = 1\ndef main(fail):\n    if fail: raise KeyError("one")  # first\n    return x';
    const two = 'x = 2\ndef main(fail):\n    if fail: raise KeyError("two")  # second\n    return x';
    const name = shared();
    for (const [program, value, word] of [[one, '1', 'first'], [two, '2', 'second'], [one, '1', 'first']] as const) {
      expect(resultText(await bench.run(name, program, { args: '[false]' }))).toBe(value);
      expect(failure(await bench.run(name, program, { args: '[true]' })).traceback).toContain(`# ${word}`);
    }
  });

  test('a worker forgets old programs and still runs them', async () => {
    const name = worker();
    for (let i = 0; i < 70; i++) expect(resultText(await bench.run(name, `def main(): return ${i}`))).toBe(String(i));
    expect(resultText(await bench.run(name, 'def main(): return 0'))).toBe('0');
    expect(resultText(await bench.run(name, 'def main(): return 69'))).toBe('69');
  });

  test('pickling and multiprocessing find the program’s functions', async () => {
    const program = [
      'import multiprocessing, pickle',
      'def square(x): return x * x',
      'def main(n):',
      '    with multiprocessing.get_context("fork").Pool(2) as pool:',
      '        return [pickle.loads(pickle.dumps(square))(3), pool.map(square, range(n))]',
    ].join('\n');
    expect(resultText(await bench.run(worker(), program, { args: '[4]' }))).toBe('[9,[0,1,4,9]]');
  });

  test('inspect finds the source', async () => {
    const program = 'import inspect\ndef main(): return inspect.getsource(main)';
    expect(JSON.parse(resultText(await bench.run(shared(), program)))).toBe('def main(): return inspect.getsource(main)');
  });
});

describe('failures of all kinds are named, and the worker or a new one goes on', () => {
  test('a missing module names the peer, its interpreter and the command that installs', async () => {
    const error = failure(await bench.run(shared(), 'import yaml_of_nowhere.part\ndef main(): pass'));
    expect(error).toMatchObject({ code: 'module_missing', type: 'ModuleNotFoundError' });
    expect(error.hint).toMatch(/^peer attic has no module yaml_of_nowhere for (\S+python\S*); install it there(?: \(what is installed with --user is not in the box\))?: \1 -m pip install yaml_of_nowhere$/);
  });

  test.each([
    ['sys.exit', 'import sys\ndef main(): sys.exit(3)', 'the task called sys.exit(3) instead of returning'],
    ['sys.exit with a text', 'import sys\ndef main(): sys.exit("bad")', "the task called sys.exit('bad') instead of returning"],
  ])('%s', async (_name, program, message) => {
    expect(failure(await bench.run(shared(), program))).toMatchObject({ code: 'exited', message });
    expect(resultText(await bench.run(shared(), 'def main(): return 1'))).toBe('1');
  });

  test.each([
    ['KeyboardInterrupt', 'def main(): raise KeyboardInterrupt("k")'],
    ['Odd', 'class Odd(BaseException): pass\ndef main(): raise Odd("k")'],
    ['RecursionError', 'def main(): return main() + 1'],
    ['GeneratorExit', 'def main(): raise GeneratorExit'],
    ['Mute', 'class Mute(Exception):\n    def __str__(self): raise ValueError\ndef main(): raise Mute'],
  ])('%s', async (type, program) => {
    expect(failure(await bench.run(shared(), program))).toMatchObject({ code: 'exception', type });
    expect(resultText(await bench.run(shared(), 'def main(): return 1'))).toBe('1');
  });

  test('os._exit', async () => {
    const ran = await bench.run(worker(), 'import os\ndef main(): os._exit(7)');
    expect(death(ran)).toMatchObject({ code: 7, unanswered: [1], why: 'the task ended its process with exit code 7, as os._exit does' });
  });

  test('a recursion bomb without the language’s brake ends in a named signal', async () => {
    const program = 'import sys\ndef main():\n    sys.setrecursionlimit(10**9)\n    def f(x): return f([x]) if x else 1\n    class A:\n        def __repr__(self): return repr(self)\n    return repr(A())';
    const ran = await bench.run(worker(), program);
    if (ran.ending.type === 'exited') expect(ran.ending.why).toContain('SIGSEGV (segmentation fault)');
    else expect(failure(ran).code).toBe('exception');
  });

  test.each([['all from 0', 0], ['all from 3', 3]])('closing every descriptor: %s', async (_name, from) => {
    const ran = await bench.run(worker(), `import os\ndef main():\n    os.closerange(${from}, 65536)\n    return 1`);
    expect(death(ran)).toMatchObject({ unanswered: [1], why: expect.stringContaining('closed the descriptor by which its worker answers') as string });
  });

  test('closing every descriptor and going on is not left to a timeout', async () => {
    const ran = await bench.run(worker(), 'import os, time\ndef main():\n    os.closerange(0, 65536)\n    time.sleep(60)');
    expect(death(ran).why).toContain('closed the descriptor by which its worker answers');
  });

  test('a task that replaces builtins, json and print breaks only itself', async () => {
    const name = worker();
    const program = [
      'import builtins, json, sys, os',
      'def main():',
      '    builtins.print = builtins.len = builtins.str = builtins.isinstance = builtins.type = None',
      '    json.dumps = json.loads = sys.exit = os.write = os.read = None',
      '    sys.stdout = sys.stderr = None',
      '    return 1',
    ].join('\n');
    expect(resultText(await bench.run(name, program))).toBe('1');
    expect(resultText(await bench.run(name, 'def main(x): return [x]', { args: '["a"]' }))).toBe('["a"]');
    expect(failure(await bench.run(name, 'def main(): return {1}')).code).toBe('result_not_json');
  });

  test('what a task did to its streams tells the user of the worker not to keep it', async () => {
    for (const line of ['sys.stdout.close()', 'os.close(1)', 'os.dup2(os.open("/dev/null", os.O_WRONLY), 2)']) {
      const ran = await bench.run(worker(), `import os, sys\ndef main():\n    ${line}\n    return 1`);
      expect(resultText(ran)).toBe('1');
      expect(ran.ending).toMatchObject({ leftovers: true });
    }
  });
});

describe('only the worker itself answers', () => {
  test('a forked child that returns from main', async () => {
    const program = 'import os\ndef main():\n    pid = os.fork()\n    if pid == 0:\n        print("child")\n        return "child"\n    os.waitpid(pid, 0)\n    return "parent"';
    const ran = await bench.run(worker(), program);
    expect(resultText(ran)).toBe('"parent"');
    expect(ran.stdout).toBe('child\n');
    expect(ran.ending).toMatchObject({ leftovers: false });
  });

  test('a forked child that raises, or exits', async () => {
    const program = 'import os, sys\ndef main(how):\n    pid = os.fork()\n    if pid == 0:\n        if how: sys.exit(5)\n        raise ValueError("in the child")\n    return os.waitpid(pid, 0)[1] >> 8';
    const ran = await bench.run(shared(), program, { args: '[false]' });
    expect(resultText(ran)).toBe('1');
    expect(ran.stderr).toContain('ValueError: in the child');
    expect(resultText(await bench.run(shared(), program, { args: '[true]' }))).toBe('5');
  });

  test('garbage in the descriptor by which the worker answers ends the worker, and nothing else', async () => {
    for (const bytes of ['b"x" * 100', String.raw`b"\x00\x00\x00\x03H{}"`, String.raw`b"\x00\x00\x00\x18F\x00\x00\x00\x01" + bytes(17) + b"[]"`]) {
      const ran = await bench.run(worker(), `import os\ndef main():\n    os.write(700, ${bytes})\n    return 1`);
      expect(death(ran)).toMatchObject({ unanswered: [1], why: expect.stringContaining('wrote into the descriptor by which its worker answers') as string });
    }
  });

  test('what is printed cannot forge or corrupt a result', async () => {
    const program = [
      'import os, sys',
      'def main():',
      String.raw`    sys.stdout.buffer.write(b"\x00\x00\x00\x17R\x00\x00\x00\x01" + bytes(17) + b"9")`,
      String.raw`    os.write(1, b"\x00" + b"0" * 32 + b"00000001")`,
      '    return 1',
    ].join('\n');
    const ran = await bench.run(worker(), program);
    expect(resultText(ran)).toBe('1');
    expect(ran.stdout).toHaveLength(27 + 41);
  });
});

test('processes that multiprocessing starts afresh find the program', async () => {
  const program = [
    'import concurrent.futures, multiprocessing',
    'def square(x): return x * x',
    'def main():',
    '    context = multiprocessing.get_context("spawn")',
    '    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:',
    '        return list(pool.map(square, [3, 4]))',
  ].join('\n');
  expect(resultText(await bench.run(worker(), program))).toBe('[9,16]');
});
