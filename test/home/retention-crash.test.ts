/** A process that dies anywhere in a compaction, on a disk that forgets what was not synced. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPruned, type Story } from '../../src/home/records.ts';
import type { Value } from '../../src/wire/messages.ts';
import { SimFiles } from '../store/sim-files.ts';
import { DyingDisk } from './dying-disk.ts';
import { HomeOnDisk, type OnDisk, workshop } from './home-on-disk.ts';

let place: Awaited<ReturnType<typeof workshop>>;
beforeAll(async () => {
  place = await workshop();
});
afterAll(() => place.remove());

const endedTasksMax = 30;
/** Nothing goes while a process is given this much. */
const unbounded = 1e9;

const ids = (name: string, count: number) => Array.from({ length: count }, (_, at) => `${name}${String(at).padStart(3, '0')}`);

/** Everything that is told of a task, results and large values included. */
async function tellsOf({ home }: HomeOnDisk, id: string): Promise<unknown> {
  const task = home.state.tasks.get(id);
  if (task !== undefined) return { waits: task.seq, attempts: task.attempts.map(({ key, state }) => [key, state]), args: await textOf(home, task.accepted.args) };
  const past = await home.ended(id);
  if (past === undefined) return 'nothing';
  if (isPruned(past)) return { pruned: past.state, digest: past.digest };
  return { ended: past.ended.state, digest: past.accepted.digest, attempts: past.attempts.map(({ key, state }) => [key, state]), args: await textOf(home, past.accepted.args), result: await textOf(home, resultOf(past)) };
}

const resultOf = ({ ended }: Story): Value => ended.result ?? new Uint8Array();
const textOf = async (home: HomeOnDisk['home'], value: Value): Promise<string> => Buffer.from(await home.bytesOf(value)).toString().slice(0, 40);

/** Ended tasks well beyond the bound, tasks that wait and run, some with large values. */
async function fill(on: HomeOnDisk): Promise<void> {
  on.withRunner();
  const { blobs } = on.home.store;
  const large = async (text: string): Promise<Value> => ({ hash: await blobs.put(Buffer.from(text.padEnd(70_000))), size: 70_000 });
  on.submit('runs', { args: await large('["of what runs"]') });
  on.submit('early');
  for (const [at, part] of [ids('t', 40), ids('u', 30), ids('v', 20)].entries()) {
    const result = await large(`"result ${at}"`);
    await on.run([`large${at}`], () => result);
    for (let from = 0; from < part.length; from += 5) await on.run(part.slice(from, from + 5));
    if (at === 1) on.done('early');
  }
  on.home.dispatch({ type: 'tracker_away' });
  on.home.dispatch({ type: 'runner_unlinked', peer: 'a' });
  for (const id of ids('wait', 15)) on.submit(id, { args: Buffer.from(`["${id}"]`) });
  await on.flushed();
}

const everything = ['runs', 'early', 'large0', 'large1', 'large2', ...ids('t', 40), ...ids('u', 30), ...ids('v', 20), ...ids('wait', 15)];

describe('a crash in a compaction', () => {
  it('loses nothing that waits and no outcome within the bounds, wherever it comes', async () => {
    let seen = 0;
    // A compaction of this journal changes some 30 things on the disk.
    for (let seed = 1; seed <= 32; seed += 1) {
      const files = new SimFiles(seed);
      const folder = await place.folder();
      const open = async (retention: OnDisk['retention'], disk = new DyingDisk(files)) => {
        const on = new HomeOnDisk({ folder, indexWorker: place.indexWorker, segmentBytesMax: 1_500, files: disk, retention: retention! });
        await on.start();
        return on;
      };
      const first = await open({ endedTasksMax: unbounded });
      await fill(first);
      const before = new Map<string, unknown>();
      for (const id of everything) before.set(id, await tellsOf(first, id));
      await first.home.stop();

      const disk = new DyingDisk(files, () => files.crash());
      const dying = new HomeOnDisk({ folder, indexWorker: place.indexWorker, segmentBytesMax: 1_500, files: disk, retention: { endedTasksMax } });
      // A start takes six.
      disk.dieAfter(6 + seed);
      await dying.start().then(() => dying.compacted(), () => {});
      if (disk.dead) seen += 1;
      disk.die();
      await dying.home.stop();
      if (seed % 3 === 0) await rm(join(folder, 'history.db'), { force: true });

      const again = await open({ endedTasksMax: unbounded });
      await check(again, before, `seed ${seed}, killed`);
      await again.home.stop();
      const last = await open({ endedTasksMax });
      await last.compacted();
      await check(last, before, `seed ${seed}, compacted`);
      expect(isPruned((await last.home.ended('t000'))!)).toBe(true);
      expect(last.broken).toEqual([]);
      await last.home.stop();
    }
    expect(seen).toBeGreaterThan(25);
  });
});

async function check(on: HomeOnDisk, before: ReadonlyMap<string, unknown>, when: string): Promise<void> {
  const ended = everything.filter((id) => !on.home.state.tasks.has(id));
  let whole = 0;
  for (const id of everything) {
    const told = (await tellsOf(on, id)) as { pruned?: string; digest?: string };
    const was = before.get(id) as { ended?: string; digest?: string };
    if (told.pruned === undefined) {
      expect(told, `${when}: ${id}`).toEqual(was);
      whole += 1;
    } else {
      expect([told.pruned, told.digest], `${when}: ${id}`).toEqual([was.ended, was.digest]);
      expect(id, when).not.toMatch(/^v|^large2|^early/);
    }
  }
  expect(whole - (everything.length - ended.length), when).toBeGreaterThanOrEqual(endedTasksMax);
}
