/**
 * One run of a whole pool from a seed: who there is, what is submitted, what goes wrong, what must hold at the end.
 *
 * What happens is drawn up first, as a list of steps; so a step can be left out and the rest done again, which
 * is how a failure is made short (shrink.ts). Everything else that is up to chance (how long a message takes)
 * comes from generators of the parts' own.
 */
import { Prng } from '../../src/lib/prng.ts';
import type { TaskOptions } from '../../src/wire/messages.ts';
import { carryOut } from './faults.ts';
import { type PeerOptions, SimPool } from './pool.ts';
import type { Plan } from './sim-client.ts';
import type { Behaviour } from './sim-workers.ts';
import { between, pick } from './world.ts';

/** Something that somebody does, or that goes wrong. `which` chooses among what there is then. */
export type Step = { at: number } & (
  | { do: 'submit'; client: number; plan: Plan }
  | { do: 'cancel'; id: string }
  /** By another program, as one does that does not know what became of the first. */
  | { do: 'submit again'; id: string }
  | { do: 'submit another under its id'; id: string }
  | { do: 'kill client'; client: number; forMs: number }
  | { do: 'kill peer'; peer: string; forMs: number; withMachine: boolean; compacting: boolean; inFlush: boolean }
  /** For good. */
  | { do: 'lose peer'; peer: string }
  | { do: 'kill tracker'; forMs: number; withMachine: boolean }
  | { do: 'stop peer'; peer: string; forMs: number }
  | { do: 'break link'; which: number; noticeMs: [number, number] }
  | { do: 'block'; from: string; to: string; both: boolean; forMs: number }
  | { do: 'slow'; from: string; to: string; delayMs: number; forMs: number }
  | { do: 'freeze'; machine: string; forMs: number }
  | { do: 'kill worker'; peer: string; which: number }
  | { do: 'fill disk'; peer: string; forMs: number }
  | { do: 'fail flush'; peer: string }
  | { do: 'slow disk'; peer: string; delayMs: number; forMs: number }
  | { do: 'flip bit'; peer: string; which: number; forMs: number }
  | { do: 'lose index'; peer: string; forMs: number }
  | { do: 'turn wall clock'; machine: string; aheadMs: number }
  | { do: 'compact'; peer: string }
);

export interface PeerPlan extends Omit<PeerOptions, 'cpuLoad' | 'machine'> {
  name: string;
  slots: number;
  machine: string;
  cpuLoadMax: number;
}

export interface Script {
  seed: number;
  peers: PeerPlan[];
  /** The home of each client. */
  clients: string[];
  steps: Step[];
  /** Messages travel as bytes. */
  asBytes: boolean;
}

/** Tasks come and faults happen until then. */
export const calmFromMs = 8_000;
/** What is still frozen, two leases, the retries' pauses, and the runs themselves. */
export const endWithinMs = 120_000;

/** Longer than any run; Infinity has no place in JSON. */
const neverMs = 1e9;

export const isFault = (step: Step): boolean => !['submit', 'cancel', 'submit again', 'submit another under its id', 'compact'].includes(step.do);

/** Everything that a seed makes happen. */
export function scriptOf(seed: number): Script {
  const chance = new Chance(new Prng(seed));
  const count = 2 + chance.below(chance.one(0.1) ? 7 : 3);
  const small = chance.one(0.4);
  const peers = Array.from({ length: count }, (_, at): PeerPlan => ({
    name: `p${at}`,
    slots: 1 + chance.below(4),
    machine: chance.pick(['m0', 'm1', 'm2']),
    cpuLoadMax: chance.one(0.3) ? 0.9 : 0.3,
    isFlaky: chance.one(0.3),
    rate: chance.one(0.3) ? chance.between(0.95, 1.05) : 1,
    ...(small ? { segmentBytesMax: 4_000 } : {}),
    ...(small && chance.one(0.5) ? { retention: { endedTasksMax: 5 + chance.below(30) } } : {}),
  }));
  const names = peers.map(({ name }) => name);
  const clients = names.slice(0, 1 + chance.below(count));
  if (chance.one(0.3)) clients.push(chance.pick(names));
  const tasks = seed % 8 === 0 ? burstOf(chance) : tasksOf(chance, clients);
  const faults = seed % 4 === 0 ? [] : Array.from({ length: 1 + chance.below(7) }, () => faultOf(chance, names, clients.length));
  const spare = names.filter((name) => !clients.includes(name));
  if (seed % 4 !== 0 && spare.length > 0 && chance.one(0.3)) faults.push({ do: 'lose peer', at: chance.between(1_000, calmFromMs), peer: chance.pick(spare) });
  const compactions = Array.from({ length: chance.below(4) }, (): Step => ({ do: 'compact', at: chance.between(500, calmFromMs), peer: chance.pick(names) }));
  return { seed, peers, clients, steps: [...tasks, ...faults, ...compactions], asBytes: chance.one(0.1) };
}

