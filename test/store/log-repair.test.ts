import { expect, test } from 'vitest';
import { repairLog } from '../../src/store/log-repair.ts';
import { JournalDamaged } from '../../src/store/store-errors.ts';
import { openLog, write } from '../contract/log-contract.ts';
import { SimFiles } from './sim-files.ts';

const OPTIONS = { directory: '/journal', segmentBytesMax: 300 };

async function written(): Promise<{ files: SimFiles; paths: string[] }> {
  const files = new SimFiles(1);
  const { log } = await openLog(files, OPTIONS);
  for (let n = 1; n <= 12; n += 1) await write(log, `${n} ${'.'.repeat(80)}`);
  await log.close();
  const paths = (await files.list('/journal')).toSorted().map((name) => `/journal/${name}`);
  expect(paths.length).toBe(4);
  return { files, paths };
}

test('a whole log is left as it is', async () => {
  const { files, paths } = await written();
  const before = paths.map((path) => files.bytes(path));
  expect(await repairLog(files, '/journal')).toEqual({ damage: undefined, records: 12, setAside: [] });
  expect(paths.map((path) => files.bytes(path))).toEqual(before);
});

test('wherever the damage is, what stands before it remains, the rest is set aside whole, and the log goes on', async () => {
  for (const segment of [0, 1, 3]) {
    for (let byte = 0; byte < 300; byte += 7) {
      const { files, paths } = await written();
      const path = paths[segment]!;
      files.flip(path, byte, 3);
      const damaged = files.bytes(path);
      const report = await repairLog(files, '/journal');
      expect(report.damage).toBeInstanceOf(JournalDamaged);
      expect(report.records).toBeGreaterThanOrEqual(segment * 3);
      expect(report.records).toBeLessThan(segment * 3 + 3);
      expect(report.setAside.length).toBe(paths.length - segment);
      expect(files.bytes(`${path}.damaged`)).toEqual(damaged);
      const { log, records } = await openLog(files, OPTIONS);
      expect(records.map((record) => Number(record.split(' ')[0]))).toEqual(Array.from({ length: report.records }, (_, at) => at + 1));
      expect(await write(log, 'next')).toBe(report.records + 1);
      await log.close();
    }
  }
});

test('a missing segment: what follows the gap is set aside', async () => {
  const { files, paths } = await written();
  await files.remove(paths[1]!);
  const report = await repairLog(files, '/journal');
  expect(report.records).toBe(3);
  expect(report.setAside.length).toBe(2);
});

test('a power cut during the repair leaves a log that can be repaired to the same', async () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const files = new SimFiles(seed);
    const { log } = await openLog(files, OPTIONS);
    for (let n = 1; n <= 12; n += 1) await write(log, `${n} ${'.'.repeat(80)}`);
    await log.close();
    files.flip((await files.list('/journal')).toSorted().map((name) => `/journal/${name}`)[1]!, 150, 0);
    files.failNext(seed % 2 === 0 ? 'syncDirectory' : 'sync', 'EIO', Math.floor(seed / 2) % 4);
    await repairLog(files, '/journal').catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    files.crash();
    await repairLog(files, '/journal');
    const { records } = await openLog(files, OPTIONS);
    expect(records.length, `seed ${seed}`).toBe(4);
  }
});

test('a second repair keeps what the first one set aside', async () => {
  const { files, paths } = await written();
  files.flip(paths[3]!, 200, 0);
  const first = await repairLog(files, '/journal');
  const kept = files.bytes(`/journal/${first.setAside[0]}`);
  files.flip(paths[3]!, 60, 0);
  const second = await repairLog(files, '/journal');
  expect(second.setAside[0]).not.toBe(first.setAside[0]);
  expect(files.bytes(`/journal/${first.setAside[0]}`)).toEqual(kept);
});
