/** What the docs show is run, what they point at exists, and the tests they name are there. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostLabel } from '../src/main/machine.ts';
import { fairShares } from '../src/tracker/shares-state.ts';
import { receiptSchema } from '../src/wire/messages.ts';
import { findPorts, says, Session, stepsOf } from './docs-session.ts';
import { command, isAlive, processesOf } from './e2e/processes.ts';
import { until } from './e2e/until.ts';
import { canMakeMachines, Machines } from './helpers/machines.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

describe('a session of the docs', () => {
  let folder: string;
  let session: Session;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'potluck-docs-'));
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    symlinkSync(command, join(bin, 'potluck'));
    session = new Session({ cwd: root, folder, bin, ports: await findPorts() });
  });
  afterEach(async () => {
    await session.stop();
    try {
      await until('no process is left', () => processesOf(folder).length === 0, 5_000);
    } finally {
      for (const { pid } of processesOf(folder)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  it.each(['README.md', 'docs/guide/many-peers.md'])('%s prints what it says', { timeout: 240_000 }, async (path) => {
    const steps = stepsOf(read(path));
    expect(steps.length).toBeGreaterThan(5);
    for (const step of steps) await session.run(step);
  });

  it('examples/README.md prints what it says', { timeout: 120_000 }, async () => {
    await session.run({ kind: 'typed', text: 'potluck up --detach --quiet', printed: [], afterInterrupt: undefined, line: 0 });
    for (const step of stepsOf(read('examples/README.md'))) await session.run(step);
  });
});

describe.skipIf(!canMakeMachines())('a session on two machines', () => {
  let machines: Machines;
  let bin: string;
  const sessions = new Map<string, Session>();
  beforeEach(async () => {
    machines = await Machines.make('tower', 'laptop');
    bin = join(machines.folder, 'bin');
    mkdirSync(bin);
    symlinkSync(command, join(bin, 'potluck'));
    const ports = new Map(['8888', '9000', '5000'].map((port) => [port, port]));
    const names = { '192.168.1.10': machines.all[0]!.address, '192.168.1.11': machines.all[1]!.address };
    for (const { name, home, via } of machines.all) sessions.set(name, new Session({ cwd: root, folder: home, bin, ports, via, names, host: 'laptop' }));
  });
  afterEach(async () => {
    for (const session of sessions.values()) await session.stop();
    await machines.stop();
  });

  it.each(['docs/guide/many-machines.md', 'docs/guide/security.md'])('%s prints what it says', { timeout: 240_000 }, async (path) => {
    const steps = stepsOf(read(path));
    expect(steps.length).toBeGreaterThan(5);
    for (const step of steps) {
      const session = sessions.get(step.machine ?? 'tower')!;
      // The invitation that the reader has before them is the one that was printed last.
      const token = [...sessions.values()].map((each) => each.latest(/pl1-[\w-]{20,}/)).find((found) => found !== undefined);
      await session.run({ ...step, text: step.text.replaceAll('pl1-…', token ?? 'pl1-…') });
    }
  });
});

describe('comparing a session', () => {
  it('takes another id, time, share, process or peer, but no other result', () => {
    const shown = ['task 01a2241f-8280-7000-9df3-64041ecb7109', '25', 'done on laptop-9001: waited 1.9 ms, ran 0.2 s'];
    const printed = `task 01a22420-9c0b-7000-9f6e-10e13cfe79da\n25\ndone on ${hostLabel()}-9000: waited 12 ms, ran 1 min 2 s\n`;
    expect(says(printed, shown)).toBe(true);
    expect(says(printed.replace('\n25\n', '\n26\n'), shown)).toBe(false);
  });

  it('misses a line that was not printed, and finds one too many', () => {
    expect(says('a\nb\n', ['a'])).toBe(false);
    expect(says('a\n', ['a', 'b'])).toBe(false);
    expect(says('a\nb\nc\n', ['a', '…', 'c'])).toBe(true);
    expect(says('a\nb\n', ['a', '…', 'c'])).toBe(false);
    expect(says('a 1 z\n', ['a … z'])).toBe(true);
  });

  it('knows commands of several lines, terminals that stay, programs and signals', () => {
    const steps = stepsOf(['```console', "$ a 'x", "> y'", 'out', '```', '```console stays', '$ b', 'up', '^C', 'bye', '```', '<!-- test: SIGINT b -->', '```js', 'console.log(1); // 1', '```', '```sh run', 'c', '```', '', '```text', 'so', '```'].join('\n'));
    expect(steps).toEqual([
      { kind: 'typed', text: "a 'x\ny'", printed: ['out'], afterInterrupt: undefined, line: 2 },
      { kind: 'stays', text: 'b', printed: ['up'], afterInterrupt: ['bye'], line: 7 },
      { kind: 'signal', text: 'SIGINT b', printed: [], afterInterrupt: undefined, line: 12 },
      { kind: 'program', text: 'console.log(1); // 1', printed: ['1'], afterInterrupt: undefined, line: 14 },
      { kind: 'typed', text: 'c', printed: ['so'], afterInterrupt: undefined, line: 17 },
    ]);
  });
});

const pages = [...readdirSync(root).filter((name) => name.endsWith('.md')), ...['docs', 'examples'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)))].filter((path) => path.endsWith('.md'));

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
const anchorsOf = (path: string): string[] => [...read(path).matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1]!));
const linksOf = (path: string): string[] => [...read(path).replaceAll(/^```[^]*?^```$/gm, '').matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!);

describe('links', () => {
  it.each(pages)('of %s lead somewhere', (path) => {
    const dead = linksOf(path).filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : relative(root, resolve(root, dirname(path), file));
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(target).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  it('leave no page out that a reader of the README could not find', () => {
    const found = new Set<string>(['README.md']);
    for (const path of found) {
      for (const link of linksOf(path)) {
        if (/^https?:/.test(link) || link.startsWith('#')) continue;
        let target = relative(root, resolve(root, dirname(path), link.split('#')[0]!));
        if (existsSync(join(root, target, 'README.md'))) target = join(target, 'README.md');
        if (target.endsWith('.md')) found.add(target);
      }
    }
    expect(pages.filter((path) => !found.has(path))).toEqual([]);
  });
});

describe('how balancing works', () => {
  const page = read('docs/how-balancing-works.md');

  it('shows a receipt as the program writes it', () => {
    const receipt = receiptSchema.parse(JSON.parse(/```json\n([^]+?)```/.exec(page)![1]!));
    const explained = [...page.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
    expect(explained).toContain(receipt.decided);
    expect(explained.toSorted()).toEqual(receiptSchema.shape.decided.options.toSorted());
  });

  it('gives shares as the tracker computes them', () => {
    const rows = [...page.matchAll(/^\| (\d+) \| (\d+) \| (\d+|–) \| (\d+) \| (\d+) \| (\d+|–) \|$/gm)].map((match) => match.slice(1).filter((cell) => cell !== '–').map(Number));
    expect(rows).toHaveLength(3);
    for (const row of rows) expect(fairShares(12, row.slice(0, row.length / 2))).toEqual(row.slice(row.length / 2));
  });
});

describe.each(['docs/reference/guarantees.md', 'SECURITY.md'])('the promises of %s', (page) => {
  /** `[name of the test](../../test/file.test.ts)`: the words are in the file. */
  const named = [...read(page).matchAll(/\[([^\]]+)\]\((?:\.\.\/)*(test\/[^)]+)\)/g)].map((match) => [match[1]!, match[2]!] as const);

  it.each(named)('%s is a test of %s', (name, path) => {
    expect(read(path).replaceAll('\\', '')).toContain(name);
  });

  it('each have one', () => {
    const rows = read(page).split('\n').filter((line) => line.startsWith('| **'));
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter((row) => !/\]\((?:\.\.\/)*test\//.test(row))).toEqual([]);
  });
});

/** Words in `code` that begin with a folder of the project are paths in it. */
it('files that ARCHITECTURE.md names are there', () => {
  const paths = [...read('ARCHITECTURE.md').matchAll(/`((?:src|test|docs|bench|examples|scripts|bin)\/[\w./-]*)`/g)].map((match) => match[1]!);
  expect(paths.length).toBeGreaterThan(5);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});
