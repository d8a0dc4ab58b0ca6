/**
 * One run of a pool of three users from a seed: Alice and Bob with a home and runners each, Carl whose key may
 * only run tasks. Some of their machines take members' tasks, some only their user's. Bob also submits at
 * Alice's home. In the middle Bob is revoked, and the news takes its time to reach everybody.
 *
 * What must hold besides everything else that is checked of a pool: what is somebody's runs only where that is
 * taken; some seconds after the revocation nothing of Bob's runs on a machine of others, no home of others has
 * a task of his, and all tasks of others have their outcome.
 */
import { Prng } from '../../src/lib/prng.ts';
import { carryOut } from './faults.ts';
import { Broken } from './ledger.ts';
import { SimPool } from './pool.ts';
import { calmFromMs, Chance, endWithinMs, faultOf, planOf } from './scenario.ts';
import type { Member } from './sim-roster.ts';

const alice: Member = { key: 'a1'.repeat(32), role: 'admin' };
const bob: Member = { key: 'b0'.repeat(32), role: 'member' };
const carl: Member = { key: 'c2'.repeat(32), role: 'runner' };

/** Connected peers have the newer roster by then. */
const revokedWithinMs = 5_000;
/** From the word to the end of what ran: a tick of a runner, and its worker's death. */
const killedWithinMs = 1_500;
/** Who was cut off or asleep finds the tracker again. */
const backWithinMs = 25_000;

/** Of the seeds of `npm run sim`, these. */
export const isOfMembers = (seed: number): boolean => seed % 6 === 5;

/** Throws what is broken; `ran` has the pool as it stands then. */
export async function simulateMembers(seed: number, ran: (pool: SimPool) => void = () => {}): Promise<{ pool: SimPool; foreignRuns: number }> {
  const chance = new Chance(new Prng(seed));
  const pool = new SimPool(seed, [alice, bob, carl]);
  ran(pool);
  const { world, ledger } = pool;
  pool.tracker.start();
  const slots = () => 1 + chance.below(3);
  pool.addPeer('alice0', slots(), { member: alice, accepts: chance.pick(['own', 'members']) });
  pool.addPeer('alice1', slots(), { member: alice, accepts: 'members' });
  pool.addPeer('bob0', slots(), { member: bob, accepts: chance.pick(['own', 'members']) });
  pool.addPeer('carl0', slots(), { member: carl, accepts: 'members' });
  const clients = [
    { client: pool.addClient('alice0', undefined, alice), homeKey: alice.key },
    { client: pool.addClient('bob0', undefined, bob), homeKey: bob.key },
    // Only his key on this link tells his tasks from Alice's.
    { client: pool.addClient('alice0', undefined, bob), homeKey: alice.key },
  ];
  const homeKeyOf = new Map<string, string>();
  const tasks = 30 + chance.below(40);
  for (let at = 0; at < tasks; at += 1) {
    const { client, homeKey } = chance.pick(clients);
    const id = `t${at}`;
    const plan = planOf(chance, id);
    homeKeyOf.set(id, homeKey);
    world.later(chance.between(0, calmFromMs - 500), undefined, () => client.submit(plan));
    if (chance.one(0.1)) world.later(chance.between(0, calmFromMs), undefined, () => client.cancel(id));
  }
  const revokedAt = chance.between(2_000, calmFromMs - 2_000);
  world.later(revokedAt, undefined, () => {
    pool.revoke(bob.key);
    pool.checks.calmAt = Infinity;
  });
  // Longer than the news takes: they do not end by themselves in time.
  for (const [at, { client, homeKey }] of clients.entries()) {
    homeKeyOf.set(`long${at}`, homeKey);
    world.later(revokedAt - 1_000, undefined, () => client.submit({ id: `long${at}`, behaviour: { runMs: 50_000, how: 'returns' }, options: { retries: 2 } }));
  }
  const faults = seed % 2 === 0 ? [] : Array.from({ length: 1 + chance.below(4) }, () => faultOf(chance, ['alice0', 'alice1', 'bob0', 'carl0'], clients.length));
  for (const step of faults) world.later(step.at, undefined, () => carryOut(pool, step));
  pool.checks.calmAt = faults.length === 0 ? 2_000 : Infinity;
  pool.checks.idleSlotMsMax = 1_000;
  const knownBy = faults.length === 0 ? revokedAt + revokedWithinMs + killedWithinMs : calmFromMs + backWithinMs;
  let foreignRuns = 0;
  world.every(5, undefined, () => {
    for (const { id, runner: name, submitter } of ledger.running()) {
      const runner = pool.peer(name);
      if (runner.key === submitter && runner.key === homeKeyOf.get(id)) continue;
      foreignRuns += 1;
      if (runner.accepts !== 'members') throw new Broken(`${id} of ${submitter} runs on ${name}, which takes only tasks of ${runner.key}`);
      if (submitter === bob.key && runner.key !== bob.key && world.ms > knownBy) throw new Broken(`${id} of ${submitter}, who was revoked at ${revokedAt}, still runs on ${name} at ${world.ms}`);
    }
  });
  pool.checks.watch();
  await world.run(calmFromMs);
  pool.heal();
  await world.run(Math.max(world.ms, knownBy + 100));
  await pool.runToEnd(endWithinMs);
  for (const { name, key, homeState } of pool.peers.values()) {
    for (const { id, accepted } of key === bob.key ? [] : (homeState?.tasks.values() ?? [])) {
      if (accepted.submitter === bob.key) throw new Broken(`${name} still has the task ${id} of ${bob.key}, who was revoked`);
    }
  }
  // His machine is his own affair now.
  pool.peer('bob0').crash(false);
  await pool.checks.atRest();
  return { pool, foreignRuns };
}
