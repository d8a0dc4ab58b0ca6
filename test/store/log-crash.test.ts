/** The log on a disk that forgets, tears, fails and flips. A failing property prints its seed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Log } from '../../src/store/log.ts';
import { JournalDamaged, JournalFailed } from '../../src/store/store-errors.ts';
import { openLog, write } from '../contract/log-contract.ts';
import { SimFiles } from './sim-files.ts';

const DIRECTORY = '/journal';
const SEEDS = 300;

describe('the log on a failing disk', () => {
  test('a power cut at every step of every flush loses nothing that was flushed', async () => {
    for (let seed = 0; seed < SEEDS; seed += 1) {
      for (const cutDuring of [1, 2, 3, 4, 5]) {
        const files = new SimFiles(seed);
        const { log } = await openLog(files, { directory: DIRECTORY, segmentBytesMax: 1500 });
        const written: string[] = [];
        let durable = 0;
        for (let flush = 1; flush <= cutDuring; flush += 1) {
          for (let n = 0; n < 3; n += 1) {
            const record = `${flush}.${n} ${'x'.repeat(n * 400)}`;
            written.push(record);
            log.append(Buffer.from(record));
          }
          if (flush < cutDuring) durable = await log.flush();
        }
        // The write is made, the sync is not: everything of it may be on disk or not.
        files.failNext('sync', 'EIO', seed % 2);
        await log.flush().then((seq) => (durable = seq), () => {});
        files.crash();
        const again = await openLog(files, { directory: DIRECTORY, segmentBytesMax: 1500 });
        expect(again.records, `seed ${seed}, flush ${cutDuring}`).toEqual(written.slice(0, again.records.length));
        expect(again.records.length).toBeGreaterThanOrEqual(durable);
        // Replayed once is durable: a second power cut takes nothing back.
        files.crash();
        const third = await openLog(files, { directory: DIRECTORY, segmentBytesMax: 1500 });
        expect(third.records).toEqual(again.records);
        expect(third.report.cutBytes).toBe(0);
      }
    }
  });

  test.each(['write', 'sync', 'syncDirectory'] as const)('a failed %s ends the log object; a new one finds what was flushed, or more, without holes', async (operation) => {
    for (let seed = 0; seed < SEEDS; seed += 1) {
      const files = new SimFiles(seed);
      const { log } = await openLog(files, { directory: DIRECTORY, segmentBytesMax: 60 });
      await write(log, 'a'.repeat(20));
      files.failNext(operation, operation === 'write' ? 'ENOSPC' : 'EIO', seed % 2);
      const written = ['a'.repeat(20), 'b', 'c'.repeat(700)];
      const failed = await write(log, 'b', 'c'.repeat(700)).then(() => false, (error: unknown) => error);
      if (failed !== false) {
        expect(failed).toBeInstanceOf(JournalFailed);
        expect((failed as JournalFailed).code).toBe(operation === 'write' ? 'store_full' : 'store_failed');
        expect(() => log.append(Buffer.from('d'))).toThrow(JournalFailed);
        await expect(log.flush()).rejects.toThrow(JournalFailed);
      }
      await log.close();
      files.heal();
      const again = await openLog(files, { directory: DIRECTORY });
      expect(again.records).toEqual(written.slice(0, again.records.length));
      expect(again.records.length).toBeGreaterThanOrEqual(failed === false ? 3 : 1);
      await write(again.log, 'later');
      // After a failed sync the system shows bytes that are not on disk. What was replayed must be.
      files.crash();
      const third = await openLog(files, { directory: DIRECTORY });
      expect(third.records, `seed ${seed}`).toEqual([...again.records, 'later']);
    }
  });

  test('a disk that fails while the log is opened is the journal\'s failure', async () => {
    for (const operation of ['write', 'sync', 'syncDirectory'] as const) {
      const files = new SimFiles(1);
      const { log } = await openLog(files, { directory: DIRECTORY });
      await write(log, 'a');
      await log.close();
      files.failNext(operation, 'EIO');
      await expect(openLog(files, { directory: DIRECTORY })).rejects.toThrow(JournalFailed);
      const again = await openLog(files, { directory: DIRECTORY });
      expect(again.records).toEqual(['a']);
    }
  });

  test('a payload made of record headers cannot pass for one when its write is torn', async () => {
    const files = new SimFiles(3);
    const { log } = await openLog(files, { directory: DIRECTORY });
    await write(log, 'a');
    await write(log, 'b', 'c');
    const path = `${DIRECTORY}/0000000000000001.log`;
    const copy = files.bytes(path).subarray(40);
    log.append(Buffer.concat([copy, copy]));
    await log.flush();
    const whole = files.bytes(path);
    for (let size = whole.length - 2 * copy.length; size < whole.length; size += 1) {
      files.put(path, whole.subarray(0, size));
      const { records } = await openLog(files, { directory: DIRECTORY });
      expect(records).toEqual(['a', 'b', 'c']);
    }
  });

  test('a flush is one write and one sync', async () => {
    const files = new SimFiles(1);
    const { log } = await openLog(files, { directory: DIRECTORY });
    const before = { ...files.counts };
    for (let n = 0; n < 1000; n += 1) log.append(Buffer.from(`record ${n}`));
    await log.flush();
    expect(files.counts).toEqual({ write: before.write + 1, sync: before.sync + 1, syncDirectory: before.syncDirectory });
    await log.flush();
    expect(files.counts.sync).toBe(before.sync + 1);
  });

  test('model: whatever is appended, flushed, dropped, cut off and reopened, the record holds', async () => {
    await fc.assert(fc.asyncProperty(fc.integer(), fc.array(step(), { maxLength: 60 }), runModel), { numRuns: 400 });
  });

  test('model: a bit flipped in flushed records is found, whatever the payloads', async () => {
    const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.nat(3000).map((length) => new Uint8Array(length)));
    const writes = fc.array(fc.array(payload, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 });
    await fc.assert(fc.asyncProperty(writes, fc.nat(), fc.nat(7), async (batches, byte, bit) => {
      const files = new SimFiles(1);
      const { log } = await openLog(files, { directory: DIRECTORY });
      for (const batch of batches) {
        for (const record of batch) log.append(record);
        await log.flush();
      }
      await log.close();
      const path = `${DIRECTORY}/0000000000000001.log`;
      files.flip(path, byte % files.bytes(path).length, bit);
      await expect(openLog(files, { directory: DIRECTORY })).rejects.toThrow(JournalDamaged);
    }), { numRuns: 500 });
  });
});

type Step =
  | { kind: 'append'; length: number; zeros: boolean }
  | { kind: 'flush' }
  | { kind: 'drop'; part: number }
  | { kind: 'fail'; operation: 'write' | 'sync' | 'syncDirectory' }
  | { kind: 'kill' }
  | { kind: 'crash' };

function step(): fc.Arbitrary<Step> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), length: fc.nat(1500), zeros: fc.boolean() }) },
    { weight: 4, arbitrary: fc.constant({ kind: 'flush' as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), operation: fc.constantFrom('write' as const, 'sync' as const, 'syncDirectory' as const) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'crash' as const }) },
  );
}

/** Model: all records ever appended to the present history, how many are durable, how many may have been dropped. */
async function runModel(seed: number, steps: Step[]): Promise<void> {
  const files = new SimFiles(seed);
  const options = { directory: DIRECTORY, segmentBytesMax: 2000 };
  let { log } = await openLog(files, options);
  let history: string[] = [];
  let durable = 0;
  let droppedMax = 0;
  let serial = 0;

  const recover = async (crash: boolean): Promise<void> => {
    if (crash) files.crash();
    const opened = await openUntilItWorks(files, options);
    log = opened.log;
    const first = log.segments()[0]!.firstSeq;
    expect(first - 1).toBeLessThanOrEqual(droppedMax);
    const found = first - 1 + opened.records.length;
    expect(found).toBeGreaterThanOrEqual(durable);
    expect(opened.records).toEqual(history.slice(first - 1, found));
    history = history.slice(0, found);
    durable = found;
  };
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      expect(error).toBeInstanceOf(JournalFailed);
      await recover(false);
    }
  };

  for (const { kind, ...rest } of steps.map((each) => each as Step & { length?: number; zeros?: boolean; part?: number; operation?: 'write' | 'sync' | 'syncDirectory' })) {
    if (kind === 'append') {
      serial += 1;
      const record = `${serial}:${(rest.zeros === true ? '\0' : '.').repeat(rest.length ?? 0)}`;
      history.push(record);
      expect(log.append(Buffer.from(record, 'latin1'))).toBe(history.length);
    } else if (kind === 'flush') {
      await attempt(async () => {
        durable = await log.flush();
        expect(durable).toBe(history.length);
      });
    } else if (kind === 'drop') {
      const before = Math.floor(durable * (rest.part ?? 0));
      droppedMax = Math.max(droppedMax, before);
      await attempt(() => log.dropSegmentsBefore(before + 1));
    } else if (kind === 'fail') {
      files.failNext(rest.operation ?? 'sync', 'EIO');
    } else {
      await recover(kind === 'crash');
    }
  }
  await recover(true);
}

/** A fault set before may strike while opening: that is a failure, and the next try succeeds. */
async function openUntilItWorks(files: SimFiles, options: { directory: string; segmentBytesMax: number }): ReturnType<typeof openLog> {
  try {
    return await openLog(files, options);
  } catch (error) {
    expect(error).toBeInstanceOf(JournalFailed);
    return openLog(files, options);
  }
}

test('a log object is opened once', async () => {
  const { log } = await openLog(new SimFiles(1), { directory: DIRECTORY });
  await expect(log.open(() => {})).rejects.toThrow('opened once');
  const closed = new Log(new SimFiles(1), { directory: DIRECTORY });
  expect(() => closed.append(Buffer.from('a'))).toThrow('not open');
});
