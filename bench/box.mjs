/**
 * What the box costs: the start of a worker in it beside that of a bare one, and a pool at isolation 2 beside one at
 * isolation 1. All interleaved in one run, round by round. Run by `npm run bench -- --only box_start` and
 * `--only levels`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { quiet, round, spread, startPool } from './pool.mjs';

const guestsFolder = fileURLToPath(new URL('../dist/guests', import.meta.url));

/** The sandbox is no part of what the package exports, so it is bundled for this. */
async function loadSandbox(folder) {
  const outfile = join(folder, 'sandbox.mjs');
  const room = ['interpreters', 'levels', 'workers'].map((name) => `export * from './src/sandbox/${name}.ts';`).join('\n');
  await build({ stdin: { contents: room, resolveDir: fileURLToPath(new URL('..', import.meta.url)), loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile });
  return import(outfile);
}

/** Milliseconds from the spawn of a worker until its interpreter is ready for a task. */
export async function boxStart(rounds, say) {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-bench-box-'));
  const { probeInterpreter, probeLevel, Workers } = await loadSandbox(folder);
  const [python, javascript] = await Promise.all([probeInterpreter('python'), probeInterpreter('javascript')]);
  const level = await probeLevel(true, { interpreters: [python, javascript], guestsFolder, hidden: [homedir()] });
  if (level.level < 2) throw new Error(`there is no box on this machine: ${level.missing}; ${level.fix}`);
  const heard = new Map();
  const workers = new Workers({ scratchRoot: join(folder, 'scratch'), interpreters: { python, javascript }, guestsFolder, level, onEvent: (event) => heard.get(`${event.worker} ${event.type}`)?.() });
  const until = (worker, type) => new Promise((resolve) => heard.set(`${worker} ${type}`, resolve));
  let made = 0;
  const once = async (language, isolation) => {
    const worker = `w${(made += 1)}`;
    const from = performance.now();
    const ready = until(worker, 'ready');
    workers.spawn({ worker, language, memoryMb: 512, isolation, name: 'bench' });
    await ready;
    const ms = performance.now() - from;
    const gone = until(worker, 'gone');
    workers.kill(worker);
    await gone;
    return ms;
  };
  const report = {};
  await workers.start();
  try {
    for (const language of ['python', 'javascript']) {
      const times = { bare: [], boxed: [] };
      await once(language, 1);
      await once(language, 2);
      for (let n = 0; n < rounds * 10; n += 1) {
        times.bare.push(await once(language, 1));
        times.boxed.push(await once(language, 2));
      }
      const [bare, boxed] = [spread(times.bare), spread(times.boxed)];
      report[language] = { bare_ms: bare, boxed_ms: boxed, more_ms_median: round(boxed.median - bare.median) };
      say(`box_start: ${language} ${bare.median} ms bare, ${boxed.median} ms in the box`);
    }
  } finally {
    await workers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return { ...report, aim: { more_ms_median: process.getuid?.() === 0 ? 25 : 10 } };
}

/** A burst and single tasks, at isolation 2 as multiples of isolation 1. */
export async function levels(rounds, say) {
  const program = 'def main(x): return x * x';
  const pools = [];
  const figures = { burst: [[], []], single: [[], []] };
  try {
    for (const isolation of [1, 2]) {
      const pool = await startPool({ portsFrom: 19_000 + isolation * 100, env: { POTLUCK_ISOLATION: String(isolation) } });
      pools.push({ pool, client: await pool.connect() });
    }
    const burst = async (client, count) => {
      const from = performance.now();
      await Promise.all(Array.from({ length: count }, (_, n) => client.submit({ language: 'python', program, args: [n] })));
      return (count * 1000) / (performance.now() - from);
    };
    const single = async (client) => {
      const from = performance.now();
      for (let n = 0; n < 100; n += 1) await client.submit({ language: 'python', program, args: [n] });
      return (performance.now() - from) / 100;
    };
    for (const { client } of pools) for (let n = 0; n < 2; n += 1) await burst(client, 10_000);
    for (let n = 0; n < rounds; n += 1) {
      for (const [at, { client }] of n % 2 === 0 ? pools.entries() : [...pools.entries()].toReversed()) {
        await quiet(2_500);
        figures.burst[at].push(await burst(client, 10_000));
        figures.single[at].push(await single(client));
      }
      say(`levels: ${figures.burst.map((values) => Math.round(values.at(-1))).join(' and ')} tasks/s, ${figures.single.map((values) => round(values.at(-1))).join(' and ')} ms`);
    }
  } finally {
    for (const { pool, client } of pools) {
      await client.close();
      await pool.stop();
    }
  }
  const of = ([one, two], better) => ({ isolation_1: spread(one), isolation_2: spread(two), ratio: round(better(spread(two).median, spread(one).median)) });
  return { burst_per_s: of(figures.burst, (two, one) => two / one), single_ms: of(figures.single, (two, one) => one / two), aim: { ratio: 0.9 } };
}
