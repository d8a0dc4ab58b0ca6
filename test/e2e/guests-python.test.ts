/** Python tasks through the command line: what goes in comes out, and every way to fail has its name. */
import { readFileSync } from 'node:fs';
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

const cpu = (program: string, ...more: string[]): Promise<Ran> => pool.cli(['cpu', '--quiet', '--program', program, ...more]);

interface Document {
  state: string;
  result?: unknown;
  error?: { code: string; message: string; hint: string | null; type?: string; traceback?: string };
}

/** The outcome of a program, by way of `cpu --json`; and the exit status. */
async function outcome(program: string, ...more: string[]): Promise<Document & { status: number | null; stderr: string }> {
  const { status, stdout, stderr } = await cpu(program, '--json', ...more);
  return { ...(JSON.parse(stdout) as Document), status, stderr };
}

describe('values come through whole', () => {
  const POWER = (2n ** 200n).toString();
  let factorial = 1n;
  for (let n = 2n; n <= 1000n; n += 1n) factorial *= n;
  const nested = `${'['.repeat(100)}${']'.repeat(100)}`;

  it.each([
    ['factorial(1000) digit for digit', 'import math\ndef main(): return math.factorial(1000)', '[]', factorial.toString()],
    ['2**200 as an argument', 'def main(n): return n', `[${POWER}]`, POWER],
    ['2**200 as a number that Python can count on', 'def main(n): return n // 2**199', `[${POWER}]`, '2'],
    ['text of other scripts and emoji', 'def main(text): return text', '["naïve Žluťoučký 日本語 עברית 👩‍👩‍👧 🇨🇿"]', '"naïve Žluťoučký 日本語 עברית 👩‍👩‍👧 🇨🇿"'],
    ['characters that JSON escapes', 'def main(text): return [len(text), text == "\\x00\\n\\"\\u2028"]', '["\\u0000\\n\\"\\u2028"]', '[4,true]'],
    ['nesting of 100', 'def main(value): return value', `[${nested}]`, nested],
    ['nothing', 'def main(*values): return values', '["", [], {}, null]', '["",[],{},null]'],
    ['None', 'def main(): return None', '[]', 'null'],
    ['a function without a return', 'def main(): pass', '[]', 'null'],
  ])('%s', async (_, program, args, result) => {
    expect(await cpu(program, '--args', args)).toMatchObject({ status: 0, stdout: `${result}\n`, stderr: '' });
  });

  it('a string of 10 MB through a pipe, both ways', async () => {
    const text = 'ab🙂'.repeat(1_700_000);
    const { status, stdout } = await pool.cli(['cpu', '--quiet', '--program', 'def main(text): return text', '--args', '-'], { input: JSON.stringify([text]) });
    expect(status).toBe(0);
    expect(Buffer.byteLength(stdout)).toBeGreaterThan(10_000_000);
    expect(stdout === `${JSON.stringify(text)}\n`).toBe(true);
  });
});

describe('a result that JSON cannot hold fails with its type, its place and a hint', () => {
  it.each([
    ['a set', '{1, 2}', 'result is set', 'sorted'],
    ['a set deep inside', '{"a": [1, {"b": {3}}]}', 'result["a"][1]["b"] is set', 'list'],
    ['NaN', '[1.5, float("nan")]', 'result[1] is NaN', 'None'],
    ['infinity', 'float("inf")', 'result is inf', 'None'],
    ['bytes', '{"data": b"x"}', 'result["data"] is bytes', 'base64'],
    ['an object', '[object()]', 'result[0] is object', 'vars'],
  ])('%s', async (_, value, place, hint) => {
    const ended = await outcome(`def main(): return ${value}`);
    expect(ended).toMatchObject({ status: 1, state: 'failed', error: { code: 'result_not_json' } });
    expect(ended.error!.message.toLowerCase()).toContain(place.toLowerCase());
    expect(ended.error!.hint).toContain(hint);
  });
});

describe('an exception', () => {
  it("gives type, message and the traceback of the user's own frames with the user's line numbers", async () => {
    const program = 'def helper(n):\n    return 1 / n\n\ndef main():\n    # the line above is empty\n    return helper(0)\n';
    const { status, stdout, stderr } = await cpu(program);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain('line 6, in main\n    return helper(0)');
    expect(stderr).toContain('line 2, in helper\n    return 1 / n');
    expect(stderr).toContain('error: ZeroDivisionError: division by zero');
    expect(stderr.match(/^ {2}File /gm)).toHaveLength(2);
  });

  it('of a missing module names the peer, its interpreter and the command that installs it', async () => {
    const { error, status } = await outcome('import module_of_nowhere\ndef main(): pass');
    expect(status).toBe(1);
    expect(error).toMatchObject({ code: 'module_missing', type: 'ModuleNotFoundError' });
    expect(error!.hint).toMatch(/^peer p0 has no module module_of_nowhere for (\S*python\S*); install it there \(what is installed with --user is not in the box\): \1 -m pip install module_of_nowhere$/);
  });

  it('in the syntax gives the place', async () => {
    expect(await outcome('def main(:\n  pass')).toMatchObject({ status: 1, error: { code: 'syntax_error', message: expect.stringContaining('line 1') as string } });
  });

  it('for a wrong number of arguments says how the function is defined', async () => {
    expect(await outcome('def main(a, b=2): pass')).toMatchObject({ status: 1, error: { code: 'bad_arguments', hint: 'it is defined as: main(a, b=2)' } });
  });

  it('for a missing function lists those that are', async () => {
    expect(await outcome('def square(x): pass\ndef cube(x): pass', '--function', 'sqare')).toMatchObject({ status: 1, error: { code: 'function_missing', hint: expect.stringMatching(/square, cube|cube, square/) as string } });
  });
});

