/**
 * The measured box: every probe in every language, inside and, as its control, outside.
 *
 * Neighbours: catalogue.ts and calls.ts say what is tried, acts.py and acts.mjs do it, decoys.ts makes what
 * it is done to, verdict.ts says what that means for the level.
 *
 * Invariants
 *  1. What did not come through outside is `not applicable`, whatever came of it inside.
 *  2. An act that failed inside in a way that no wall explains is `broken`: nothing was shown.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { causeText } from '../errors.ts';
import type { Interpreter } from '../sandbox/interpreters.ts';
import type { LevelProbe } from '../sandbox/levels.ts';
import { readIfThere, signal } from '../sandbox/processes.ts';
import type { Language } from '../sandbox/types.ts';
import { catalogue } from './catalogue.ts';
import { DecoyGround, type Decoys } from './decoys.ts';
import { Inside } from './inside.ts';
import { DECOY_VARIABLE, runOutside } from './outside.ts';
import type { Act, Answer, Finding, Ground, Probe } from './types.ts';
import { findingOf, judge, type Judged } from './verdict.ts';

export interface BatteryOptions {
  homeFolder: string;
  guestsFolder: string;
  interpreters: readonly Interpreter[];
  /** What the first quick look found: the probes are let loose at that level. */
  level: LevelProbe;
  /** The peer's own port, where there is one. */
  peer?: { host: string; port: number };
  /** Also those that fill and exhaust. */
  heavy: boolean;
  /** Ends it soon, with everything put away. */
  signal?: AbortSignal;
}

/** What the heavy probes are given, so that little has to be filled: what the interpreter needs, and some. */
const BOX_MEMORY_MB = { python: 96, javascript: 128 } as const;
/** Node alone is a dozen threads. */
const BOX_PROCESSES = 64;

/** @throws Error when no worker can be started at that level, no decoys can be made, or the signal was given */
export async function runProbes(options: BatteryOptions): Promise<Finding[]> {
  const { homeFolder, guestsFolder, interpreters, level } = options;
  const decoyGround = new DecoyGround(homeFolder);
  const inherited = process.env[DECOY_VARIABLE];
  let opened: number | undefined;
  let inside: Inside | undefined;
  try {
    const decoys = await decoyGround.make();
    const sources = Object.fromEntries(Object.entries(ACTS).map(([language, file]) => [language, readFileSync(join(guestsFolder, 'probes', file), 'utf8')])) as Record<Language, string>;
    // As a careless peer has it: a secret in its environment, and a folder open, while workers start.
    process.env[DECOY_VARIABLE] = decoys.token;
    opened = openSync(decoys.openFolder, 'r');
    inside = new Inside({
      scratchRoot: join(decoys.folder, 'workers'),
      guestsFolder,
      interpreters: Object.fromEntries(interpreters.map((interpreter) => [interpreter.language, interpreter])),
      level,
      sources,
    });
    await inside.start();
    const started = inside;
    options.signal?.addEventListener('abort', () => void started.stop());
    // What bounds a task is the same in every language: to fill it once will do.
    const judged = await Promise.all(interpreters.map((interpreter, at) => inLanguage({ ...options, heavy: options.heavy && at === 0 }, interpreter, sources[interpreter.language], groundFor(options, decoys, interpreter), started)));
    options.signal?.throwIfAborted();
    return catalogue.filter(({ heavy }) => options.heavy || !heavy).map((probe) => findingOf(probe, judged.flatMap((of) => of.get(probe.name) ?? [])));
  } finally {
    if (inherited === undefined) delete process.env[DECOY_VARIABLE];
    else process.env[DECOY_VARIABLE] = inherited;
    if (opened !== undefined) closeSync(opened);
    await inside?.stop();
    await decoyGround.remove();
  }
}

const ACTS = { python: 'acts.py', javascript: 'acts.mjs' } as const;

interface Trial {
  probe: Probe;
  inside: Act;
  outside: Act;
}

async function inLanguage({ heavy, signal }: BatteryOptions, interpreter: Interpreter, source: string, ground: Ground, inside: Inside): Promise<Map<string, Judged>> {
  const { language } = interpreter;
  const judged = new Map<string, Judged>();
  const trials: Trial[] = [];
  for (const probe of catalogue) {
    if (probe.heavy && !heavy) continue;
    const made = probe.make(ground);
    if (typeof made === 'string') judged.set(probe.name, { language, verdict: 'not applicable', why: made });
    else trials.push({ probe, ...made });
  }
  const [controls, answers] = await Promise.all([controlsOf(interpreter, source, trials, ground.decoys, signal), answersInside(inside, language, trials, ground, signal)]);
  for (const { probe } of trials) judged.set(probe.name, { language, ...judge(controls.get(probe.name), answers.get(probe.name)) });
  return judged;
}

