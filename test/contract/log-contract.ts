/** What the log does on every disk. Each adapter of `Files` runs it. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Files } from '../../src/store/files.ts';
import { Log } from '../../src/store/log.ts';
import type { LogOptions, OpenReport } from '../../src/store/log.ts';
import { JournalDamaged, JournalTooNew } from '../../src/store/store-errors.ts';

export interface Disk {
  files: Files;
  directory: string;
  /** Sets a file's bytes behind the log's back. */
  put(path: string, bytes: Uint8Array): Promise<void>;
  bytes(path: string): Promise<Buffer>;
  dispose(): Promise<void>;
}

export interface Opened {
  log: Log;
  records: string[];
  seqs: number[];
  report: OpenReport;
}

export async function openLog(files: Files, options: LogOptions): Promise<Opened> {
  const log = new Log(files, { salt: 0x5eed, ...options });
  const records: string[] = [];
  const seqs: number[] = [];
  const report = await log.open((record, seq) => {
    records.push(Buffer.from(record).toString('latin1'));
    seqs.push(seq);
  });
  return { log, records, seqs, report };
}

export async function write(log: Log, ...records: string[]): Promise<number> {
  for (const record of records) log.append(Buffer.from(record, 'latin1'));
  return log.flush();
}

export function logContract(name: string, make: () => Promise<Disk>): void {
  describe(`log on ${name}`, () => {
    let disk: Disk;
    beforeEach(async () => {
      disk = await make();
    });
    afterEach(() => disk.dispose());

    const open = (segmentBytesMax?: number): Promise<Opened> =>
      openLog(disk.files, { directory: disk.directory, ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }) });
    const reopen = async (log: Log, segmentBytesMax?: number): Promise<Opened> => {
      await log.close();
      return open(segmentBytesMax);
    };
    const segmentPaths = async (): Promise<string[]> =>
      (await disk.files.list(disk.directory)).toSorted().map((file) => join(disk.directory, file));

    test('replays what was flushed, in order, with its numbers, and goes on from there', async () => {
      const first = await open();
      expect(first.report).toEqual({ records: 0, bytes: 40, cutBytes: 0, segments: 1 });
      expect(await write(first.log, 'a', 'bb')).toBe(2);
      expect(await write(first.log, '', 'c'.repeat(100_000))).toBe(4);
      const second = await reopen(first.log);
      expect(second.records).toEqual(['a', 'bb', '', 'c'.repeat(100_000)]);
      expect(second.seqs).toEqual([1, 2, 3, 4]);
      expect(second.report).toMatchObject({ records: 4, cutBytes: 0, segments: 1 });
      expect(second.log.durableSeq).toBe(4);
      expect(await write(second.log, 'd')).toBe(5);
      const third = await reopen(second.log);
      expect(third.records.at(-1)).toBe('d');
      await third.log.close();
    });

    test('a record larger than the read-ahead comes back whole', async () => {
      const { log } = await open();
      const large = 'x'.repeat(5 * 1024 * 1024);
      await write(log, 'a', large, 'b');
      const again = await reopen(log);
      expect(again.records.map((record) => record.length)).toEqual([1, large.length, 1]);
      await again.log.close();
    });

    test('records appended during a flush go with the next one', async () => {
      const { log } = await open();
      log.append(Buffer.from('a'));
      const flushing = log.flush();
      expect(log.append(Buffer.from('b'))).toBe(2);
      expect(await flushing).toBe(1);
      const second = log.flush();
      await expect(log.flush()).rejects.toThrow('one flush at a time');
      expect(await second).toBe(2);
      const again = await reopen(log);
      expect(again.records).toEqual(['a', 'b']);
      await again.log.close();
    });

    test('what was appended but not flushed is not found', async () => {
      const { log } = await open();
      await write(log, 'kept');
      log.append(Buffer.from('not flushed'));
      const again = await reopen(log);
      expect(again.records).toEqual(['kept']);
      await again.log.close();
    });

    test('full segments are followed by new ones; old ones are dropped whole, the active one never', async () => {
      const { log } = await open(200);
      for (let n = 1; n <= 10; n += 1) await write(log, `record ${n} ${'.'.repeat(60)}`);
      const segments = log.segments();
      expect(segments.length).toBe(5);
      expect(segments[1]).toEqual({ firstSeq: 3, lastSeq: 4, bytes: expect.any(Number) });
      const again = await reopen(log, 200);
      expect(again.seqs).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(again.log.segments()).toEqual(segments);
      await again.log.dropSegmentsBefore(6);
      expect(again.log.segments()[0]?.firstSeq).toBe(5);
      await again.log.dropSegmentsBefore(1000);
      expect(again.log.segments().length).toBe(1);
      expect(await write(again.log, 'next')).toBe(11);
      const third = await reopen(again.log, 200);
      expect(third.seqs[0]).toBe(9);
      expect(third.seqs.at(-1)).toBe(11);
      expect(third.report.bytes).toBe(third.log.bytes);
      await third.log.close();
    });

    test('an old segment can be read again while the newest is written; damage in it is found, and the log goes on', async () => {
      const { log } = await open(200);
      for (let n = 1; n <= 6; n += 1) await write(log, `record ${n} ${'x'.repeat(60)}`);
      const old = log.segments().slice(0, -1);
      const again: [string, number][] = [];
      const writing = write(log, 'meanwhile');
      for (const { firstSeq } of old) {
        await log.reread(firstSeq, async (record, seq) => {
          await Promise.resolve();
          again.push([Buffer.from(record).toString('latin1').slice(0, 8), seq]);
        });
      }
      await writing;
      expect(again).toEqual(Array.from({ length: old.at(-1)!.lastSeq }, (_, at) => [`record ${at + 1}`, at + 1]));
      await expect(log.reread(log.segments().at(-1)!.firstSeq, () => {})).rejects.toThrow(RangeError);
      const [path] = await segmentPaths();
      const bytes = await disk.bytes(path!);
      await disk.put(path!, Buffer.concat([bytes.subarray(0, -30), Buffer.from([bytes.at(-30)! ^ 1]), bytes.subarray(-29)]));
      await expect(log.reread(1, () => {})).rejects.toThrow(JournalDamaged);
      await disk.put(path!, bytes.subarray(0, 40));
      await expect(log.reread(1, () => {})).rejects.toThrow(JournalDamaged);
      await write(log, 'it goes on');
      await log.close();
    });

    test('a last write torn at any byte is cut and reported, and everything before it stays', async () => {
      const { log } = await open();
      await write(log, 'first', 'second');
      const [path] = await segmentPaths();
      const before = (await disk.bytes(path!)).length;
      await write(log, 'third', 'fourth, a longer one');
      await log.close();
      const whole = await disk.bytes(path!);
      const third = before + 26 + 'third'.length;
      for (let size = before; size < whole.length; size += 1) {
        for (const zeros of [0, whole.length - size, 2000]) {
          await disk.put(path!, Buffer.concat([whole.subarray(0, size), Buffer.alloc(zeros)]));
          const { log: cut, records, report } = await open();
          const kept = size < third ? ['first', 'second'] : ['first', 'second', 'third'];
          expect(records, `cut at ${size}, ${zeros} zeros`).toEqual(kept);
          expect(report.cutBytes).toBe(size + zeros - report.bytes);
          await write(cut, 'after');
          const again = await reopen(cut);
          expect(again.records).toEqual([...kept, 'after']);
          await again.log.close();
        }
      }
    });

    test('a last write of which any sectors are missing is cut, one with a later write after it is damage', async () => {
      const { log } = await open();
      await write(log, 'a');
      const [path] = await segmentPaths();
      const before = (await disk.bytes(path!)).length;
      await write(log, 'b'.repeat(700), 'c', 'd'.repeat(900), 'e');
      const whole = await disk.bytes(path!);
      await write(log, 'later');
      await log.close();
      const longer = await disk.bytes(path!);
      const sectors = Math.ceil(whole.length / 512);
      for (let missing = 1; missing < 2 ** sectors; missing += 1) {
        const torn = Buffer.from(longer);
        for (let sector = 0; sector < sectors; sector += 1) {
          if ((missing >> sector) % 2 === 1) torn.fill(0, Math.max(before, sector * 512), Math.min(whole.length, sector * 512 + 512));
        }
        await disk.put(path!, torn);
        await expect(open(), `sectors ${missing}`).rejects.toThrow(JournalDamaged);
        await disk.put(path!, torn.subarray(0, whole.length));
        const { log: cut, records } = await open();
        expect(records).toEqual(['a', 'b'.repeat(700), 'c', 'd'.repeat(900), 'e'].slice(0, records.length));
        await cut.close();
      }
    });

    test('no flipped bit is ever served: it stops the start and names byte and repair', async () => {
      const { log } = await open(250);
      await write(log, 'one', 'two');
      await write(log, 'three', 'x'.repeat(150));
      await write(log, 'four');
      await write(log, 'five', '\0'.repeat(40));
      await log.close();
      const paths = await segmentPaths();
      expect(paths.length).toBe(2);
      for (const path of paths) {
        const whole = await disk.bytes(path);
        for (let byte = 0; byte < whole.length; byte += 1) {
          const changed = Buffer.from(whole);
          changed[byte]! ^= 1 << (byte % 8);
          await disk.put(path, changed);
          const error = await open(250).catch((caught: unknown) => caught);
          expect(error, `byte ${byte} of ${path}`).toBeInstanceOf(JournalDamaged);
          expect((error as JournalDamaged).segment).toBe(path);
          expect((error as JournalDamaged).fix).toContain('potluck journal repair');
          expect(await disk.bytes(path)).toEqual(changed);
        }
        await disk.put(path, whole);
      }
      const { log: healed, records } = await open(250);
      expect(records.length).toBe(7);
      await healed.close();
    });

    test('a missing middle segment, a swapped one and a shortened one stop the start', async () => {
      const { log } = await open(100);
      for (const record of ['a', 'b', 'c', 'd']) await write(log, record.repeat(80));
      await log.close();
      const [, second, third] = await segmentPaths();
      const bytes = await disk.bytes(second!);
      await disk.files.remove(second!);
      await expect(open(100)).rejects.toMatchObject({ code: 'store_damaged', reason: 'record 2 and what follows it are missing' });
      await disk.put(second!, await disk.bytes(third!));
      await expect(open(100)).rejects.toThrow(JournalDamaged);
      await disk.put(second!, bytes.subarray(0, bytes.length - 1));
      await expect(open(100)).rejects.toThrow(JournalDamaged);
      await disk.put(second!, bytes);
      const { log: healed, records } = await open(100);
      expect(records.length).toBe(4);
      await healed.close();
    });

    test('a last segment whose header was torn is begun again', async () => {
      const { log } = await open(100);
      await write(log, 'a'.repeat(80));
      await write(log, 'b');
      await log.close();
      const [, last] = await segmentPaths();
      const header = (await disk.bytes(last!)).subarray(0, 40);
      for (let size = 0; size < 40; size += 1) {
        await disk.put(last!, Buffer.concat([header.subarray(0, size), Buffer.alloc(size % 2 === 0 ? 0 : 40 - size)]));
        const { log: cut, records } = await open(100);
        expect(records).toEqual(['a'.repeat(80)]);
        expect(await write(cut, 'c')).toBe(2);
        await cut.close();
      }
    });

    test('a segment of a newer format is refused as newer, not as damaged', async () => {
      const { log } = await open();
      await write(log, 'a');
      await log.close();
      const [path] = await segmentPaths();
      const { crc32 } = await import('node:zlib');
      const bytes = await disk.bytes(path!);
      bytes.writeUInt32LE(2, 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
      await disk.put(path!, bytes);
      await expect(open()).rejects.toThrow(JournalTooNew);
    });

    test('reading waits for a replayer that asks for time', async () => {
      const { log } = await open();
      await write(log, 'a', 'b', 'c');
      await log.close();
      const order: string[] = [];
      const again = new Log(disk.files, { directory: disk.directory });
      await again.open(async (record) => {
        const text = Buffer.from(record).toString();
        order.push(`${text} begins`);
        await new Promise((resolve) => setImmediate(resolve));
        order.push(`${text} ends`);
      });
      expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
      await again.close();
    });

    test('what the replayer throws comes out as it is', async () => {
      const { log } = await open();
      await write(log, 'a');
      await log.close();
      const again = new Log(disk.files, { directory: disk.directory });
      const replaying = again.open(() => {
        throw new TypeError('not a task');
      });
      await expect(replaying).rejects.toThrow(TypeError);
    });
  });
}