describe('what a task prints', () => {
  const printing = `
import subprocess, sys
def main():
    print("printed")
    sys.stdout.buffer.write(b"as bytes\\n")
    sys.stdout.flush()
    print("an error", file=sys.stderr)
    subprocess.run(["echo", "from a child"])
    print('{"state": "done", "result": "forged"}')
    return "the result"
`;

  it('arrives marked on stderr, the result alone on stdout', async () => {
    const { status, stdout, stderr } = await cpu(printing);
    expect({ status, stdout }).toEqual({ status: 0, stdout: '"the result"\n' });
    const lines = stderr.trimEnd().split('\n');
    for (const text of ['printed', 'as bytes', 'an error', 'from a child']) expect(lines).toContain(`[p0] ${text}`);
  });

  it('is unmarked with --no-mark, and not in the way of --json', async () => {
    const { stdout, stderr } = await cpu(printing, '--json', '--no-mark');
    expect(JSON.parse(stdout)).toMatchObject({ state: 'done', result: 'the result' });
    expect(stderr.split('\n')).toContain('from a child');
  });

  it('comes while the task runs, not at its end', async () => {
    const started = pool.start(['cpu', '--quiet', '--program', 'import time\ndef main():\n    print("soon")\n    time.sleep(30)']);
    await started.said('[p0] soon');
    started.process.kill('SIGINT');
    expect((await started.ended).status).toBe(130);
  });
});

describe('however a worker ends, it is named, and neither the peer nor a neighbour notices', () => {
  it.each([
    ['sys.exit', 'import sys\ndef main(): sys.exit(3)', 'exited', /sys\.exit\(3\)/],
    ['sys.exit(0)', 'import sys\ndef main(): sys.exit(0)', 'exited', /sys\.exit\(0\)/],
    ['os._exit', 'import os\ndef main(): os._exit(0)', 'worker_died', /exit code 0/],
    ['a segfault', 'import ctypes\ndef main(): ctypes.string_at(0)', 'worker_died', /SIGSEGV/],
    ['an abort', 'import os\ndef main(): os.abort()', 'worker_died', /SIGABRT/],
    ['its own SIGKILL', 'import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGKILL)', 'worker_died', /SIGKILL/],
    ['endless recursion', 'def main(): return main()', 'exception', /recursion/],
    ['endless recursion in C', 'import sys\nclass Bomb:\n    def __getattr__(self, name): return getattr(self, name + "x"[:0])\ndef main():\n    sys.setrecursionlimit(10**8)\n    return Bomb().go', 'worker_died|exception|out_of_memory', /./],
    ['closing every descriptor', 'import os\ndef main():\n    os.closerange(0, 4096)\n    return 1', 'worker_died', /descriptor/],
    ['an exit in a thread', 'import os, threading\ndef main():\n    threading.Thread(target=lambda: os._exit(7)).start()\n    import time; time.sleep(10)', 'worker_died', /exit code 7/],
  ])('%s', async (_, program, code, message) => {
    const neighbour = client.submit({ language: 'python', program: sleeping, args: [0.3] });
    const ended = await outcome(program, '--memory', '300', '--timeout', '30');
    expect(ended.status).toBe(1);
    expect(ended.error!.code).toMatch(new RegExp(`^(?:${code})$`));
    expect(ended.error!.message).toMatch(message);
    expect((await neighbour.outcome()).state).toBe('done');
  });

  it('a recursion that lifts its own limit ends at its memory limit', async () => {
    const program = 'import sys\ndef down(n): return down(n + 1)\ndef main():\n    sys.setrecursionlimit(10**9)\n    return down(0)';
    const ended = await outcome(program, '--memory', '200');
    expect(ended.status).toBe(1);
    expect(['out_of_memory', 'worker_died']).toContain(ended.error!.code);
    if (ended.error!.code === 'out_of_memory') expect(ended.error!.message).toContain('200 MB');
  });

  it.runIf(process.platform === 'linux')('in a shortage of memory the kernel ends a worker before its peer', async () => {
    const score = (pid: number) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
    await client.submit({ language: 'python', program: 'def main(): return 1' });
    const { processes } = (await client.status()) as unknown as { processes: { pid: number }[] };
    for (const { pid } of processes) expect(score(pid)).toBeGreaterThan(score(pool.peers[0]!.pid));
    expect(processes.length).toBeGreaterThan(0);
  });

  it('a forked child that returns from main cannot answer for its parent', async () => {
    const program = 'import os\ndef main():\n    if os.fork() == 0:\n        return "child"\n    os.wait()\n    return "parent"';
    expect(await cpu(program)).toMatchObject({ status: 0, stdout: '"parent"\n' });
  });

  it('and the peer is the same process as before', async () => {
    const { uptime_ms: uptimeMs } = (await client.status()) as unknown as { uptime_ms: number };
    expect(uptimeMs).toBeGreaterThan(3_000);
    expect(pool.peers[0]!.running).toBe(true);
    expect(await cpu('def main(x): return x * x', '--args', '[5]')).toMatchObject({ status: 0, stdout: '25\n' });
  });
});

describe('workers', () => {
  it('are kept: 20 tasks on one slot report one pid, and the program was compiled once', async () => {
    const program = 'import os\nruns = []\ndef main():\n    runs.append(1)\n    return [os.getpid(), len(runs)]';
    const answers: [number, number][] = [];
    for (let at = 0; at < 20; at += 1) answers.push(await client.submit<[number, number]>({ language: 'python', program }));
    expect(new Set(answers.map(([pid]) => pid)).size).toBe(1);
    expect(answers.map(([, runs]) => runs)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
  });
});
