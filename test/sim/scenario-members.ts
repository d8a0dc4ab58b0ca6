/**
 * One run of a pool of three users from a seed: Alice and Bob with a home and runners each, Carl whose key may
 * only run tasks. Some of their machines take members' tasks, some only their user's. Bob also submits at
 * Alice's home. In the middle Bob is revoked, and the news takes its time to reach everybody.
 *
 * What must hold besides everything else that is checked of a pool: what is somebody's runs only where that is
 * taken; some seconds after the revocation nothing of Bob's runs on a machine of others, no home of others has
 * a task of his, and all tasks of others have their outcome.
 */
import { Broken } from './ledger.ts';
import type { Member } from './members.ts';
import { revokedWithinMs, SimPool } from './pool.ts';
import { fault, plan } from './scenario.ts';

const alice: Member = { key: 'alice', role: 'admin' };
const bob: Member = { key: 'bob', role: 'member' };
const carl: Member = { key: 'carl', role: 'runner' };

const calmFromMs = 8_000;
const endWithinMs = 90_000;
/** From the word to the end of what ran: a tick of a runner, and its worker's death. */
const killedWithinMs = 1_500;

/** Throws what is broken. */
export function simulateMembers(seed: number): { pool: SimPool; foreignRuns: number } {
  const pool = new SimPool(seed);
  const { world, ledger } = pool;
  pool.tracker.start();
  pool.addPeer('alice0', 1 + world.prng.below(3), { member: alice, accepts: world.pick(['own', 'members']) });
  pool.addPeer('alice1', 1 + world.prng.below(3), { member: alice, accepts: 'members' });
  pool.addPeer('bob0', 1 + world.prng.below(3), { member: bob, accepts: world.pick(['own', 'members']) });
  pool.addPeer('carl0', 1 + world.prng.below(3), { member: carl, accepts: 'members' });
  const clients = [
    { client: pool.addClient('alice0', undefined, alice), homeKey: alice.key },
    { client: pool.addClient('bob0', undefined, bob), homeKey: bob.key },
    // Only his key on this link tells his tasks from Alice's.
    { client: pool.addClient('alice0', undefined, bob), homeKey: alice.key },
  ];
  const homeKeyOf = new Map<string, string>();
  const tasks = 30 + world.prng.below(40);
  for (let at = 0; at < tasks; at += 1) {
    const { client, homeKey } = world.pick(clients);
    const id = `t${at}`;
    homeKeyOf.set(id, homeKey);
    world.later(world.between(0, calmFromMs - 500), undefined, () => client.submit(plan(pool, id)));
    if (world.chance(0.1)) world.later(world.between(0, calmFromMs), undefined, () => client.cancel(id));
  }
  const revokedAt = world.between(2_000, calmFromMs - 2_000);
  world.later(revokedAt, undefined, () => {
    pool.revoke(bob.key);
    pool.calmAt = Infinity;
  });
  // Longer than the news takes: they do not end by themselves in time.
  for (const [at, { client, homeKey }] of clients.entries()) {
    homeKeyOf.set(`long${at}`, homeKey);
    world.later(revokedAt - 1_000, undefined, () => client.submit({ id: `long${at}`, behaviour: { runMs: 25_000, how: 'returns' }, options: { retries: 2 } }));
  }
  const faults = seed % 2 === 0 ? 0 : 1 + world.prng.below(4);
  for (let at = 0; at < faults; at += 1) world.later(world.between(500, calmFromMs - 1_000), undefined, () => fault(pool));
  pool.calmAt = faults === 0 ? 2_000 : Infinity;
  let foreignRuns = 0;
  world.every(5, undefined, () => {
    for (const { id, runner: name, submitter } of ledger.running()) {
      const runner = pool.peer(name);
      if (runner.key === submitter && runner.key === homeKeyOf.get(id)) continue;
      foreignRuns += 1;
      if (runner.accepts !== 'members') throw new Broken(`${id} of ${submitter} runs on ${name}, which takes only tasks of ${runner.key}`);
      const since = Math.max(revokedAt + revokedWithinMs, runner.life?.frozenUntil ?? 0) + killedWithinMs;
      if (submitter === bob.key && runner.key !== bob.key && world.ms > since) throw new Broken(`${id} of ${submitter}, who was revoked at ${revokedAt}, still runs on ${name} at ${world.ms}`);
    }
  });
  pool.watch();
  world.run(calmFromMs);
  pool.heal();
  world.run(Math.max(world.ms, revokedAt + revokedWithinMs + 100));
  pool.runToEnd(endWithinMs);
  for (const { name, key, home } of pool.peers.values()) {
    for (const { id, accepted } of key === bob.key ? [] : (home?.state.tasks.values() ?? [])) {
      if (accepted.submitter === bob.key) throw new Broken(`${name} still has the task ${id} of ${bob.key}, who was revoked`);
    }
  }
  // His machine is his own affair now.
  pool.crashPeer('bob0', false);
  pool.checkRest();
  return { pool, foreignRuns };
}
