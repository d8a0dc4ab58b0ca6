/** History and journal are bounded; what waits, and what is within the bounds, is not touched. */
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Story } from '../../src/home/records.ts';
import { hashOf } from '../../src/store/blobs.ts';
import { realFiles } from '../../src/store/real-files.ts';
import { HomeOnDisk, type OnDisk, workshop } from './home-on-disk.ts';

let place: Awaited<ReturnType<typeof workshop>>;
let folder: string;
let open: HomeOnDisk[];

beforeAll(async () => {
  place = await workshop();
});
afterAll(() => place.remove());
beforeEach(async () => {
  folder = await place.folder();
  open = [];
});
afterEach(async () => {
  for (const on of open) {
    await on.home.stop();
    expect(on.broken).toEqual([]);
  }
});

async function startAlone(more: Partial<OnDisk> = {}): Promise<HomeOnDisk> {
  const on = new HomeOnDisk({ folder, indexWorker: place.indexWorker, segmentBytesMax: 4_000, ...more });
  await on.start();
  open.push(on);
  return on;
}

const start = async (more: Partial<OnDisk> = {}): Promise<HomeOnDisk> => (await startAlone(more)).withRunner();

async function stop(on: HomeOnDisk): Promise<void> {
  await on.home.stop();
  expect(on.broken).toEqual([]);
  open = open.filter((other) => other !== on);
}

