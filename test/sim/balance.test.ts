/** Balance in simulated pools: the same deciders as everywhere, with load and time made up. */
import { describe, expect, it } from 'vitest';
import { SimPool } from './pool.ts';
import type { SimClient } from './sim-client.ts';

/** A pool that is up, with a client at its first peer. */
async function poolOf(slots: readonly number[], more: { cpuLoads?: readonly (() => number)[]; seed?: number } = {}): Promise<{ pool: SimPool; client: SimClient }> {
  const pool = new SimPool(more.seed ?? 1);
  pool.tracker.start();
  slots.forEach((count, at) => pool.addPeer(`p${at}`, count, { cpuLoad: more.cpuLoads?.[at] ?? (() => 0) }));
  const client = pool.addClient('p0');
  pool.checks.watch();
  await pool.run(2_000);
  return { pool, client };
}

const submitMany = (client: SimClient, prefix: string, count: number, runMs: number) => {
  for (let at = 0; at < count; at += 1) client.submit({ id: `${prefix}${at}`, behaviour: { runMs, how: 'returns' } });
};

const endedOn = (pool: SimPool): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { peer } of pool.ledger.outcomes().values()) counts[peer ?? ''] = (counts[peer ?? ''] ?? 0) + 1;
  return counts;
};

const runningOn = (pool: SimPool): number[] => [...pool.peers.values()].map(({ runner }) => runner?.state.running ?? 0);

/** One task after another, each submitted when the one before has ended. */
async function inTurn(pool: SimPool, count: number, runMs: number): Promise<void> {
  let at = 0;
  const client = pool.addClient('p0', () => next());
  const next = () => {
    if (at < count) client.submit({ id: `s${(at += 1)}`, behaviour: { runMs, how: 'returns' } });
  };
  await pool.run(pool.world.ms + 100);
  next();
  await pool.runToEnd(120_000);
}

describe('three idle equal peers', () => {
  it.each([0.5, 20, 400, 3_000])('get 8 to 12 each of thirty tasks of %d ms one after another', async (runMs) => {
    const { pool } = await poolOf([4, 4, 4]);
    await inTurn(pool, 30, runMs);
    const counts = Object.values(endedOn(pool));
    expect(counts).toHaveLength(3);
    for (const count of counts) expect(count).toBeGreaterThanOrEqual(8);
    for (const count of counts) expect(count).toBeLessThanOrEqual(12);
  });

  it('start twelve sleeping tasks at once, four on each', async () => {
    const { pool, client } = await poolOf([4, 4, 4]);
    submitMany(client, 't', 12, 2_000);
    await pool.run(2_200);
    expect(runningOn(pool)).toEqual([4, 4, 4]);
  });

  it('start a second burst at once, too', async () => {
    const { pool, client } = await poolOf([4, 4, 4]);
    submitMany(client, 'a', 12, 300);
    await pool.run(2_800);
    submitMany(client, 'b', 12, 2_000);
    await pool.run(3_000);
    expect(runningOn(pool)).toEqual([4, 4, 4]);
  });
});

describe('a busy peer', () => {
  it('with all slots taken gets none of eight', async () => {
    const { pool, client } = await poolOf([4, 4, 4]);
    for (let at = 0; at < 4; at += 1) client.submit({ id: `busy${at}`, behaviour: { runMs: 10_000, how: 'returns' }, options: { confidential: true } });
    await pool.run(2_500);
    expect(runningOn(pool)).toEqual([4, 0, 0]);
    submitMany(client, 't', 8, 1_000);
    await pool.run(2_800);
    expect(runningOn(pool)).toEqual([4, 4, 4]);
    await pool.run(5_000);
    expect(endedOn(pool)).toEqual({ p1: 4, p2: 4 });
  });

  it('whose machine does other work comes last, and still gets what the others cannot take', async () => {
    const { pool, client } = await poolOf([4, 4, 4], { cpuLoads: [() => 0, () => 0.95, () => 0] });
    submitMany(client, 't', 8, 1_000);
    await pool.run(2_300);
    expect(runningOn(pool)).toEqual([4, 0, 4]);
    submitMany(client, 'u', 4, 1_000);
    await pool.run(2_600);
    expect(runningOn(pool)).toEqual([4, 4, 4]);
  });

  it('gets none of thirty in turn while its machine is busy', async () => {
    const { pool } = await poolOf([4, 4, 4], { cpuLoads: [() => 0, () => 0.95, () => 0] });
    await inTurn(pool, 30, 20);
    expect(Object.keys(endedOn(pool)).toSorted()).toEqual(['p0', 'p2']);
  });

  it('gets none of thirty in turn from another home while most of its slots are taken', async () => {
    const { pool } = await poolOf([4, 4, 4]);
    const other = pool.addClient('p1');
    await pool.run(2_100);
    for (let at = 0; at < 3; at += 1) other.submit({ id: `busy${at}`, behaviour: { runMs: 20_000, how: 'returns' }, options: { confidential: true } });
    await pool.run(3_000);
    await inTurn(pool, 30, 20);
    const turns = [...pool.ledger.outcomes()].filter(([id]) => id.startsWith('s')).map(([, { peer }]) => peer);
    expect(new Set(turns)).toEqual(new Set(['p0', 'p2']));
  });

  it('that becomes so while tasks come in turn gets no more of them', async () => {
    const { pool } = await poolOf([4, 4, 4]);
    const other = pool.addClient('p1');
    await pool.run(2_100);
    pool.world.later(900, undefined, () => {
      for (let at = 0; at < 3; at += 1) other.submit({ id: `busy${at}`, behaviour: { runMs: 20_000, how: 'returns' }, options: { confidential: true } });
    });
    await inTurn(pool, 150, 20);
    const late = [...pool.ledger.outcomes()].filter(([id]) => id.startsWith('s') && Number(id.slice(1)) > 100).map(([, { peer }]) => peer);
    expect(new Set(late)).toEqual(new Set(['p0', 'p2']));
  });

  it('gets its part again once its machine is quiet', async () => {
    let cpu = 0.95;
    const { pool } = await poolOf([4, 4, 4], { cpuLoads: [() => 0, () => cpu, () => 0] });
    await inTurn(pool, 10, 20);
    cpu = 0;
    await pool.run(pool.world.ms + 3_000);
    const before = endedOn(pool)['p1'] ?? 0;
    const { world } = pool;
    const client = pool.addClient('p0');
    await pool.run(world.ms + 100);
    submitMany(client, 'again', 12, 500);
    await pool.runToEnd(20_000);
    expect((endedOn(pool)['p1'] ?? 0) - before).toBe(4);
  });
});

