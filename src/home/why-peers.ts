/** Why a task still waits, peer by peer: which could take it later, which never, and what would mend it. */
import type { Need } from '../wire/messages.ts';
import type { HomeState } from './home-state.ts';
import { isUp, misfit, needOf, type Runner } from './placement-state.ts';
import type { Task } from './task-state.ts';

export interface PeerVerdict {
  peer: string;
  /** `free`: it could run it now; `busy`: when a slot is free; `away`: when it is back; `never`: as it is, never. */
  verdict: 'free' | 'busy' | 'away' | 'never';
  why: string;
}

export interface WaitingStory {
  /** In one sentence. */
  why: string;
  /** Tasks of this home that come before it. */
  ahead: number;
  peers: PeerVerdict[];
  /** The command or the change that would let it start, if something must be done. */
  fix: string | null;
  /** Wall clock, of a retry that is due then. */
  retry_at: string | null;
}

/** Beyond, peers are counted by `ahead` alone; a pool this large is not read by eye. */
const peersMax = 200;

export function waitingStory(home: HomeState, task: Task, now: { ms: number; wall: number }): WaitingStory {
  const line = home.waiting.lineOf(task);
  const { accepted } = task;
  const need = needOf(accepted.language, accepted.options, accepted.submitter !== home.key);
  const confidential = accepted.options.confidential === true;
  const peers = [...home.runners.values()].flatMap((runner) => (runner.info === undefined ? [] : [verdictOf(runner, need, home.key, confidential && runner.peer !== home.self ? home.self : undefined)]));
  const order = { free: 0, busy: 1, away: 2, never: 3 };
  peers.sort((a, b) => order[a.verdict] - order[b.verdict] || a.peer.localeCompare(b.peer, 'en', { numeric: true }));
  return {
    why: home.why(task),
    ahead: line === undefined ? 0 : aheadOf(home, task),
    peers: peers.slice(0, peersMax),
    fix: fixOf(peers, need, home),
    retry_at: line === undefined && task.notBefore > now.ms ? new Date(now.wall + task.notBefore - now.ms).toISOString() : null,
  };
}

function verdictOf(runner: Runner, need: Need, homeKey: string, onlyOn: string | undefined): PeerVerdict {
  const { peer, info } = runner;
  const never = misfit(info!, need, homeKey);
  if (onlyOn !== undefined) return { peer, verdict: 'never', why: `the task is confidential, so it runs only on ${onlyOn}` };
  if (never !== undefined) return { peer, verdict: 'never', why: `it has ${never}` };
  if (!isUp(runner)) return { peer, verdict: 'away', why: `it is ${info!.state}` };
  const used = Math.max(runner.others + runner.attempts.size, info!.running);
  const { slots } = info!;
  if (used >= slots) return { peer, verdict: 'busy', why: slots === 1 ? 'its only slot is taken' : `all of its ${slots} slots are taken` };
  return { peer, verdict: 'free', why: `${slots - used} of ${slots} slots are free` };
}

/** Counting all would take long where a million wait, and nobody reads the last digits. */
const countedMax = 100_000;

function aheadOf(home: HomeState, task: Task): number {
  let ahead = 0;
  let looked = 0;
  for (const other of home.tasks.values()) {
    if ((looked += 1) > countedMax) break;
    if (other.state === 'queued' && (other.order < task.order || (other.order === task.order && other.seq < task.seq))) ahead += 1;
  }
  return ahead;
}

function fixOf(peers: readonly PeerVerdict[], need: Need, home: HomeState): string | null {
  if (peers.some(({ verdict }) => verdict === 'free' || verdict === 'busy')) return home.trackerUp ? null : 'start the tracker again: potluck tracker';
  if (peers.some(({ verdict }) => verdict === 'away')) return 'start a peer that is away again, or another one: potluck peer';
  if (need.foreign === true) return 'no peer takes other members\' tasks: mend what potluck peers names, or start a peer that does';
  if (need.memoryMb !== undefined) return `start a peer on a machine with ${need.memoryMb} MB, or cancel it and ask for less with --memory`;
  return need.language === 'python' ? 'start a peer with Python: potluck peer --python PATH' : 'start a peer with Node: potluck peer --node PATH';
}
