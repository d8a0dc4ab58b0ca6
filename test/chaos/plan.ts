/**
 * What a chaos run does, from its seed: the tasks of each client, and the faults with their times.
 *
 * Owns: what a task must give (`expected`), told by nobody but this. The same seed and sizes give the same plan;
 * what then happens is up to the machine.
 */
import { createHash } from 'node:crypto';
import { Prng } from '../../src/lib/prng.ts';
import type { Hidden } from './proxy.ts';

export interface ChaosOptions {
  seed: number;
  tasks: number;
  clients: number;
  /** The first ones are the clients' homes. */
  peers: number;
  slots: number;
  /** With SIGKILL, of peers; and of the tracker and of clients. */
  peerKills: number;
  trackerKills: number;
  clientKills: number;
  pauses: number;
  pauseMsMax: number;
  linkFaults: number;
  /** Tasks are submitted and faults strike within this time. */
  windowMs: number;
}

export interface TaskPlan {
  id: string;
  atMs: number;
  /** Below 0: it raises an error. */
  x: string;
  seconds: number;
  /** Bytes beside the result, above what travels inside a message if large. */
  pad: number;
  once: boolean;
  cancelAfterMs: number | null;
  /** Which of the programs that do the same. */
  program: number;
}

export type Fault = { atMs: number } & (
  | { what: 'kill'; part: string; downMs: number }
  | { what: 'pause'; part: string; ms: number }
  | { what: 'kill client'; client: number; downMs: number }
  | { what: 'delay'; part: string; ms: number; delayMsMax: number }
  | { what: 'stall'; part: string; ms: number }
  | { what: 'refuse'; part: string; ms: number }
  | { what: 'cut'; part: string }
  | { what: 'half-open'; part: string; hidden: Hidden }
);

const PROGRAMS = 5;
/** A runner out of reach for so long is given up, and then comes back with results of attempts that are no longer current. */
const STRANDED_MS = 3_000;

/** Python that notes each run in a file of its own and gives what `expected` says. */
export const programOf = (at: number): string => `
import hashlib, os, time
# program ${at}

def main(path, id, x, seconds, pad):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"run\\n")
    os.close(fd)
    if seconds > 0:
        time.sleep(seconds)
    if x < 0:
        raise ValueError("told to fail")
    return {"id": id, "cube": x ** 3, "sum": hashlib.sha256(f"{id}:{x}".encode()).hexdigest(), "pad": "z" * pad}
`;

/** The result's JSON without spaces; undefined if it has to fail. */
export function expected({ id, x, pad }: TaskPlan): string | undefined {
  if (x.startsWith('-')) return undefined;
  const sum = createHash('sha256').update(`${id}:${x}`).digest('hex');
  return `{"id":"${id}","cube":${BigInt(x) ** 3n},"sum":"${sum}","pad":"${'z'.repeat(pad)}"}`;
}

export const peerNames = ({ peers }: ChaosOptions): string[] => Array.from({ length: peers }, (_, at) => `p${at}`);

/** By client, in the order of submitting. */
export function planTasks(options: ChaosOptions): TaskPlan[][] {
  const { seed, tasks, clients, windowMs } = options;
  const prng = new Prng(seed);
  const plans: TaskPlan[][] = Array.from({ length: clients }, () => []);
  const chance = (percent: number) => prng.below(1000) < percent * 10;
  let burstLeft = 0;
  let atMs = 0;
  for (let at = 0; at < tasks; at += 1) {
    // Some come one by one, some all at once.
    if (burstLeft === 0) {
      burstLeft = chance(10) ? 1 + prng.below(50) : 1;
      atMs = prng.below(windowMs);
    }
    burstLeft -= 1;
    const seconds = chance(60) ? 0 : chance(75) ? prng.below(200) / 1000 : (500 + prng.below(2500)) / 1000;
    plans[at % clients]!.push({
      id: `s${seed}-${at}`,
      atMs,
      x: `${chance(3) ? '-' : ''}${1 + prng.uint32()}${prng.uint32()}`,
      seconds,
      pad: chance(1) ? 70_000 + prng.below(50_000) : prng.below(100),
      once: chance(15),
      cancelAfterMs: chance(2) ? prng.below(500) : null,
      program: prng.below(PROGRAMS),
    });
  }
  return plans.map((plan) => plan.toSorted((a, b) => a.atMs - b.atMs));
}

/** In the order of time. */
export function planFaults(options: ChaosOptions): Fault[] {
  const { seed, clients, windowMs, peerKills, trackerKills, clientKills, pauses, pauseMsMax, linkFaults } = options;
  const prng = new Prng(seed ^ 0x5eed);
  const peers = peerNames(options);
  const parts = [...peers, 'tracker'];
  const between = (from: number, to: number) => from + prng.below(Math.max(1, to - from));
  const pick = <T>(from: readonly T[]): T => from[prng.below(from.length)]!;
  /** Short ones are as frequent as long ones. */
  const span = (from: number, to: number) => Math.round(from * (to / from) ** (prng.below(1000) / 1000));
  const when = () => between(windowMs * 0.03, windowMs * 0.97);
  const homes = peers.slice(0, clients);
  const runners = peers.length > clients ? peers.slice(clients) : peers;
  const faults: Fault[] = [];
  for (let n = 0; n < peerKills; n += 1) faults.push({ atMs: when(), what: 'kill', part: pick(n % 2 === 0 ? homes : runners), downMs: span(50, 4_000) });
  for (let n = 0; n < trackerKills; n += 1) faults.push({ atMs: when(), what: 'kill', part: 'tracker', downMs: span(50, 4_000) });
  for (let n = 0; n < clientKills; n += 1) faults.push({ atMs: when(), what: 'kill client', client: prng.below(clients), downMs: span(50, 2_000) });
  for (let n = 0; n < pauses; n += 1) {
    // Long enough, and soon enough, that a runner is given up while it still has something to say.
    const long = n % 5 === 0;
    faults.push({ atMs: long ? between(windowMs * 0.1, windowMs * 0.4) : when(), what: 'pause', part: pick(long ? runners : parts), ms: long ? between(pauseMsMax / 2, pauseMsMax) : span(100, pauseMsMax) });
  }
  const kinds = ['delay', 'stall', 'refuse', 'cut', 'half-open'] as const;
  for (let n = 0; n < linkFaults; n += 1) {
    const [atMs, part] = [when(), pick(parts)];
    const what = kinds[n % kinds.length]!;
    if (what === 'delay') faults.push({ atMs, what, part, ms: span(200, 10_000), delayMsMax: span(5, 300) });
    else if (what === 'stall') faults.push({ atMs, what, part, ms: span(100, 20_000) });
    else if (what === 'refuse') faults.push(n % 3 === 0 ? { atMs, what, part, ms: span(100, 6_000) } : { atMs: between(windowMs * 0.1, windowMs * 0.8), what, part: pick(runners), ms: between(STRANDED_MS, 2 * STRANDED_MS) });
    else if (what === 'cut') faults.push({ atMs, what, part });
    else faults.push({ atMs, what, part, hidden: pick(['from dialler', 'from target', 'from both'] as const) });
  }
  return faults.toSorted((a, b) => a.atMs - b.atMs);
}
