/** Which folders of an interpreter are shown in the box, for each way of installing one; and which are refused. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probeInterpreter } from '../../src/sandbox/interpreters.ts';
import type { Interpreter } from '../../src/sandbox/interpreters.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';
import { isOfSystem, PrefixError, refuseHiddenInSystem, shownFor } from '../../src/sandbox/prefix.ts';
import { Bench, canBox, failure, guestsFolder, resultText } from './harness.ts';
import type { Ran } from './harness.ts';

let folder: string;
let python: Interpreter;
let node: Interpreter;
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'potluck-prefix-')));
  [python, node] = await Promise.all([probeInterpreter('python'), probeInterpreter('javascript')]);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A virtual environment with one module of its own. */
function environment(path: string): string {
  execFileSync(python.path, ['-m', 'venv', '--without-pip', path]);
  for (const other of ['library', 'lib-old', 'secrets']) mkdirSync(join(path, other));
  const packages = execFileSync(join(path, 'bin', 'python'), ['-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], { encoding: 'utf8' }).trim();
  writeFileSync(join(packages, 'mine.py'), 'word = "from the environment"\n');
  return join(path, 'bin', 'python');
}

async function inBox(interpreter: Interpreter, program: string): Promise<Ran> {
  const level = await probeLevel(true, { interpreters: [interpreter], guestsFolder, hidden: [homedir()] });
  expect(level).toMatchObject({ level: 2, missing: '' });
  const bench = await Bench.start(level, { [interpreter.language]: interpreter });
  try {
    return await bench.run(bench.spawn('a', interpreter.language), program);
  } finally {
    await bench.stop();
  }
}

const WHO = 'import json, sys\ndef main():\n    return [sys.prefix, sys.executable, json.__file__.startswith(sys.base_prefix)]';

describe.runIf(canBox)('Python', () => {
  test('of the system needs nothing more', async () => {
    if (!existsSync('/usr/bin/python3')) return expect(isOfSystem('/usr/bin/python3')).toBe(true);
    expect((await shownFor(await probeInterpreter('python', '/usr/bin/python3'), [homedir()])).paths).toEqual([]);
  });

  test('as it is here: its bin, its lib, and nothing else of its folder', async () => {
    const { paths } = await shownFor(python, [homedir()]);
    const prefix = dirname(dirname(realpathSync(python.path)));
    for (const path of paths) expect(basename(path)).toMatch(/^(?:bin|lib\w*|pyvenv\.cfg|opt|Cellar|store)$/);
    if (!isOfSystem(prefix)) expect(paths).toEqual(expect.arrayContaining([join(prefix, 'bin'), join(prefix, 'lib')]));
  });

  test('of a virtual environment brings its packages, and the installation that it stands on', async () => {
    const path = environment(join(folder, 'project', '.venv'));
    const interpreter = await probeInterpreter('python', path);
    const { paths } = await shownFor(interpreter, [homedir()]);
    expect(paths).toEqual(expect.arrayContaining(['bin', 'lib', 'pyvenv.cfg'].map((name) => join(folder, 'project', '.venv', name))));
    const ran = await inBox(interpreter, 'import mine, os, sys\ndef main(): return [mine.word, sys.prefix, os.listdir(os.path.dirname(sys.prefix)), sorted(os.listdir(sys.prefix))]');
    const [word, prefix, around, shown] = JSON.parse(resultText(ran)) as [string, string, string[], string[]];
    expect([word, prefix, around]).toEqual(['from the environment', join(folder, 'project', '.venv'), ['.venv']]);
    expect(shown.filter((name) => !/^(?:bin|lib|lib64|pyvenv\.cfg)$/.test(name))).toEqual([]);
  });

  test('reached by links, as version managers and conda make them', async () => {
    const prefix = dirname(dirname(realpathSync(python.path)));
    if (isOfSystem(prefix)) return expect((await shownFor(python, [homedir()])).paths).toEqual([]);
    mkdirSync(join(folder, 'envs'));
    symlinkSync(prefix, join(folder, 'envs', 'work'));
    const interpreter: Interpreter = { ...python, path: join(folder, 'envs', 'work', 'bin', 'python3') };
    expect((JSON.parse(resultText(await inBox(interpreter, WHO))) as unknown[])[2]).toBe(true);
  });

  test('through a shim is the one behind it', async () => {
    const shim = join(folder, 'shim');
    writeFileSync(shim, `#!/bin/sh\nexec ${python.path} "$@"\n`, { mode: 0o755 });
    const interpreter = await probeInterpreter('python', shim);
    expect((await shownFor(interpreter, [homedir()])).paths).not.toContain(shim);
    expect(resultText(await inBox(interpreter, 'def main(): return 1'))).toBe('1');
  });

  test.each([
    ['is the home folder', (prefix: string) => prefix],
    ['holds the home folder', (prefix: string) => join(prefix, 'someone')],
    ['holds the home folder among its libraries', (prefix: string) => join(prefix, 'lib', 'someone')],
    ['holds the pool’s folder', (prefix: string) => join(prefix, '.potluck')],
  ])('installed where it %s is refused, and why', async (name, hidden) => {
    const prefix = join(folder, name.replaceAll(/\W/g, '-'));
    const interpreter = await probeInterpreter('python', environment(prefix));
    mkdirSync(hidden(prefix), { recursive: true });
    await expect(shownFor(interpreter, [hidden(prefix)])).rejects.toThrow(PrefixError);
    await expect(shownFor(interpreter, [hidden(prefix)])).rejects.toThrow(`, which holds ${hidden(prefix)}`);
    const level = await probeLevel(true, { interpreters: [interpreter], guestsFolder, hidden: [hidden(prefix)] });
    expect(level.level).toBeLessThan(2);
    expect(level).toMatchObject({ walls: null, missing: expect.stringContaining('which holds') as string, fix: expect.stringContaining('venv') as string });
  });

  test('a module that its user installed with --user is not there, and that is said at the start and to the task', async () => {
    const home = join(folder, 'someone');
    const packages = execFileSync(python.path, ['-m', 'site', '--user-site'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', HOME: home } }).trim();
    mkdirSync(packages, { recursive: true });
    writeFileSync(join(packages, 'theirs.py'), '');
    const before = process.env['HOME'];
    process.env['HOME'] = home;
    try {
      expect((await shownFor(python, [home])).notes).toEqual([expect.stringContaining(packages)]);
    } finally {
      process.env['HOME'] = before;
    }
    const ran = await inBox({ ...python, env: { PYTHONUSERBASE: join(home, '.local') } }, 'import theirs\ndef main(): pass');
    expect(failure(ran)).toMatchObject({ code: 'module_missing', hint: expect.stringContaining('--user is not in the box') as string });
  });
});

describe.runIf(canBox)('Node', () => {
  test('is one file, wherever it lies: as nvm installs it, under the home folder, in a folder that others use too', async () => {
    const path = join(folder, '.nvm', 'versions', 'node', 'v20', 'bin', 'node');
    mkdirSync(dirname(path), { recursive: true });
    cpSync(realpathSync(node.path), path);
    writeFileSync(join(dirname(path), 'secret'), '');
    const interpreter = await probeInterpreter('javascript', path);
    expect((await shownFor(interpreter, [folder])).paths).toEqual([path]);
    const ran = await inBox(interpreter, `import fs from "node:fs";\nexport const main = () => fs.readdirSync(${JSON.stringify(dirname(path))});`);
    expect(resultText(ran)).toBe('["node"]');
  });
});

test('a home folder among the system’s is refused: its files would be shown with them', () => {
  expect(() => refuseHiddenInSystem(['/usr/share/someone'])).toThrow('/usr/share/someone lies in a folder of the system');
  expect(() => refuseHiddenInSystem([homedir(), '/users/x', '/library'])).not.toThrow();
});
