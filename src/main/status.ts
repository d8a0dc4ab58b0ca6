/** The part of `status` that is about the process, not about tasks. */
import type { Home } from '../home/home.ts';
import type { Runner } from '../runner/runner.ts';
import type { Interpreter } from '../sandbox/interpreters.ts';
import { version } from '../version.ts';
import { wireCounters } from '../wire/index.ts';
import type { ProvenLevel } from './box-proof.ts';
import type { TrackerLink } from './tracker-link.ts';

export interface StatusSource {
  name: string;
  pool: string;
  home: Home;
  runner: Runner;
  tracker: TrackerLink;
  level: ProvenLevel;
  interpreters: readonly Interpreter[];
  startedAt: number;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

export function statusOf({ name, pool, home, runner, tracker, level, interpreters, startedAt }: StatusSource): Record<string, unknown> {
  const { state } = runner;
  const granted = home.state.runners.get(name)?.info?.granted ?? 0;
  const path = (language: string) => interpreters.find((interpreter) => interpreter.language === language)?.path ?? null;
  return {
    peer: name,
    pool,
    cpu_load: round(state.cpuLoad),
    load: round(Math.min(1, Math.max(granted, state.running) / Math.max(1, state.slots))),
    slots: state.slots,
    running: state.running,
    tracker: { ...tracker.address, connected: tracker.connected },
    isolation: level.level,
    python: path('python'),
    node: path('javascript'),
    version,
    uptime_ms: Math.round(performance.now() - startedAt),
    stale_results: home.state.staleResults,
    links: { refused: wireCounters.refused, malformed: wireCounters.malformed, unknown_kinds: wireCounters.unknownKinds },
    health: health(home, tracker, interpreters, state.draining),
  };
}

/** Its workers; reading their memory looks at each process. */
export const processRows = (runner: Runner): Record<string, unknown>[] =>
  runner.processes().map((process) => ({
    pid: process.pid,
    language: process.language,
    since_ms: Math.round(process.ageMs),
    tasks_run: process.jobsRun,
    rss_mb: process.rssBytes === null ? null : Math.round(process.rssBytes / 1_048_576),
    state: process.busy ? 'busy' : 'idle',
  }));

/** Root causes only: what follows from another problem is not listed beside it. */
function health(home: Home, tracker: TrackerLink, interpreters: readonly Interpreter[], draining: boolean): { problem: string; fix: string }[] {
  if (draining) return [{ problem: 'this peer is shutting down', fix: 'use another peer, or start this one again' }];
  const { storeProblem } = home.state;
  if (storeProblem !== undefined) return [{ problem: storeProblem.message, fix: storeProblem.hint ?? 'check the disk under the pool\'s folder' }];
  if (!tracker.connected) {
    const { host, port } = tracker.address;
    return [{ problem: `no tracker at ${host}:${port}; placement is from memory`, fix: `start it: potluck tracker --port ${port}` }];
  }
  if (interpreters.every(({ language }) => language !== 'python')) {
    return [{ problem: 'this peer has no python3, so it runs no Python tasks', fix: 'install Python 3.8 or newer, or name one with --python PATH, and start the peer again' }];
  }
  const silent = [...home.state.runners.values()].find(({ info }) => info?.state === 'suspected' || info?.state === 'lost');
  if (silent !== undefined) return [{ problem: `peer ${silent.peer} is ${silent.info?.state}`, fix: 'start it again, or leave it: its tasks go elsewhere' }];
  return [];
}
