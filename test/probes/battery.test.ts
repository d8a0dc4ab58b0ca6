/** The probes for real: what they find where there are no walls, and that they leave nothing behind. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProbes } from '../../src/probes/battery.ts';
import { catalogue } from '../../src/probes/catalogue.ts';
import type { Finding } from '../../src/probes/types.ts';
import { proofOf } from '../../src/probes/verdict.ts';
import { probeInterpreter } from '../../src/sandbox/interpreters.ts';
import { probeLevel } from '../../src/sandbox/levels.ts';

const guestsFolder = fileURLToPath(new URL('../../src/sandbox/guests', import.meta.url));

describe('the catalogue', () => {
  it('has at least 40 probes, each of a name of its own that fits its column', () => {
    expect(catalogue.length).toBeGreaterThanOrEqual(40);
    expect(new Set(catalogue.map(({ name }) => name)).size).toBe(catalogue.length);
    for (const { name } of catalogue) expect(name).toMatch(/^[a-z0-9-]{3,21}$/);
  });

  it('leaves to the daily run all but what fills and exhausts', () => {
    expect(catalogue.filter(({ heavy }) => heavy).map(({ name }) => name)).toEqual(expect.arrayContaining(['fork-bomb', 'memory', 'disk', 'tmp', 'shared-memory']));
    expect(catalogue.filter(({ heavy }) => !heavy).length).toBeGreaterThanOrEqual(40);
  });

  it('has the same acts in both languages', () => {
    const python = readFileSync(join(guestsFolder, 'probes', 'acts.py'), 'utf8');
    const javascript = readFileSync(join(guestsFolder, 'probes', 'acts.mjs'), 'utf8');
    const ofPython = [...python.slice(python.indexOf('ACTS = {')).matchAll(/^ {4}"(\w+)": \1,$/gm)].map(([, name]) => name!);
    const ofJavascript = [...javascript.slice(javascript.indexOf('const acts = {')).matchAll(/^ {2}(\w+)(?:: (?:async )?\(|,$)/gm)].map(([, name]) => name!);
    expect(ofJavascript.toSorted()).toEqual(ofPython.toSorted());
  });
});

const interpretersHere = () => Promise.all([probeInterpreter('python'), probeInterpreter('javascript')]);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-probes-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('in the box', () => {
  it('every probe that is possible here is held, in both languages, and so level 2 is proven', async () => {
    const interpreters = await interpretersHere();
    const level = await probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), folder] });
    expect(level.missing).toBe('');
    const findings = await runProbes({ homeFolder: folder, guestsFolder, interpreters, level, heavy: true });
    expect(findings.filter(({ languages }) => Object.values(languages).some(({ verdict }) => verdict === 'broken'))).toEqual([]);
    expect(findings.filter(({ verdict }) => verdict === 'held').length).toBeGreaterThanOrEqual(40);
    expect(proofOf(level.level, level.missing, findings)).toEqual({ level: 2, missing: '' });
  });
});

describe('on a machine with one language', () => {
  it('the box is proven by that one', async () => {
    const interpreters = [await probeInterpreter('javascript')];
    const level = await probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), folder] });
    const findings = await runProbes({ homeFolder: folder, guestsFolder, interpreters, level, heavy: true });
    expect(findings.filter(({ verdict }) => verdict === 'broken')).toEqual([]);
    expect(findings.filter(({ group, verdict }) => group === 'bounds' && verdict === 'held').length).toBe(5);
    expect(proofOf(level.level, level.missing, findings).level).toBe(2);
  });

  it('a run that is told to end puts everything away, and proves nothing', async () => {
    const interpreters = [await probeInterpreter('javascript')];
    const level = await probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), folder] });
    const ending = new AbortController();
    const run = runProbes({ homeFolder: folder, guestsFolder, interpreters, level, heavy: true, signal: ending.signal });
    setTimeout(() => ending.abort(), 300);
    await expect(run).rejects.toThrow();
    expect(existsSync(join(folder, 'probes')) ? readdirSync(join(folder, 'probes')) : []).toEqual([]);
  });
});

describe('where there are no walls', () => {
  let findings: Finding[] = [];
  const of = (name: string) => findings.find((finding) => finding.name === name)!;

  beforeAll(async () => {
    // What a run that was killed left: no process has the number.
    mkdirSync(join(folder, 'probes', 'run-999999999-00'), { recursive: true });
    writeFileSync(join(folder, 'member.key'), 'no key');
    findings = await runProbes({ homeFolder: folder, guestsFolder, interpreters: await interpretersHere(), level: await probeLevel(), heavy: false });
  });

  it('every act that is possible here comes through: its control is the same act', () => {
    const walls = findings.filter(({ level, verdict }) => level === 2 && verdict !== 'not applicable');
    expect(walls.length).toBeGreaterThanOrEqual(30);
    // Two are held by what needs no walls.
    expect(walls.filter(({ verdict }) => verdict === 'held').map(({ name }) => name).filter((name) => !['first-environment', 'descriptors'].includes(name))).toEqual([]);
  });

  it('the environment of a worker is clean, and its end is the end of all it started', () => {
    for (const name of ['own-environment', 'outlive']) expect(of(name), JSON.stringify(of(name))).toMatchObject({ verdict: 'held', languages: { python: { verdict: 'held' }, javascript: { verdict: 'held' } } });
  });

  it('says of what this machine lacks that it is not applicable, and why', () => {
    expect(of('metadata')).toMatchObject({ verdict: 'not applicable', why: '169.254.169.254 is no address of this machine, and nothing is sent to others' });
    expect(of('peer-port')).toMatchObject({ verdict: 'not applicable' });
  });

  it('leaves no decoy, no folder of its own or of a killed run, and no secret in the environment', () => {
    expect(readdirSync(join(folder, 'probes'))).toEqual([]);
    for (const shared of ['/tmp', '/dev/shm', '/run', '/var/tmp']) {
      if (existsSync(shared)) expect(readdirSync(shared).filter((name) => name.startsWith(`potluck-run-${process.pid}-`))).toEqual([]);
    }
    expect(process.env['PROBE_DECOY']).toBeUndefined();
  });
});
