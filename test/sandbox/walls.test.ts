/** The box, for real: what is seen from inside, and that everything that tasks need works there. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launch } from '../../src/sandbox/launch.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';
import type { LevelProbe } from '../../src/sandbox/levels.ts';
import { listProcesses, readIfThere } from '../../src/sandbox/processes.ts';
import { ABSENT, FIRST_UNKNOWN, FORBIDDEN, LOOKED_INTO, numberOf } from '../../src/sandbox/seccomp.ts';
import { boxed } from '../../src/sandbox/spawn-plan.ts';
import { Box } from '../../src/sandbox/walls.ts';
import { Bench, canBox, failure, resultText, wallsNeed } from './harness.ts';

let level: LevelProbe;
let bench: Bench;
beforeAll(async () => {
  if (!canBox) return;
  level = await probeLevel(true, await wallsNeed());
  bench = await Bench.start(level);
});
afterAll(async () => {
  if (canBox) await bench.stop();
});

let workers = 0;
async function inBox(program: string, language: 'python' | 'javascript' = 'python'): Promise<unknown> {
  const name = bench.spawn(`box-${++workers}`, language);
  const ran = await bench.run(name, program);
  const result: unknown = JSON.parse(resultText(ran));
  bench.workers.kill(name);
  await bench.gone(name);
  return result;
}

test.runIf(canBox)('this machine reaches level 2, and nothing is missing', () => {
  expect({ level: level.level, missing: level.missing, fix: level.fix }).toEqual({ level: 2, missing: '', fix: '' });
});

describe.runIf(canBox)('inside', () => {
  test('nobody is user 0, has a capability, or can get any', async () => {
    const seen = await inBox('import os\ndef main():\n    status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines())\n    return [os.getuid(), os.getgid(), os.getgroups(), status["CapEff"], status["CapBnd"], status["NoNewPrivs"], status["Seccomp"], open("/proc/self/uid_map").read().split()[0]]');
    expect(seen).toEqual([1000, 1000, [], '0000000000000000', '0000000000000000', '1', '2', '1000']);
  });

  test('the environment is ours alone, of process 1 too', async () => {
    const names = await inBox('import os\ndef main():\n    first = open("/proc/1/environ").read()\n    return [sorted(os.environ), first]');
    expect(names).toEqual([['HOME', 'LANG', 'PATH', 'POTLUCK_WORKER', 'PWD', 'TMPDIR'], expect.stringMatching(/^(?:PWD=[^\0]*\0)?(?:(?:PATH|HOME|TMPDIR|LANG|POTLUCK_WORKER)=[^\0]*\0)*$/)]);
  });

  test.each(['python', 'javascript'] as const)('a %s task has no descriptor that it was not given', async (language) => {
    const program =
      language === 'python'
        ? [
            'import os',
            'def link(number):',
            '    try: return os.readlink("/proc/self/fd/" + number)',
            '    except OSError: return ""',
            'def main(): return [link(number) for number in os.listdir("/proc/self/fd")]',
          ].join('\n')
        : 'import fs from "node:fs";\nexport const main = () => fs.readdirSync("/proc/self/fd").map((n) => { try { return fs.readlinkSync("/proc/self/fd/" + n); } catch { return ""; } });';
    const links = (await inBox(program, language)) as string[];
    // Its count of processes, its tokens (a FIFO without a name), its own /proc, and what has no name anywhere.
    const own = /^$|^\/sys\/fs\/cgroup\/.*\/worker-\d+\/pids\.current$|\/tokens-\d+ \(deleted\)$|^\/dev\/null$|^\/proc\/|^(?:pipe|socket|anon_inode):/;
    expect(links.filter((link) => !own.test(link))).toEqual([]);
    expect(links.filter((link) => link.startsWith('/') && !link.startsWith('/proc/') && link !== '/dev/null').length).toBe(language === 'python' ? 2 : 1);
  });

  test('only scratch, /tmp and /dev/shm take files, and each so many', async () => {
    const program = [
      'import os',
      'def writable(folder):',
      '    try: open(folder + "/x", "w").close(); return True',
      '    except OSError: return False',
      'def main():',
      '    folders = [folder for folder in ["/", "/etc", "/usr", "/usr/lib", "/dev", "/proc", "/proc/sys/kernel", "/potluck", "/scratch", "/tmp", "/dev/shm", os.path.dirname(os.__file__)] if writable(folder)]',
      '    sizes = [os.statvfs(folder).f_blocks * os.statvfs(folder).f_frsize for folder in ["/scratch", "/tmp", "/dev/shm"]]',
      '    return [folders, sizes]',
    ].join('\n');
    const MiB = 1024 * 1024;
    expect(await inBox(program)).toEqual([['/scratch', '/tmp', '/dev/shm'], [1024 * MiB, 256 * MiB, 1024 * MiB]]);
  });
});

describe.runIf(canBox)('what tasks do works inside', () => {
  test('pools of processes, by fork and afresh', async () => {
    const program = [
      'import multiprocessing as mp',
      'def square(x): return x * x',
      'def main():',
      '    results = []',
      '    for how in ("fork", "spawn"):',
      '        with mp.get_context(how).Pool(2) as pool: results.append(sum(pool.map(square, range(100))))',
      '    return results',
    ].join('\n');
    expect(await inBox(program)).toEqual([328350, 328350]);
  });

  test('threads, shared memory, pipes, a C library, other programs, a terminal', async () => {
    const program = [
      'import ctypes, os, pty, subprocess, sys, threading, getpass, socket',
      'from multiprocessing import shared_memory',
      'def main():',
      '    done = []',
      '    threads = [threading.Thread(target=done.append, args=(1,)) for _ in range(20)]',
      '    for t in threads: t.start()',
      '    for t in threads: t.join()',
      '    m = shared_memory.SharedMemory(create=True, size=1 << 20); m.buf[5] = 7; seen = m.buf[5]; m.close(); m.unlink()',
      '    a, b = socket.socketpair(); a.send(b"hi"); heard = b.recv(2).decode()',
      '    master, slave = pty.openpty()',
      '    python = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip()',
      '    shell = subprocess.run("echo $((2 + 3)) | cat", shell=True, capture_output=True, text=True).stdout.strip()',
      '    return [len(done), seen, heard, os.isatty(slave), python, shell, ctypes.CDLL(None).abs(-4), getpass.getuser()]',
    ].join('\n');
    expect(await inBox(program)).toEqual([20, 7, 'hi', true, '42', '5', 4, 'task']);
  });

  test('Node: threads, children, files, compression', async () => {
    const program = [
      'import { Worker } from "node:worker_threads"; import { once } from "node:events"; import { execFileSync } from "node:child_process"; import fs from "node:fs/promises"; import zlib from "node:zlib"; import { promisify } from "node:util";',
      'export async function main() {',
      '  const worker = new Worker("const { parentPort } = require(\'node:worker_threads\'); parentPort.postMessage(6 * 7);", { eval: true });',
      '  const [said] = await once(worker, "message"); await worker.terminate();',
      '  await fs.writeFile("note", "kept"); const note = await fs.readFile("/scratch/note", "utf8");',
      '  const packed = await promisify(zlib.gzip)(Buffer.alloc(1 << 20));',
      '  return [said, execFileSync(process.execPath, ["-p", "1 + 1"], { encoding: "utf8" }).trim(), note, packed.length < 5000];',
      '}',
    ].join('\n');
    expect(await inBox(program, 'javascript')).toEqual([42, '2', 'kept', true]);
  });
});

describe.runIf(canBox)('the filter of system calls, for real', () => {
  const numbers = (calls: Readonly<Record<string, readonly [number | null, number | null]>>): [string, number][] =>
    Object.entries(calls).flatMap(([name, each]) => {
      const number = numberOf(each, process.arch === 'x64' ? 'x64' : 'arm64');
      return number === null ? [] : [[name, number]];
    });
  const errors = (calls: string): string =>
    ['import ctypes, errno, json', 'libc = ctypes.CDLL(None, use_errno=True)', 'def main():', '    said = {}', `    for name, *call in json.loads('${calls}'):`, '        ctypes.set_errno(0)', '        got = libc.syscall(*[ctypes.c_long(each) for each in call], *[ctypes.c_long(0)] * (7 - len(call)))', '        said[name] = errno.errorcode[ctypes.get_errno()] if got == -1 else "done"', '    return said'].join('\n');

  test('what is forbidden is refused, and what is absent is absent', async () => {
    const forbidden = numbers(FORBIDDEN);
    const absent = numbers(ABSENT);
    const expected = Object.fromEntries([...forbidden.map(([name]) => [name, 'EPERM']), ...absent.map(([name]) => [name, 'ENOSYS']), ['newer', 'ENOSYS']] as [string, string][]);
    expect(await inBox(errors(JSON.stringify([...forbidden, ...absent, ['newer', FIRST_UNKNOWN + 100]])))).toEqual(expected);
  });

  test('sockets of other families, namespaces by clone, typing into a terminal', async () => {
    const [[, socket], [, clone], [, ioctl]] = [numbers({ socket: LOOKED_INTO.socket }), numbers({ clone: LOOKED_INTO.clone }), numbers({ ioctl: LOOKED_INTO.ioctl })].map((each) => each[0]!) as [[string, number], [string, number], [string, number]];
    const families: [string, number, number, number][] = [['inet', socket, 2, 1], ['inet6', socket, 10, 1], ['netlink', socket, 16, 3], ['packet', socket, 17, 3], ['alg', socket, 38, 5], ['vsock', socket, 40, 1]];
    const calls = [...families, ['unix', socket, 1, 1], ['user', clone, 0x1000_0011], ['net', clone, 0x4000_0011], ['typing', ioctl, 0, 0x5412], ['console', ioctl, 0, 0x541c]];
    expect(await inBox(errors(JSON.stringify(calls)))).toEqual({ ...Object.fromEntries(families.map(([name]) => [name, 'EAFNOSUPPORT'])), unix: 'done', user: 'EPERM', net: 'EPERM', typing: 'EPERM', console: 'EPERM' });
  });

  test.runIf(process.arch === 'x64')('a call by the x32 numbers ends the process', async () => {
    const name = bench.spawn('x32');
    const ran = await bench.run(name, 'import ctypes\ndef main(): return ctypes.CDLL(None).syscall(0x40000000 + 39)');
    expect(ran.ending).toMatchObject({ type: 'exited', signal: 'SIGSYS' });
  });
});

describe.runIf(canBox)('what the walls keep out is told', () => {
  const network = "tasks have no network in the box (isolation 2); outside it run only tasks of one's own: potluck peer --isolation 1, and potluck cpu --confidential there";
  const files = expect.stringMatching(/^tasks see no files of the machine in the box/) as string;
  test.each<[string, 'python' | 'javascript', string, string]>([
    ['a fetch', 'python', 'import urllib.request\ndef main(): urllib.request.urlopen("http://10.0.0.1/", timeout=2)', network],
    ['a name', 'python', 'import socket\ndef main(): socket.create_connection(("example.org", 80), 2)', network],
    ['a file of the user', 'python', 'def main(): open("/root/data.csv")', files],
    ['a fetch', 'javascript', 'export const main = () => fetch("http://10.0.0.1/");', network],
    ['a file of the user', 'javascript', 'import fs from "node:fs/promises";\nexport const main = () => fs.readFile("/root/data.csv");', files],
  ])('%s in %s', async (_, language, program, hint) => {
    const name = bench.spawn(`told-${++workers}`, language);
    expect(failure(await bench.run(name, program))).toMatchObject({ code: 'exception', hint });
  });

  test('a file that a task forgot to make is only missing', async () => {
    const name = bench.spawn(`told-${++workers}`);
    expect(failure(await bench.run(name, 'def main(): open("/scratch/data.csv")'))).not.toHaveProperty('hint');
  });
});

describe.runIf(canBox)('the end', () => {
  test.each([
    ['a signal', 'import os, signal\ndef main(): os.kill(os.getpid(), signal.SIGKILL)', { code: null, signal: 'SIGKILL' }],
    ['a fault', 'import ctypes\ndef main(): ctypes.string_at(0)', { code: null, signal: 'SIGSEGV' }],
    ['its own wish', 'import os\ndef main(): os._exit(7)', { code: 7, signal: null }],
  ])('by %s is told as outside the box', async (_, program, expected) => {
    const name = bench.spawn(`end-${++workers}`);
    expect((await bench.run(name, program)).ending).toMatchObject({ type: 'exited', ...expected });
    await bench.gone(name);
  });

  test('a worker killed before it is ready leaves nothing, whenever that is', async () => {
    const early = await Bench.start(level);
    try {
      for (let ms = 0; ms < 40; ms += 2) {
        const name = early.spawn(`early-${ms}`);
        await new Promise((resolve) => setTimeout(resolve, ms));
        early.workers.kill(name);
        await early.gone(name);
      }
      const { marker } = JSON.parse(readFileSync(join(early.scratchRoot, 'workers.json'), 'utf8')) as { marker: string };
      const left = listProcesses().filter((row) => ['cmdline', 'environ'].some((file) => readIfThere(`/proc/${row.pid}/${file}`)?.includes(`${marker}.`)));
      expect(left).toEqual([]);
    } finally {
      await early.stop();
    }
  });

  test('who is shut out before it was let in never runs, and all of it is known by then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-shut-'));
    const box = await Box.open(level.walls!, folder);
    try {
      const entered: number[] = [];
      const { child, inner, shut } = launch(boxed(box, { command: '/bin/sh', args: ['-c', 'echo it ran'], env: {} }, ['ignore', 'pipe', 'ignore']), (pid) => entered.push(pid));
      let said = '';
      child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await shut();
      expect(entered).toEqual([child.pid, inner()]);
      const closed = once(child, 'close');
      process.kill(inner() ?? 0, 'SIGKILL');
      await closed;
      expect(said).toBe('');
    } finally {
      box.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('all the memory that a task may write to counts against its limit', async () => {
    for (const folder of ['/scratch', '/tmp', '/dev/shm']) {
      const name = bench.spawn(`fill-${++workers}`, 'python', 100);
      const ran = await bench.run(name, `def main():\n    with open("${folder}/fill", "wb") as f:\n        for _ in range(200): f.write(bytes(1 << 20))\n    return "it fits"`);
      expect(ran.ending).toMatchObject({ type: 'exited', outOfMemory: { limitMb: 100 } });
    }
  });
});
