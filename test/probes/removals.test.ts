/**
 * Walls taken away, one at a time and for real: what is left is measured, and does not count as level 2.
 *
 * Programs are replaced by ones that do the same but for one argument, in a folder that comes first on PATH.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runProbes } from '../../src/probes/battery.ts';
import { proofOf } from '../../src/probes/verdict.ts';
import { type Interpreter, probeInterpreter } from '../../src/sandbox/interpreters.ts';
import { type LevelProbe, probeLevel } from '../../src/sandbox/levels.ts';

const guestsFolder = fileURLToPath(new URL('../../src/sandbox/guests', import.meta.url));
const pathBefore = process.env['PATH'] ?? '';

let folder = '';
let interpreters: Interpreter[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-removals-'));
  // Who starts the wrappers is no longer root.
  chmodSync(folder, 0o755);
  // One language shows it as well as two.
  interpreters = [await probeInterpreter('python')];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  process.env['PATH'] = pathBefore;
});

const find = () => probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), folder] });

/** What the probes prove of it, and those that broke. */
async function measured(level: LevelProbe): Promise<{ level: number; broken: string[] }> {
  const findings = await runProbes({ homeFolder: folder, guestsFolder, interpreters, level, heavy: false });
  return { level: proofOf(level.level, level.missing, findings).level, broken: findings.filter(({ verdict }) => verdict === 'broken').map(({ name }) => name) };
}

/** Puts a program before the real one that leaves out these arguments, with as many that follow each. */
function withoutArguments(program: string, dropped: Record<string, number>): void {
  const real = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8', env: { PATH: pathBefore } }).trim();
  const bin = mkdtempSync(join(folder, 'bin-'));
  const cases = Object.entries(dropped).map(([name, values]) => `${name}) skip=${values}; continue ;;`);
  const script = `#!/bin/bash\nkept=(); skip=0; own=1\nfor word; do\n  if [ $skip -gt 0 ]; then skip=$((skip - 1)); continue; fi\n  [ "$word" = -- ] && own=0\n  if [ $own = 1 ]; then case $word in ${cases.join(' ')} esac; fi\n  kept+=("$word")\ndone\nexec ${real} "\${kept[@]}"\n`;
  chmodSync(bin, 0o755);
  writeFileSync(join(bin, program), script, { mode: 0o755 });
  process.env['PATH'] = `${bin}:${pathBefore}`;
}

describe('what only the probes find missing', () => {
  it('the wrappers of these tests change nothing by themselves', async () => {
    withoutArguments('bwrap', { '--no-such-argument': 0 });
    expect(await measured(await find())).toEqual({ level: 2, broken: [] });
  });

  it.each([
    ['the filter, which bubblewrap is not told of', 'bwrap', { '--seccomp': 1 }, ['unfiltered', 'family-inet', 'io-uring', 'terminal-input']],
    ['the network', 'bwrap', { '--unshare-net': 0 }, ['shared-networks', 'abstract-socket']],
    ['the processes', 'bwrap', { '--unshare-pid': 0 }, ['shared-processes', 'command-lines']],
    ['the messages', 'bwrap', { '--unshare-ipc': 0 }, ['shared-messages']],
    ['the groups', 'bwrap', { '--unshare-cgroup': 0 }, ['shared-groups']],
    ['the read-only root', 'bwrap', { '--remount-ro': 1 }, ['unbounded-folders']],
    ['the change to another user', 'setpriv', { '--reuid': 1, '--regid': 1 }, ['core-pattern', 'device-mode']],
  ] as const)('%s', async (_, program, dropped, breaks) => {
    withoutArguments(program, dropped);
    const { level, broken } = await measured(await find());
    expect(broken).toEqual(expect.arrayContaining([...breaks]));
    expect(level).toBe(1);
  });
});