async function controlsOf(interpreter: Interpreter, source: string, trials: readonly Trial[], decoys: Decoys, signal: AbortSignal | undefined): Promise<Map<string, Answer>> {
  const answers = await runOutside(interpreter, source, trials.map(({ outside }) => outside), decoys, signal);
  const byName = new Map(trials.flatMap(({ probe }, at) => (answers[at] === undefined ? [] : [[probe.name, answers[at]] as const])));
  for (const { outside, probe } of trials) {
    const said = byName.get(probe.name);
    if (outside.act === OUTLIVE && said !== undefined) byName.set(probe.name, await livedOn(String(outside.target['token']), said));
  }
  return byName;
}

const OUTLIVE = 'outlive';

/** It may not be what it will be yet: between its parent's end and its own program. */
async function livedOn(token: string, said: Answer): Promise<Answer> {
  for (let looked = 0; said.reached === true && looked < LOOKS; looked += 1) {
    if (endSurvivors(token) > 0) return said;
    await delay(LOOK_EVERY_MS);
  }
  return said.reached === true ? { reached: false, why: 'none lived on' } : said;
}

const LOOKS = 50;
const LOOK_EVERY_MS = 10;

async function answersInside(inside: Inside, language: Language, trials: readonly Trial[], ground: Ground, signal: AbortSignal | undefined): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  let worker = inside.open(language);
  for (const { probe, inside: act } of trials.filter(({ probe }) => !probe.heavy)) {
    signal?.throwIfAborted();
    if (!inside.isOpen(worker)) worker = inside.open(language);
    const answer = await tried(() => inside.run(worker, language, act));
    answers.set(probe.name, act.act === OUTLIVE && answer.reached ? await afterKill(inside, worker, String(act.target['token'])) : answer);
  }
  await inside.close(worker);
  for (const { probe, inside: act } of trials.filter(({ probe }) => probe.heavy)) {
    signal?.throwIfAborted();
    const bounded = inside.open(language, { memoryMb: ground.memoryMb, processesMax: ground.processesMax });
    answers.set(probe.name, await tried(() => inside.run(bounded, language, act)));
    await inside.close(bounded);
  }
  return answers;
}

async function tried(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    return { reached: true, why: `it could not be tried: ${causeText(error)}` };
  }
}

async function afterKill(inside: Inside, worker: string, token: string): Promise<Answer> {
  if (!(await inside.close(worker))) return { reached: true, why: 'it was not gone after it was killed' };
  await delay(LOOK_EVERY_MS);
  const left = endSurvivors(token);
  return left > 0 ? { reached: true, why: `${left} lived on` } : { reached: false, why: 'killed with the rest' };
}

/** Processes of this machine that name themselves by the token. @returns how many there were */
function endSurvivors(token: string): number {
  const pids = existsSync('/proc/self/stat') ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number) : [];
  return pids.filter((pid) => (readIfThere(`/proc/${pid}/cmdline`)?.includes(token) ?? false) && signal(pid, 'SIGKILL')).length;
}

/** @returns what probes are made for, in one language */
export function groundFor({ homeFolder, guestsFolder, peer }: Pick<BatteryOptions, 'homeFolder' | 'guestsFolder' | 'peer'>, decoys: Decoys, interpreter: Interpreter): Ground {
  return {
    decoys,
    language: interpreter.language,
    homeFolder,
    code: codeOf(interpreter, guestsFolder),
    peer,
    memoryMb: BOX_MEMORY_MB[interpreter.language],
    processesMax: BOX_PROCESSES,
  };
}

/** Files that run, or are read, when the next task starts. */
function codeOf({ path, language, version }: Interpreter, guestsFolder: string): Ground['code'] {
  const prefix = dirname(dirname(path));
  const guests = [join(guestsFolder, language === 'python' ? 'guest.py' : 'guest.mjs')];
  if (language === 'javascript') return { library: ['lib/node_modules/npm/package.json', 'share/nodejs/npm/package.json'].map((file) => join(prefix, file)), compiled: [], guests };
  const [major = '3', minor = '0'] = version.split('.');
  const lib = join(prefix, 'lib', `python${major}.${minor}`);
  const tag = `cpython-${major}${minor}`;
  return { library: [join(lib, 'os.py'), join(lib, 'site.py')], compiled: [join(lib, '__pycache__', `os.${tag}.pyc`), join(lib, '__pycache__', `site.${tag}.pyc`)], guests };
}