const ids = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}${String(at).padStart(3, '0')}`);
const segments = async () => (await readdir(join(folder, 'journal'))).filter((name) => name.endsWith('.log')).length;

async function knownOf(on: HomeOnDisk, all: readonly string[]): Promise<string[]> {
  const known = [];
  for (const id of all) known.push(await on.know(id));
  return known;
}

describe('ended tasks', () => {
  it('are pruned beyond their count, oldest first; what is left of them is their outcome; a restart and a new index tell the same', async () => {
    const all = ids('t', 200);
    const on = await start({ retention: { endedTasksMax: 50 } });
    for (let at = 0; at < all.length; at += 10) await on.run(all.slice(at, at + 10));
    await on.compacted();
    const known = await knownOf(on, all);
    const kept = known.filter((what) => what === 'done').length;
    expect(kept).toBeGreaterThanOrEqual(50);
    expect(kept).toBeLessThan(80);
    expect(known).toEqual(all.map((_, at) => (at < all.length - kept ? 'pruned done' : 'done')));
    expect(await segments()).toBeLessThan(15);
    await stop(on);

    const again = await start({ retention: { endedTasksMax: 50 } });
    expect(await knownOf(again, all)).toEqual(known);
    await again.home.store.settleHistory();
    expect((await again.home.store.index.query({ limit: 1 })).total).toBe(kept);
    await stop(again);

    await rm(join(folder, 'history.db'));
    const rebuilt = await start({ retention: { endedTasksMax: 50 } });
    expect(await knownOf(rebuilt, all)).toEqual(known);
    expect((await rebuilt.home.store.index.query({ limit: 1 })).total).toBe(kept);
  });

  it('are pruned beyond the bytes of the journal, large values included', async () => {
    const all = ids('t', 100);
    const on = await start({ retention: { journalBytesMax: 8_000 } });
    for (let at = 0; at < all.length; at += 10) await on.run(all.slice(at, at + 10));
    await on.compacted();
    const facts = on.home.store.segments.all;
    expect(facts.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(13_000);
    expect(await on.know('t000')).toBe('pruned done');
    expect(await on.know('t099')).toBe('done');
    const large = await on.home.store.blobs.put(Buffer.alloc(100_000, 1));
    await on.run(['large'], () => ({ hash: large, size: 100_000 }));
    const more = ids('u', 40);
    for (let at = 0; at < more.length; at += 10) await on.run(more.slice(at, at + 10));
    await on.compacted();
    expect(await on.know('large')).toBe('pruned done');
    expect(await on.know('u039')).toBe('done');
  });

  it('are pruned beyond their age', async () => {
    const all = ids('t', 60);
    const on = await start({ retention: { endedAgeMsMax: 0 } });
    for (let at = 0; at < all.length; at += 10) await on.run(all.slice(at, at + 10));
    await on.compacted();
    expect(await on.know('t000')).toBe('pruned done');
    expect(on.home.store.segments.all.length).toBeLessThanOrEqual(2);
  });

  it('that began in a segment that goes and ended in one that stays are kept whole', async () => {
    const on = await start({ retention: { endedTasksMax: 50 } });
    on.submit('early', { args: Buffer.from('["early"]') });
    const before = ids('t', 100);
    for (let at = 0; at < before.length; at += 9) await on.run(before.slice(at, at + 9));
    const { attempts } = on.home.state.tasks.get('early')!;
    on.done('early');
    await on.flushed();
    const after = ids('u', 45);
    for (let at = 0; at < after.length; at += 9) await on.run(after.slice(at, at + 9));
    await on.compacted();
    expect(await on.know('t000')).toBe('pruned done');
    expect(await on.know('early')).toBe('done');
    await stop(on);
    await rm(join(folder, 'history.db'));
    const again = await start({ retention: { endedTasksMax: 50 } });
    const story = (await again.home.ended('early')) as Story;
    expect(story).toMatchObject({ accepted: { digest: 'digest of early' }, attempts: attempts.map((attempt) => ({ ...attempt, state: 'done' })), ended: { state: 'done', peer: 'a' } });
    expect(Buffer.from(story.accepted.args as Uint8Array).toString()).toBe('["early"]');
    expect(Buffer.from(story.ended.result as Uint8Array).toString()).toBe('"result of early"');
  });

  it('of which only the outcome is left are let go beyond the count of those, and their ids are free', async () => {
    const all = ids('t', 400);
    const on = await start({ retention: { endedTasksMax: 40, prunedTasksMax: 50 } });
    for (let at = 0; at < all.length; at += 10) await on.run(all.slice(at, at + 10));
    await on.compacted();
    const known = await knownOf(on, all);
    const left = known.filter((what) => what === 'pruned done').length;
    expect(left).toBeGreaterThanOrEqual(50);
    expect(left).toBeLessThan(300);
    expect(known[0]).toBe('nothing');
    await on.run(['t000']);
    expect(await on.know('t000')).toBe('done');
    await stop(on);
    await rm(join(folder, 'history.db'));
    const again = await start({ retention: { endedTasksMax: 40, prunedTasksMax: 50 } });
    expect(await knownOf(again, all)).toEqual(['done', ...known.slice(1)]);
  });
});

describe('tasks that wait or run', () => {
  it('are the same after their first records were dropped, and after a restart', async () => {
    const on = await start({ retention: { endedTasksMax: 20 } });
    for (const id of ids('run', 5)) on.submit(id);
    const all = ids('t', 150);
    for (let at = 0; at < all.length; at += 5) await on.run(all.slice(at, at + 5));
    for (const id of ids('wait', 30)) on.submit(id, { args: Buffer.from(`["${id}"]`) });
    await on.compacted();
    const tasks = [...on.home.state.tasks.values()].map(({ id, accepted, seq, attempts }) => structuredClone({ id, accepted, seq, attempts })).toSorted((a, b) => a.seq - b.seq);
    expect(tasks).toHaveLength(35);
    expect(tasks[0]!.seq).toBeLessThan(on.home.store.segments.firstSeq);
    await stop(on);
    const again = await startAlone({ retention: { endedTasksMax: 20 } });
    const replayed = [...again.home.state.tasks.values()].map(({ id, accepted, seq, attempts }) => ({ id, accepted, seq, attempts })).toSorted((a, b) => a.seq - b.seq);
    expect(replayed.map(({ id, seq, attempts }) => ({ id, seq, attempts }))).toEqual(tasks.map(({ id, seq, attempts }) => ({ id, seq, attempts })));
    expect(replayed.map(({ accepted: { args, digest } }) => [Buffer.from(args as Uint8Array).toString(), digest])).toEqual(tasks.map(({ accepted: { args, digest } }) => [Buffer.from(args as Uint8Array).toString(), digest]));
  });

  it('do not make the journal be written again and again', async () => {
    const on = await start({ retention: { journalBytesMax: 10_000 } });
    on.home.dispatch({ type: 'tracker_away' });
    on.home.dispatch({ type: 'runner_unlinked', peer: 'a' });
    const waiting = ids('wait', 300);
    for (const id of waiting) on.submit(id);
    await on.flushed();
    await on.compacted();
    const written = on.home.store.appendedSeq;
    expect(written).toBeLessThan(4 * 300);
    await on.compacted();
    expect(on.home.store.appendedSeq).toBe(written);
    expect(await knownOf(on, waiting)).toEqual(waiting.map(() => 'queued'));
  });
});

describe('blobs', () => {
  const blobsIn = async () => {
    const names = await readdir(join(folder, 'blobs'), { recursive: true });
    return names.map((name) => name.slice(-64)).filter((name) => /^[0-9a-f]{64}$/.test(name)).toSorted();
  };

  it('go with the last record that names them, and those of kept and waiting tasks stay', async () => {
    const on = await start({ retention: { endedTasksMax: 20, journalBytesMax: 1e9 } });
    const { blobs } = on.home.store;
    const [args, early, late, shared] = await Promise.all([1, 2, 3, 4].map((n) => blobs.put(Buffer.alloc(70_000, n))));
    on.submit('waits', { args: { hash: args!, size: 70_000 } });
    await on.run(['early'], () => ({ hash: early!, size: 70_000 }));
    await on.run(['first'], () => ({ hash: shared!, size: 70_000 }));
    const all = ids('t', 100);
    for (let at = 0; at < all.length; at += 5) await on.run(all.slice(at, at + 5));
    await on.run(['late'], () => ({ hash: late!, size: 70_000 }));
    expect(await on.home.store.blobs.put(Buffer.alloc(70_000, 4))).toBe(shared);
    await on.run(['second'], () => ({ hash: shared!, size: 70_000 }));
    await on.compacted();
    expect([await on.know('early'), await on.know('first'), await on.know('late')]).toEqual(['pruned done', 'pruned done', 'done']);
    const wanted = [args!, late!, shared!].toSorted();
    expect(await blobsIn()).toEqual(wanted);
    await stop(on);
    const again = await start({ retention: { endedTasksMax: 20, journalBytesMax: 1e9 } });
    expect(await blobsIn()).toEqual(wanted);
    for (const hash of wanted) expect(hashOf(await again.home.store.blobs.read(hash))).toBe(hash);
  });

  it('that nothing names are gone after a start, and kept for a while before', async () => {
    const on = await start();
    const hash = await on.home.store.blobs.put(Buffer.from('an answer'));
    await on.compacted();
    expect(existsSync(join(folder, 'blobs', hash.slice(0, 2), hash))).toBe(true);
    await stop(on);
    await start();
    expect(existsSync(join(folder, 'blobs', hash.slice(0, 2), hash))).toBe(false);
  });

  it('that somebody holds stay until they are let go', async () => {
    const on = await start({ retention: { endedTasksMax: 10 }, files: realFiles });
    const hash = await on.home.store.blobs.put(Buffer.alloc(70_000, 9));
    await on.run(['named'], () => ({ hash, size: 70_000 }));
    const release = on.home.store.holdBlobs([hash]);
    const all = ids('t', 100);
    for (let at = 0; at < all.length; at += 10) await on.run(all.slice(at, at + 10));
    await on.compacted();
    expect(await on.know('named')).toBe('pruned done');
    expect(await on.home.store.blobs.has(hash)).toBe(true);
    release();
    await on.compacted();
    expect(await on.home.store.blobs.has(hash)).toBe(false);
  });
});
