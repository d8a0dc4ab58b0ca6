/**
 * `npm run sim`: runs whole pools from seeds, says how fast and what struck, and, of a run that fails, the seed,
 * the shortest history that still fails, and the command that does it again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { lookInto } from './insight.ts';
import type { SimPool } from './pool.ts';
import { perform, type Script, scriptOf } from './scenario.ts';
import { isOfMembers, simulateMembers } from './scenario-members.ts';
import { shorten } from './shrink.ts';

const usage = `npm run sim -- [--seeds N] [--seed N] [--minutes M] [--history] [--planted]

Runs whole pools in one process, each from a seed, with faults.

  --seeds N     so many seeds, 100 unless said
  --seed N      the first of them, 1 unless said; alone: only this one
  --minutes M   as many seeds as so many minutes allow
  --script F    the steps in this file (what a failure prints, saved) in place of a seed
  --history     print what happened
  --planted     plant known faults in the code, one at a time: each must be found within --seeds (500);
                with --quick first by the seed that found it before

Exit status: 0 all promises were kept, 1 one was broken (or a planted fault was not found), 2 wrong use.`;

interface Total {
  runs: number;
  acts: number;
  tasks: number;
  faults: Map<string, number>;
}

interface Options {
  first: number;
  count: number;
  untilMs: number;
  history: boolean;
  /** Only the seed that fails is wanted. */
  hunt: boolean;
  /** To be done in place of what seeds say. */
  script: Script | undefined;
}

function optionsOf(): Options {
  const { values } = parseArgs({
    options: { seeds: { type: 'string' }, seed: { type: 'string' }, minutes: { type: 'string' }, history: { type: 'boolean' }, hunt: { type: 'boolean' }, script: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help === true) {
    console.log(usage);
    process.exit(0);
  }
  const number = (name: 'seeds' | 'seed' | 'minutes', otherwise: number) => {
    const value = values[name];
    if (value === undefined) return otherwise;
    if (!/^\d+(\.\d+)?$/.test(value)) throw new TypeError(`--${name} takes a number, not "${value}"`);
    return Number(value);
  };
  const script = values.script === undefined ? undefined : (JSON.parse(readFileSync(values.script, 'utf8')) as Script);
  const count = number('seeds', values.minutes !== undefined ? Infinity : values.seed !== undefined || script !== undefined ? 1 : 100);
  return { first: number('seed', 1), count, untilMs: performance.now() + number('minutes', Infinity) * 60_000, history: values.history === true, hunt: values.hunt === true, script };
}

async function main(): Promise<void> {
  const options = optionsOf();
  const total: Total = { runs: 0, acts: 0, tasks: 0, faults: new Map() };
  const began = process.cpuUsage();
  const beganMs = performance.now();
  let hash = '';
  for (let seed = options.first; seed < options.first + options.count && performance.now() < options.untilMs; seed += 1) {
    const failure = await run(seed, options, total, (pool) => (hash = pool.world.history.hash));
    if (failure !== undefined && options.hunt) {
      console.log(JSON.stringify({ seed, failure: failure.message }));
      process.exit(1);
    }
    if (failure !== undefined) {
      await tellFailure(seed, failure, options.script);
      process.exit(1);
    }
    if (process.stdout.isTTY && seed % 20 === 0) process.stdout.write(`\r${total.runs} seeds`);
  }
  tell(total, process.cpuUsage(began), performance.now() - beganMs);
  if (total.runs === 1) console.log(`history ${hash}`);
}

/** @returns what was broken */
async function run(seed: number, { history: keepHistory, script }: Options, total: Total, ended: (pool: SimPool) => void): Promise<Error | undefined> {
  let pool: SimPool | undefined;
  try {
    const begin = (begun: SimPool) => {
      pool = begun;
      if (keepHistory) begun.world.history.lines = [];
    };
    if (script !== undefined) await perform(script, begin);
    else if (isOfMembers(seed)) await simulateMembers(seed, begin);
    else await perform(scriptOf(seed), begin);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    if (pool !== undefined) {
      if (keepHistory) for (const line of pool.world.history.lines ?? []) console.log(line);
      total.runs += 1;
      total.acts += pool.world.acts;
      for (const [fault, count] of pool.faults) total.faults.set(fault, (total.faults.get(fault) ?? 0) + count);
      ended(pool);
    }
  }
}

function tell({ runs, faults }: Total, { user, system }: NodeJS.CpuUsage, wallMs: number): void {
  const cpuSeconds = (user + system) / 1e6;
  console.log(`${runs} seeds, ${lookInto.events} decider events in ${(wallMs / 1000).toFixed(1)} s, ${Math.round(lookInto.events / cpuSeconds)} events per second of one core`);
  console.log([...faults].toSorted(([, a], [, b]) => b - a).map(([fault, count]) => `${fault} ${count}`).join(', '));
}

async function tellFailure(seed: number, failure: Error, script: Script | undefined): Promise<void> {
  console.log(`\nseed ${seed}: ${failure.message}`);
  if (failure.name !== 'Broken') console.log(failure.stack);
  if (script === undefined && isOfMembers(seed)) return console.log(`\nagain: npm run sim -- --seed ${seed} --history`);
  const short = await shorten(script ?? scriptOf(seed));
  console.log(`\nthe shortest history that fails (${short.steps.length} steps): ${short.failure}`);
  for (const step of short.steps) console.log(`  ${JSON.stringify(step)}`);
  const saved = join(tmpdir(), `potluck-sim-${seed}.json`);
  writeFileSync(saved, JSON.stringify({ ...(script ?? scriptOf(seed)), steps: short.steps }));
  console.log('\nwhat happened last:');
  for (const line of short.lines.slice(-80)) console.log(line);
  console.log(`\nagain: npm run sim -- --seed ${seed} --history, or only these steps: npm run sim -- --script ${saved} --history`);
}

process.on('unhandledRejection', (error) => lookInto.world?.fail(error));
process.on('uncaughtException', (error) => lookInto.world?.fail(error));

try {
  await main();
} catch (error) {
  console.error(error instanceof TypeError ? `${error.message}\n\n${usage}` : error);
  process.exit(2);
}
