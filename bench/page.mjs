/** What an open page costs its peer, and how soon it is there. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { cpuMs, potluck, quiet, round, spread, startPool } from './pool.mjs';

const assets = fileURLToPath(new URL('../dist/web/assets', import.meta.url));
const browserPath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path !== undefined && existsSync(path));
const restMs = 8_000;
const pacedMs = 5_000;
const perSecond = 2_000;

/** @param rounds with and without an open page in turn */
export async function page(rounds, say) {
  const pool = await startPool({ peers: 1, slots: 2 });
  const client = await pool.connect();
  const run = (...args) => execFileSync(process.execPath, [potluck, 'page', '--port', String(pool.port), ...args], { encoding: 'utf8', env: { ...process.env, POTLUCK_HOME: pool.home } }).trim();
  const token = run('--token', 'bench', '--quiet');
  const { link } = JSON.parse(run('--json'));
  const address = link.slice(0, link.indexOf('/#'));
  const peer = pool.pids[1];
  const used = async (work) => {
    const from = cpuMs(peer);
    const at = performance.now();
    await work();
    return (cpuMs(peer) - from) / (performance.now() - at);
  };
  const rest = { without: [], with: [] };
  const paced = { without: [], with: [] };
  try {
    await burstOf(client, pacedMs);
    await quiet(6_000);
    for (let n = 0; n < rounds; n += 1) {
      // In turn the one and the other first: a process gets faster as it runs.
      for (const open of n % 2 === 0 ? [false, true] : [true, false]) {
        const close = open ? watch(address, token) : () => undefined;
        const to = open ? 'with' : 'without';
        rest[to].push(await used(() => quiet(restMs)));
        paced[to].push(await used(() => burstOf(client, pacedMs)));
        close();
        await quiet(6_000);
      }
      say(`page: at rest ${round(rest.with.at(-1) * 100)} % of a core (${round(rest.without.at(-1) * 100)} without), at ${perSecond} tasks/s ${round(paced.with.at(-1) * 100)} % (${round(paced.without.at(-1) * 100)} without)`);
    }
    return {
      first_load_kb_gzip: round(firstLoad() / 1024),
      first_paint_ms: browserPath === undefined ? null : spread(await firstPaint(link, address, rounds)),
      rest_share_of_core: spread(rest.with.map((value, at) => value - rest.without[at])),
      paced_cpu_ratio: spread(paced.with.map((value, at) => value / paced.without[at])),
      aim: { first_load_kb_gzip: 60, first_paint_ms: 500, rest_share_of_core: 0.02, paced_cpu_ratio: 1.03 },
    };
  } finally {
    await client.close();
    await pool.stop();
  }
}

/** Everything that the overview loads. */
const firstLoad = () => readdirSync(assets).filter((name) => /^(?:index|plot-draw)-/.test(name)).reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).length, 0);

/** What an open overview and an open list ask. */
function watch(address, token) {
  const abort = new AbortController();
  const headers = { Authorization: `Bearer ${token}` };
  void fetch(`${address}/api/v1/events`, { headers, signal: abort.signal })
    .then(async ({ body }) => {
      for await (const _piece of body) continue;
    })
    .catch(() => undefined);
  return () => abort.abort();
}

/** That many a second, sent evenly. */
async function burstOf(client, ms) {
  const tasks = [];
  const from = performance.now();
  while (performance.now() - from < ms) {
    const due = Math.floor(((performance.now() - from) * perSecond) / 1000);
    while (tasks.length < due) tasks.push(client.submit({ language: 'python', program: 'def main(): pass' }));
    await quiet(5);
  }
  await Promise.all(tasks);
}

/** First contentful paint of a fresh tab, logged in. */
async function firstPaint(link, address, rounds) {
  const { chromium } = await import('playwright-core');
  const profile = mkdtempSync(join(tmpdir(), 'potluck-chromium-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath: browserPath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const times = [];
  try {
    const first = await context.newPage();
    await first.goto(link);
    await first.locator('.cells').first().waitFor();
    for (let n = 0; n < rounds; n += 1) {
      const tab = await context.newPage();
      await tab.goto(address);
      await tab.locator('.cells').first().waitFor();
      times.push(await tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()"));
      await tab.close();
    }
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
  return times;
}