/** Draws from one generator. */
export class Chance {
  readonly #prng: Prng;
  constructor(prng: Prng) {
    this.#prng = prng;
  }
  below = (bound: number): number => this.#prng.below(bound);
  between = (low: number, high: number): number => between(this.#prng, low, high);
  one = (probability: number): boolean => this.between(0, 1) < probability;
  pick = <T>(choices: readonly T[]): T => pick(this.#prng, choices);
}

function tasksOf(chance: Chance, clients: readonly string[]): Step[] {
  const steps: Step[] = [];
  const count = 10 + chance.below(chance.one(0.1) ? 400 : 60);
  for (let at = 0; at < count; at += 1) {
    const id = `t${at}`;
    const submitAt = chance.one(0.5) ? chance.between(0, calmFromMs - 500) : 1_000;
    steps.push({ do: 'submit', at: submitAt, client: chance.below(clients.length), plan: planOf(chance, id) });
    const soon = (ms: number) => submitAt + (chance.one(0.5) ? chance.between(0, 5) : chance.between(0, ms));
    if (chance.one(0.15)) steps.push({ do: 'cancel', at: soon(500), id });
    if (chance.one(0.1)) steps.push({ do: 'submit again', at: soon(3_000), id });
    if (chance.one(0.03)) steps.push({ do: 'submit another under its id', at: soon(3_000), id });
  }
  return steps;
}

/** Tiny tasks, some first and then enough of them that they are sent ahead; some leave something behind. */
function burstOf(chance: Chance): Step[] {
  return Array.from({ length: 200 + chance.below(300) }, (_, at): Step => {
    const behaviour: Behaviour = { runMs: chance.between(0.05, 1), how: 'returns', ...(chance.one(0.05) ? { leaves: true } : {}) };
    return { do: 'submit', at: at < 30 ? 1_000 : 2_500, client: 0, plan: { id: `t${at}`, program: 'a', behaviour, ...(chance.one(0.1) ? { options: optionsOf(chance) } : {}) } };
  });
}

export function planOf(chance: Chance, id: string): Plan {
  const how: Behaviour['how'] = chance.one(0.85) ? 'returns' : chance.pick(['raises', 'exits', 'eats_memory']);
  const runMs = chance.one(0.1) ? (chance.one(0.3) ? chance.between(2_000, 20_000) : chance.between(200, 2_000)) : chance.one(0.5) ? chance.between(0.05, 1) : chance.between(1, 50);
  return {
    id,
    behaviour: { runMs, how, ...(chance.one(0.02) ? { resultBytes: 70_000 + chance.below(100_000) } : {}), ...(chance.one(0.02) ? { leaves: true } : {}) },
    follow: chance.one(0.3),
    program: chance.pick(['a', 'b', 'c']),
    ...(chance.one(0.02) ? { argsBytes: 70_000 + chance.below(100_000) } : {}),
    options: optionsOf(chance),
  };
}

function optionsOf(chance: Chance): TaskOptions {
  return {
    ...(chance.one(0.2) ? { once: true } : {}),
    ...(chance.one(0.1) ? { confidential: true } : {}),
    ...(chance.one(0.1) ? { fresh: true } : {}),
    ...(chance.one(0.1) ? { memoryMb: 64 } : {}),
    ...(chance.one(0.2) ? { retries: 2 } : {}),
    ...(chance.one(0.1) ? { priority: 1 } : {}),
    ...(chance.one(0.1) ? { timeoutMs: Math.ceil(chance.between(1, 500)) } : {}),
    ...(chance.one(0.05) ? { waitMs: Math.ceil(chance.between(100, 3_000)) } : {}),
  };
}

export function faultOf(chance: Chance, peers: readonly string[], clients: number): Step {
  const at = chance.between(500, calmFromMs - 1_000);
  const peer = chance.pick(peers);
  const machines = [...peers, 'tracker'];
  const forMs = chance.between(10, 4_000);
  switch (chance.below(19)) {
    case 0:
    case 1:
    case 2:
      return { do: 'kill peer', at, peer, forMs, withMachine: chance.one(0.5), compacting: chance.one(0.4), inFlush: Math.floor(forMs) % 2 === 0 };
    case 3:
    case 4:
      return { do: 'kill tracker', at, forMs, withMachine: chance.one(0.3) };
    case 5:
    case 6: {
      const notice = () => (chance.one(0.6) ? chance.between(0, 5) : chance.one(0.5) ? chance.between(0, 10_000) : neverMs);
      return { do: 'break link', at, which: chance.between(0, 1), noticeMs: [notice(), notice()] };
    }
    case 7:
      return { do: 'kill worker', at, peer, which: chance.between(0, 1) };
    case 8:
      return { do: 'fill disk', at, peer, forMs };
    case 9:
      return { do: 'fail flush', at, peer };
    case 10:
    case 11:
      return { do: 'freeze', at, machine: chance.one(0.8) ? peer : 'tracker', forMs: chance.one(0.7) ? chance.between(50, 5_000) : chance.between(5_000, 25_000) };
    case 12:
      return { do: 'stop peer', at, peer, forMs };
    case 13:
    case 14: {
      const from = chance.pick(machines);
      const to = chance.pick(machines.filter((name) => name !== from));
      return { do: 'block', at, from, to, both: chance.one(0.5), forMs: chance.one(0.6) ? forMs : chance.between(5_000, 30_000) };
    }
    case 15: {
      const from = chance.pick(machines);
      return { do: 'slow', at, from, to: chance.pick(machines.filter((name) => name !== from)), delayMs: chance.between(5, 500), forMs };
    }
    case 16:
      return chance.one(0.5) ? { do: 'slow disk', at, peer, delayMs: chance.between(10, 500), forMs } : { do: 'lose index', at, peer, forMs };
    case 17:
      return chance.one(0.5) ? { do: 'flip bit', at, peer, which: chance.between(0, 1), forMs } : { do: 'turn wall clock', at, machine: chance.pick(machines), aheadMs: chance.between(-1e8, 1e8) };
    default:
      return { do: 'kill client', at, client: chance.below(clients), forMs };
  }
}

/** Does everything in the script. Throws what is broken; `ran` has the pool as it stands then. */
export async function perform(script: Script, ran: (pool: SimPool) => void = () => {}): Promise<SimPool> {
  const pool = new SimPool(script.seed);
  ran(pool);
  const { world } = pool;
  pool.network.asBytes = script.asBytes;
  pool.tracker.start();
  for (const { name, slots, cpuLoadMax, ...more } of script.peers) {
    const load = world.stream(`cpu ${name}`);
    pool.addPeer(name, slots, { ...more, cpuLoad: () => between(load, 0, cpuLoadMax) });
  }
  for (const home of script.clients) pool.addClient(home);
  pool.checks.watch();
  for (const step of script.steps) world.later(step.at, undefined, () => carryOut(pool, step));
  pool.checks.calmAt = script.steps.some(isFault) ? Infinity : 2_000;
  // Hundreds of tasks of every kind at once: recalls, turns and restarted workers lie between a slot and its task.
  pool.checks.idleSlotMsMax = 1_000;
  await world.run(calmFromMs);
  pool.heal();
  await pool.runToEnd(endWithinMs);
  await pool.checks.atRest();
  return pool;
}

/** A whole run. Throws what is broken. */
export const simulate = (seed: number): Promise<SimPool> => perform(scriptOf(seed));
