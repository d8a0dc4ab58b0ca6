/**
 * `npm run screenshots`: pictures of each page of a real pool with real tasks, into docs/images (or the folder named).
 *
 * Needs Chromium: CHROMIUM, or one of the usual places. With `--check` it writes nothing and only looks whether
 * everything can be shown.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { ensureBuilt } from './ensure.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const potluck = join(root, 'bin/potluck.js');
const out = process.argv[2] ?? join(root, 'docs/images');
const browserPath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => path !== undefined && existsSync(path));
if (browserPath === undefined) {
  console.error('error: there is no Chromium\n  why: none of the usual places has one\n  fix: apt-get install chromium, or set CHROMIUM');
  process.exit(1);
}

ensureBuilt();
const home = mkdtempSync(join(tmpdir(), 'potluck-pictures-'));
const env = { ...process.env, POTLUCK_HOME: home, NO_COLOR: '1' };

/** Runs a command to its end; gives what it printed. */
function run(args, { status: wanted = [0] } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [potluck, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let error = '';
    child.stdout.on('data', (data) => (text += data));
    child.stderr.on('data', (data) => (error += data));
    child.on('close', (status) => (wanted.includes(status) ? resolve(text) : reject(new Error(`potluck ${args.join(' ')}: ${status}\n${text}${error}`))));
  });
}

const slow = 'import time\ndef simulate(seed, seconds):\n    print(f"simulating with seed {seed}")\n    time.sleep(seconds)\n    return seed';
const progress = `import sys, time
def train(epochs):
    print("\\x1b[1mtraining\\x1b[0m on 2 workers")
    for epoch in range(epochs):
        for step in range(0, 101, 20):
            sys.stdout.write(f"\\repoch {epoch + 1}: {step:3d} % ")
            sys.stdout.flush()
            time.sleep(0.02)
        print(f"\\x1b[32mloss {1 / (epoch + 1):.4f}\\x1b[0m")
    print("warning: learning rate is high", file=sys.stderr)
    return {"epochs": epochs, "checksum": 3544790567247868102}`;
const failing = 'def parse(line):\n    key, value = line.split("=")\n    return {key: int(value)}';

async function fill(port) {
  const cpu = (...args) => run(['cpu', '--port', port, '--quiet', ...args], { status: [0, 1, 5] });
  for (const n of [5, 12, 31]) await cpu('--program', 'def main(x): return x * x', '--args', `[${n}]`);
  await cpu('--id', 'train-7', '--program', progress, '--function', 'train', '--args', '[6]');
  for (const line of ['retries=3', 'timeout', 'name=seven', 'timeout']) await cpu('--program', failing, '--function', 'parse', '--args', JSON.stringify([line]));
  await cpu('--program', 'import time\ndef crawl(): time.sleep(60)', '--function', 'crawl', '--timeout', '0.5');
  await run(['cpu', '--port', port, '--detach', '--id', 'flaky-import', '--retries', '5', '--program', 'def fetch(url): raise ConnectionError("503 from " + url)', '--function', 'fetch', '--args', '["https://example.org/data"]']);
  for (let seed = 0; seed < 7; seed += 1) await run(['cpu', '--port', port, '--detach', '--id', `simulate-${seed}`, '--program', slow, '--function', 'simulate', '--args', `[${seed}, 90]`]);
}

const views = [
  { name: 'overview', path: '#/', ready: '.cells' },
  { name: 'tasks', path: '#/tasks', ready: '.trow a' },
  { name: 'task', path: '#/tasks/train-7', ready: '.out .l' },
  { name: 'waiting', path: '#/tasks/simulate-6', ready: 'section[aria-label="Why it waits"]' },
  { name: 'failed', path: '', ready: 'section[aria-label="Error"]' },
  { name: 'submit', path: '#/submit', ready: '.editor:not([hidden]):not(textarea)' },
  { name: 'processes', path: '#/processes', ready: 'td.mono' },
  { name: 'pool', path: '#/pool', ready: 'td.mono' },
  { name: 'access', path: '#/access', ready: 'td.mono' },
];

const up = spawn(process.execPath, [potluck, 'up', '--json', '--slots', '2', '--port', '19440', '--web-port', '19540', '--tracker-port', '19640'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
const profile = mkdtempSync(join(tmpdir(), 'potluck-chromium-'));
let browser;
try {
  const pool = JSON.parse(await new Promise((resolve, reject) => {
    let text = '';
    up.stdout.on('data', (data) => (text += data).includes('\n') && resolve(text));
    up.on('exit', (status) => reject(new Error(`the pool ended with status ${status}: ${text}`)));
  }));
  const port = String(pool.peers[0].port);
  await fill(port);
  const failed = JSON.parse(await run(['history', '--port', port, '--state', 'failed', '--limit', '1', '--json']))[0].id;
  await new Promise((resolve) => setTimeout(resolve, Number(process.env.PICTURES_AFTER_MS ?? 20_000)));
  browser = await chromium.launchPersistentContext(profile, { executablePath: browserPath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars'], viewport: { width: 1440, height: 900 } });
  mkdirSync(out, { recursive: true });
  const page = await browser.newPage();
  const said = [];
  page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  const { link } = JSON.parse(await run(['page', '--port', port, '--json']));
  await page.goto(link);
  await page.waitForSelector('.cells');
  const address = link.slice(0, link.indexOf('#'));
  const widths = (process.env.PICTURES_WIDTHS ?? '1440').split(',').map(Number);
  const themes = (process.env.PICTURES_THEMES ?? 'light,dark').split(',');
  for (const width of widths) {
    await page.setViewportSize({ width, height: width < 500 ? 780 : 900 });
    for (const theme of themes) {
      await page.emulateMedia({ colorScheme: theme });
      for (const { name, path, ready } of views) {
        await page.goto(`${address}${name === 'failed' ? `#/tasks/${failed}` : path}`);
        await page.waitForSelector(ready, { timeout: 10_000 });
        await page.waitForTimeout(700);
        await page.screenshot({ path: join(out, `page-${name}${width === 1440 ? '' : `-${width}`}${theme === 'light' ? '' : '-dark'}.png`), fullPage: width < 500 });
      }
    }
  }
  if (said.length > 0) throw new Error(`the browser said:\n${[...new Set(said)].join('\n')}`);
} finally {
  await browser?.close();
  rmSync(profile, { recursive: true, force: true });
  const ended = new Promise((resolve) => up.once('exit', resolve));
  if (up.exitCode === null) {
    up.kill('SIGTERM');
    setTimeout(() => up.kill('SIGTERM'), 500);
    await ended;
  }
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}