describe('who comes later', () => {
  it('has work within a second while a thousand wait', async () => {
    const { pool, client } = await poolOf([2, 2]);
    submitMany(client, 't', 1_000, 50);
    await pool.run(2_500);
    pool.addPeer('late', 2);
    await pool.run(3_500);
    expect(pool.peer('late').runner?.state.running).toBe(2);
    await pool.runToEnd(60_000);
  });

  it('with ten tasks does not wait behind another home\'s thousands', async () => {
    const { pool, client } = await poolOf([4, 4, 4]);
    submitMany(client, 'many', 2_000, 100);
    await pool.run(3_000);
    const other = pool.addClient('p1');
    await pool.run(3_050);
    submitMany(other, 'few', 10, 100);
    await pool.run(4_050);
    expect([...pool.ledger.outcomes().keys()].filter((id) => id.startsWith('few'))).toHaveLength(10);
    await pool.runToEnd(120_000);
  });

  it('shares equally when both have more than enough', async () => {
    const { pool, client } = await poolOf([4, 4, 4]);
    submitMany(client, 'one', 2_000, 100);
    await pool.run(2_500);
    const other = pool.addClient('p1');
    await pool.run(2_550);
    submitMany(other, 'two', 2_000, 100);
    await pool.run(4_000);
    const before = new Set(pool.ledger.outcomes().keys());
    await pool.run(9_000);
    const since = [...pool.ledger.outcomes().keys()].filter((id) => !before.has(id));
    const one = since.filter((id) => id.startsWith('one')).length;
    expect(one / since.length).toBeGreaterThan(0.45);
    expect(one / since.length).toBeLessThan(0.55);
    expect(since.length).toBeGreaterThan(12 * 5_000 * 0.9 / 100);
  });
});

describe('tiny tasks', () => {
  it('keep slots busy: two thousand of half a millisecond take little longer than they must', async () => {
    const { pool, client } = await poolOf([2, 2]);
    submitMany(client, 'warm', 50, 0.5);
    await pool.runToEnd(5_000);
    const from = pool.world.ms;
    submitMany(client, 't', 2_000, 0.5);
    await pool.runToEnd(20_000);
    expect(pool.world.ms - from).toBeLessThan((2_000 * 0.5) / 4 * 3);
  });

  it('do not keep a slow one waiting behind them, nor wait behind it', async () => {
    const { pool, client } = await poolOf([2, 2]);
    submitMany(client, 'warm', 50, 0.5);
    await pool.runToEnd(5_000);
    for (let at = 0; at < 3; at += 1) client.submit({ id: `slow${at}`, behaviour: { runMs: 5_000, how: 'returns' } });
    submitMany(client, 't', 500, 0.5);
    await pool.run(pool.world.ms + 1_500);
    expect([...pool.ledger.outcomes().keys()].filter((id) => id.startsWith('t'))).toHaveLength(500);
    await pool.runToEnd(20_000);
  });
});

describe('without a tracker', () => {
  it('running and new tasks go on, from memory, on the peers last heard of', async () => {
    const { pool, client } = await poolOf([2, 2, 2]);
    submitMany(client, 'before', 6, 1_000);
    await pool.run(2_300);
    pool.crashTracker(false);
    await pool.run(2_400);
    submitMany(client, 'after', 12, 200);
    await pool.run(6_000);
    expect(pool.ledger.open()).toEqual([]);
    const decided = [...pool.ledger.outcomes()].filter(([id]) => id.startsWith('after')).map(([, { receipt }]) => receipt?.decided);
    expect(new Set(decided)).toEqual(new Set(['from_memory']));
    expect(Object.keys(endedOn(pool))).toHaveLength(3);
  });

  it('peers are back within five seconds of its return', async () => {
    const { pool } = await poolOf([2, 2, 2]);
    pool.crashTracker(false);
    await pool.run(60_000);
    pool.tracker.start();
    await pool.run(65_000);
    expect(pool.tracker.state?.peers().filter(({ state }) => state === 'up')).toHaveLength(3);
  });
});

describe('a task that is retried', () => {
  it('goes to another peer, even while its own has room', async () => {
    const { pool, client } = await poolOf([2, 2]);
    client.submit({ id: 't', behaviour: { runMs: 5, how: 'raises' }, options: { retries: 1 } });
    await pool.runToEnd(10_000);
    const attempts = [...pool.peers.values()].flatMap(({ homeState }) => homeState?.recent.get('t')?.attempts ?? []);
    expect(new Set(attempts.map(({ peer }) => peer)).size).toBe(2);
  });
});
