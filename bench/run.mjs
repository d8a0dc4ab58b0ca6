/**
 * `npm run bench`: potluck's own figures and Python's ProcessPoolExecutor side by side, as one JSON document.
 *
 * The machine is shared and noisy, so what is compared is interleaved in one run, round by round, and reported
 * as ratios with their spread. `--rounds N` (default 5), `--only NAME`.
 */
import { execFile, execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { boxStart, levels } from './box.mjs';
import { page } from './page.mjs';
import { family, potluck, pssMb, python, quiet, round, spread, startPool } from './pool.mjs';

const flag = (name, byDefault) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? byDefault : process.argv[at + 1];
};
const rounds = Number(flag('--rounds', '5'));
// `npm run bench -- page` is short for `--only page`.
const only = flag('--only', process.argv[2]?.startsWith('--') ? undefined : process.argv[2]);
const square = 'def main(x): return x * x';
const say = (line) => console.error(line);

/** Tasks per second of a burst of no-op functions, beside ProcessPoolExecutor's. */
async function burst() {
  const pool = await startPool();
  const client = await pool.connect();
  const count = 10_000;
  const once = async () => {
    const from = performance.now();
    const tasks = [];
    for (let n = 0; n < count; n += 1) tasks.push(client.submit({ language: 'python', program: square, args: [n] }));
    const results = await Promise.all(tasks);
    const perSecond = (count * 1000) / (performance.now() - from);
    if (results[count - 1] !== (count - 1) ** 2) throw new Error('a wrong result');
    return perSecond;
  };
  const executor = fileURLToPath(new URL('process_pool.py', import.meta.url));
  const ours = [];
  const theirs = [];
  try {
    await once();
    await once();
    for (let n = 0; n < rounds; n += 1) {
      // History follows a burst by a second; it must not fall into the other's round.
      await quiet(2_500);
      ours.push(await once());
      await quiet(2_500);
      theirs.push(Number(execFileSync(python, [executor, String(count)], { encoding: 'utf8' })));
      say(`burst: potluck ${Math.round(ours.at(-1))}/s, ProcessPoolExecutor ${Math.round(theirs.at(-1))}/s`);
    }
  } finally {
    await client.close();
    await pool.stop();
  }
  return { tasks: count, potluck_per_s: spread(ours), process_pool_executor_per_s: spread(theirs), ratio: spread(ours.map((value, at) => value / theirs[at])), aim: { potluck_per_s: 10_000, ratio: 2 } };
}

/**
 * Milliseconds from submit to result, one task at a time, beside the flush of this disk: in a pool that was just
 * started, and in one whose code has run often enough to be compiled.
 */
async function oneAtATime() {
  const pool = await startPool();
  const client = await pool.connect();
  const folder = mkdtempSync(join(tmpdir(), 'potluck-flush-'));
  const file = openSync(join(folder, 'file'), 'w');
  const record = Buffer.alloc(300);
  const flushes = [];
  const timed = async (work) => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };
  const task = (n) => client.submit({ language: 'python', program: square, args: [n] });
  const measure = async (count) => {
    const tasks = [];
    for (let n = 0; n < count; n += 1) {
      flushes.push(
        await timed(() => {
          writeSync(file, record);
          fdatasyncSync(file);
        }),
      );
      tasks.push(await timed(() => task(n)));
    }
    return spread(tasks);
  };
  try {
    for (let n = 0; n < 100; n += 1) await task(n);
    const started = await measure(400);
    for (let n = 0; n < 2_500; n += 1) await task(n);
    flushes.length = 0;
    const compiled = await measure(100 * rounds);
    const flush = spread(flushes);
    return { task_ms: compiled, just_started_ms: started, flush_ms: flush, aim: { task_ms_median: round(2 * flush.median + 1) } };
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
    await client.close();
    await pool.stop();
  }
}

/** From the command to the first result, and what an idle pool takes in memory. */
async function startAndMemory() {
  const run = promisify(execFile);
  const firstResult = [];
  const memory = [];
  for (let n = 0; n < rounds; n += 1) {
    const from = performance.now();
    const pool = await startPool();
    const client = await pool.connect();
    await client.submit({ language: 'python', program: square, args: [5] });
    firstResult.push(performance.now() - from);
    await quiet(1_000);
    memory.push(pssMb([...new Set(pool.pids.flatMap((pid) => family(pid)))]));
    await client.close();
    await pool.stop();
  }
  const bare = [];
  const command = [];
  for (let n = 0; n < 2 * rounds; n += 1) {
    let from = performance.now();
    await run(process.execPath, ['-e', '0']);
    bare.push(performance.now() - from);
    from = performance.now();
    await run(process.execPath, [potluck, '--version']);
    command.push(performance.now() - from);
  }
  return { up_to_first_result_ms: spread(firstResult), idle_pool_pss_mb: spread(memory), bare_node_ms: spread(bare), potluck_version_ms: spread(command), aim: { up_to_first_result_ms: 2_000, idle_pool_pss_mb: 350 } };
}

/** 200 sleeps of 20 ms on 4 slots, as a multiple of the time that they must take. */
async function sleeps() {
  const pool = await startPool({ peers: 2, slots: 2 });
  const client = await pool.connect();
  const program = 'import time\ndef main(s): time.sleep(s)';
  const count = 200;
  const idealMs = (count * 20) / 4;
  const ratios = [];
  try {
    const run = (seconds, times) => Promise.all(Array.from({ length: times }, () => client.submit({ language: 'python', program, args: [seconds] })));
    await run(0.05, 16);
    for (let n = 0; n < rounds; n += 1) {
      const from = performance.now();
      await run(0.02, count);
      ratios.push((performance.now() - from) / idealMs);
    }
  } finally {
    await client.close();
    await pool.stop();
  }
  return { tasks: count, slots: 4, ideal_ms: idealMs, times_ideal: spread(ratios), aim: { times_ideal: 1.1 } };
}

const benches = { burst, one_at_a_time: oneAtATime, start_and_memory: startAndMemory, sleeps, box_start: () => boxStart(rounds, say), levels: () => levels(rounds, say), page: () => page(rounds, say) };
const report = { node: process.version, cores: availableParallelism(), cpu: cpus()[0]?.model ?? 'unknown', rounds };
for (const [name, bench] of Object.entries(benches)) {
  if (only !== undefined && only !== name) continue;
  say(`${name} …`);
  report[name] = await bench();
}
console.log(JSON.stringify(report, null, 2));
