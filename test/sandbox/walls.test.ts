/** The box, for real: what is seen from inside, and that everything that tasks need works there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probeLevel } from '../../src/sandbox/levels.ts';
import type { LevelProbe } from '../../src/sandbox/levels.ts';
import { Bench, resultText, wallsNeed } from './harness.ts';

let level: LevelProbe;
let bench: Bench;
beforeAll(async () => {
  level = await probeLevel(true, await wallsNeed());
  bench = await Bench.start(level);
});
afterAll(async () => {
  await bench.stop();
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

test('this machine reaches level 2, and nothing is missing', () => {
  expect({ level: level.level, missing: level.missing, fix: level.fix }).toEqual({ level: 2, missing: '', fix: '' });
});

describe('inside', () => {
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

describe('what tasks do works inside', () => {
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
