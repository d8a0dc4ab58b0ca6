/** A pool of real processes for a benchmark: own POTLUCK_HOME, free ports, gone afterwards. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../dist/sdk.js';

export const potluck = fileURLToPath(new URL('../bin/potluck.js', import.meta.url));

/** Starts `potluck up` and resolves when all of its peers are there. */
export async function startPool({ peers = 3, slots, portsFrom = 19_000, env: more = {} } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'potluck-bench-'));
  const env = { ...process.env, ...more, POTLUCK_HOME: home };
  const args = ['up', '--json', '--peers', String(peers), '--port', String(portsFrom), '--web-port', String(portsFrom - 4_000), '--tracker-port', String(portsFrom - 112), ...(slots === undefined ? [] : ['--slots', String(slots)])];
  const startedAt = performance.now();
  const up = spawn(process.execPath, [potluck, ...args], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => up.on('exit', resolve));
  const document = await new Promise((resolve, reject) => {
    let text = '';
    up.stdout.on('data', (chunk) => {
      text += chunk;
      if (!text.includes('\n')) return;
      const document = JSON.parse(text);
      if (document.error === undefined) resolve(document);
      else reject(new Error(document.error.message));
    });
    up.on('exit', () => reject(new Error('potluck up ended')));
  });
  const upMs = performance.now() - startedAt;
  return {
    upMs,
    startedAt,
    pids: [document.tracker.pid, ...document.peers.map(({ pid }) => pid)],
    port: document.peers[0].port,
    home,
    connect: () => connect({ port: document.peers[0].port, home }),
    async stop() {
      up.kill('SIGTERM');
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export const quiet = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A process and all that descend from it. */
export function family(pid) {
  const pids = [pid];
  for (let at = 0; at < pids.length; at += 1) {
    try {
      for (const thread of readdirSync(`/proc/${pids[at]}/task`)) {
        const children = readFileSync(`/proc/${pids[at]}/task/${thread}/children`, 'utf8').trim();
        if (children !== '') pids.push(...children.split(' ').map(Number));
      }
    } catch {
      // It ended meanwhile.
    }
  }
  return pids;
}

/** Proportional set size of processes, MB. */
export function pssMb(pids) {
  let kb = 0;
  for (const pid of pids) kb += Number(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Pss: +(\d+) kB$/m)[1]);
  return kb / 1024;
}

/** CPU time that a process has used, ms. */
export function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export const spread = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  return { min: round(sorted[0]), median: round(at(0.5)), p95: round(at(0.95)), max: round(sorted.at(-1)) };
};
export const round = (value) => Math.round(value * 1000) / 1000;
export const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
