/** The part of `status` that is about the process, not about tasks. */
import { thousandths } from '../lib/rounding.ts';
import type { Standing } from '../identity/acceptance.ts';
import type { LiveRoster } from '../identity/live-roster.ts';
import type { Home } from '../home/home.ts';
import { isLoopback } from '../lib/hosts.ts';
import type { Runner } from '../runner/runner.ts';
import type { Interpreter } from '../sandbox/interpreters.ts';
import { version } from '../version.ts';
import { wireCounters } from '../wire/index.ts';
import { hasOthers, whyOnlyOwn } from './acceptance.ts';
import type { ProvenLevel } from './box-proof.ts';
import type { TrackerLink } from './tracker-link.ts';

export interface StatusSource {
  name: string;
  pool: () => string;
  home: Home;
  runner: Runner;
  tracker: TrackerLink;
  level: () => ProvenLevel;
  interpreters: readonly Interpreter[];
  startedAt: number;
  roster: LiveRoster;
  ownKey: string;
  standing: () => Standing;
}

export function statusOf(source: StatusSource): Record<string, unknown> {
  const { name, pool, home, runner, tracker, level, interpreters, startedAt } = source;
  const { state } = runner;
  const granted = home.state.runners.get(name)?.info?.granted ?? 0;
  const path = (language: string) => interpreters.find((interpreter) => interpreter.language === language)?.path ?? null;
  return {
    peer: name,
    pool: pool(),
    cpu_load: thousandths(state.cpuLoad),
    load: thousandths(Math.min(1, Math.max(granted, state.running) / Math.max(1, state.slots))),
    slots: state.slots,
    running: state.running,
    tracker: { ...tracker.address, connected: tracker.connected },
    isolation: level().level,
    ...source.standing(),
    role: source.roster.roleOf(source.ownKey) ?? null,
    python: path('python'),
    node: path('javascript'),
    version,
    uptime_ms: Math.round(performance.now() - startedAt),
    stale_results: home.state.staleResults,
    links: { refused: wireCounters.refused, malformed: wireCounters.malformed, unknown_kinds: wireCounters.unknownKinds },
    health: health(source),
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
function health({ home, runner, tracker, interpreters, level, roster, ownKey, standing }: StatusSource): { problem: string; fix: string }[] {
  if (runner.state.draining) return [{ problem: 'this peer is shutting down', fix: 'use another peer, or start this one again' }];
  const { storeProblem } = home.state;
  if (storeProblem !== undefined) return [{ problem: storeProblem.message, fix: storeProblem.hint ?? 'check the disk under the pool\'s folder' }];
  if (roster.isRevoked(ownKey)) return [{ problem: 'this machine was revoked: its key is no member\'s any more', fix: 'to come back with a new invitation, remove member.key and pool.json in the folder of the pool (~/.potluck) first' }];
  if (!tracker.connected) {
    const { host, port } = tracker.address;
    return [{ problem: `no tracker at ${host}:${port}; placement is from memory`, fix: isLoopback(host) ? `start it: potluck tracker --port ${port}` : `start it on its machine: potluck tracker --port ${port}; or check the way there` }];
  }
  if (interpreters.every(({ language }) => language !== 'python')) {
    return [{ problem: 'this peer has no python3, so it runs no Python tasks', fix: 'install Python 3.8 or newer, or name one with --python PATH, and start the peer again' }];
  }
  const onlyOwn = hasOthers(roster, ownKey) ? whyOnlyOwn(standing(), level()) : undefined;
  if (onlyOwn !== undefined && standing().withheld !== 'owner') return [onlyOwn];
  const silent = [...home.state.runners.values()].find(({ info }) => info?.state === 'suspected' || info?.state === 'lost');
  if (silent !== undefined) return [{ problem: `peer ${silent.peer} is ${silent.info?.state}`, fix: 'start it again, or leave it: its tasks go elsewhere' }];
  return [];
}
