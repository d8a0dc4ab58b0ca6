/** One run of a whole pool from a seed: who there is, what is submitted, what goes wrong, what must hold at the end. */
import { SimPool } from './pool.ts';
import type { Plan } from './sim-client.ts';
import type { Behaviour } from './sim-workers.ts';

/** Tasks come and faults happen until then. */
const calmFromMs = 8_000;
/** What is still frozen, two leases, the retries' pauses, and the runs themselves. */
const endWithinMs = 90_000;

export function plan(pool: SimPool, id: string): Plan {
  const { world } = pool;
  const how: Behaviour['how'] = world.chance(0.85) ? 'returns' : world.pick(['raises', 'exits', 'eats_memory']);
  const long = world.chance(0.1);
  const runMs = long ? world.between(200, 2_000) : world.chance(0.5) ? world.between(0.05, 1) : world.between(1, 50);
  return {
    id,
    behaviour: { runMs, how },
    follow: world.chance(0.3),
    program: world.pick(['a', 'b']).repeat(64),
    options: {
      ...(world.chance(0.2) ? { once: true } : {}),
      ...(world.chance(0.1) ? { confidential: true } : {}),
      ...(world.chance(0.1) ? { fresh: true } : {}),
      ...(world.chance(0.1) ? { memoryMb: 64 } : {}),
      ...(world.chance(0.2) ? { retries: 2 } : {}),
      ...(world.chance(0.1) ? { priority: 1 } : {}),
      ...(world.chance(0.1) ? { timeoutMs: Math.ceil(world.between(1, 500)) } : {}),
      ...(world.chance(0.05) ? { waitMs: Math.ceil(world.between(100, 3_000)) } : {}),
    },
  };
}

export function fault(pool: SimPool): void {
  const { world, network, tracker } = pool;
  const names = [...pool.peers.keys()];
  const name = world.pick(names);
  const afterMs = world.between(10, 4_000);
  switch (world.prng.below(9)) {
    case 0:
      // Some die in a compaction or just after it.
      if (world.chance(0.5)) pool.peer(name).home?.compact();
      world.later(world.between(0, 5), undefined, () => pool.crashPeer(name, world.chance(0.3)));
      world.later(5 + afterMs, undefined, () => pool.peer(name).start());
      return;
    case 1:
      pool.crashTracker(world.chance(0.3));
      world.later(afterMs, undefined, () => (tracker.life === undefined ? tracker.start() : undefined));
      return;
    case 2:
    case 3:
      return network.cutOne();
    case 4:
      return pool.peer(name).runner?.workers.dieOne();
    case 5:
      pool.peer(name).disk.full = true;
      world.later(afterMs, undefined, () => (pool.peer(name).disk.full = false));
      return;
    case 6:
    case 7:
      return pool.freeze(world.chance(0.8) ? pool.peer(name).life : tracker.life, world.chance(0.7) ? world.between(50, 5_000) : world.between(5_000, 25_000));
    default:
      pool.peer(name).drain();
      world.later(afterMs, undefined, () => pool.crashPeer(name, false));
      world.later(afterMs + 10, undefined, () => pool.peer(name).start());
  }
}

/** Throws what is broken. */
export function simulate(seed: number): SimPool {
  const pool = new SimPool(seed);
  const { world } = pool;
  pool.tracker.start();
  const count = 2 + world.prng.below(3);
  for (let at = 0; at < count; at += 1) pool.addPeer(`p${at}`, 1 + world.prng.below(4), { machine: world.pick(['m0', 'm1', 'm2']), cpuLoad: () => world.between(0, 0.3) });
  const clients = [...pool.peers.keys()].slice(0, 1 + world.prng.below(count)).map((home) => pool.addClient(home));
  pool.watch();
  const tasks = 10 + world.prng.below(60);
  for (let at = 0; at < tasks; at += 1) {
    const client = world.pick(clients);
    const id = `t${at}`;
    const submitAt = world.chance(0.5) ? world.between(0, calmFromMs - 500) : 1_000;
    world.later(submitAt, undefined, () => client.submit(plan(pool, id)));
    if (world.chance(0.15)) world.later(submitAt + (world.chance(0.5) ? world.between(0, 5) : world.between(0, 500)), undefined, () => client.cancel(id));
    if (world.chance(0.1)) world.later(submitAt + world.between(0, 500), undefined, () => client.submitAgain(id));
  }
  const faults = seed % 4 === 0 ? 0 : 1 + world.prng.below(6);
  for (let at = 0; at < faults; at += 1) world.later(world.between(500, calmFromMs - 1_000), undefined, () => fault(pool));
  const compactions = world.prng.below(6);
  for (let at = 0; at < compactions; at += 1) world.later(world.between(500, calmFromMs), undefined, () => pool.peer(world.pick([...pool.peers.keys()])).home?.compact());
  pool.calmAt = faults === 0 ? 2_000 : Infinity;
  world.run(calmFromMs);
  pool.heal();
  pool.runToEnd(endWithinMs);
  pool.checkRest();
  return pool;
}
