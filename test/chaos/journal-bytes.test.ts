/** The journal of a home that lived, with one byte changed or some of it missing: found, or nothing of it is told otherwise. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeGroup } from '../../src/home/record-codec.ts';
import { Log } from '../../src/store/log.ts';
import { repairLog } from '../../src/store/log-repair.ts';
import { JournalDamaged, JournalTooNew } from '../../src/store/store-errors.ts';
import { TestPool } from '../e2e/pool.ts';
import { SimFiles } from '../store/sim-files.ts';

const directory = '/journal';
const path = `${directory}/0000000000000001.log`;
/** The smallest changes, the largest, and what a disk that lost a sector gives. */
const changes: [string, (byte: number) => number][] = [
  ['its lowest bit flipped', (byte) => byte ^ 1],
  ['its highest bit flipped', (byte) => byte ^ 0x80],
  ['all bits flipped', (byte) => byte ^ 0xff],
  ['zeroed', () => 0],
];

let whole: Buffer;
let all: string[];
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'potluck-bytes-'));
  const pool = await TestPool.start({ peers: 2, slots: 2, folder });
  try {
    const client = await pool.client();
    const python = (program: string, more = {}) => client.submit({ language: 'python', program, ...more });
    const tasks = [
      ...Array.from({ length: 4 }, (_, at) => python('def main(x): return x', { args: [at] })),
      python('def main(): return 1', { once: true }),
      python('def main(): raise ValueError("no")', { retries: 1 }),
      python('def main(): print("seen"); return 2', { priority: 3 }),
    ];
    const cancelled = python('import time\ndef main(): time.sleep(60)');
    await cancelled.accepted;
    await cancelled.cancel();
    await Promise.all(tasks.map((task) => task.outcome()));
    await pool.peers[0]!.kill('SIGTERM');
    const journal = join(folder, 'peers', 'p0', 'journal');
    const names = readdirSync(journal);
    expect(names).toHaveLength(1);
    whole = readFileSync(join(journal, names[0]!));
  } finally {
    await pool.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  all = (await read(await disk(whole))).records;
  expect(all.length).toBeGreaterThan(20);
});

async function disk(bytes: Uint8Array): Promise<SimFiles> {
  const files = new SimFiles(1);
  await files.makeDirectory(directory);
  await (await files.open(path)).close();
  files.put(path, bytes);
  return files;
}

/** What a home would relive. Throws what stops its start. */
async function read(files: SimFiles): Promise<{ records: string[]; cutBytes: number }> {
  const log = new Log(files, { directory });
  const records: string[] = [];
  const { cutBytes } = await log.open((bytes) => decodeGroup(bytes, (record, seq) => void records.push(`${seq} ${JSON.stringify(record)}`)));
  await log.close();
  return { records, cutBytes };
}

async function readOrDamage(files: SimFiles): Promise<{ records: string[]; cutBytes: number } | 'damaged'> {
  try {
    return await read(files);
  } catch (error) {
    if (error instanceof JournalDamaged || error instanceof JournalTooNew) return 'damaged';
    throw error;
  }
}

describe('a journal', () => {
  it.each(changes)('with any one byte %s stops the start, and what repair keeps is what stood before', async (_, change) => {
    for (let at = 0; at < whole.length; at += 1) {
      const bytes = Buffer.from(whole);
      bytes[at] = change(bytes[at]!);
      if (bytes[at] === whole[at]) continue;
      const found = await readOrDamage(await disk(bytes));
      if (found !== 'damaged') {
        // The file's last byte gone to zero is what a write that was interrupted there leaves: it is cut, and that is said.
        expect([at, bytes[at]]).toEqual([whole.length - 1, 0]);
        expect(found.records).toEqual(all.slice(0, found.records.length));
        expect(found.cutBytes).toBeGreaterThan(0);
        continue;
      }
      if (at % 16 !== 0) continue;
      const files = await disk(bytes);
      await repairLog(files, directory);
      const { records } = await read(files);
      expect(records, `byte ${at}`).toEqual(all.slice(0, records.length));
    }
  });

  it('cut off anywhere tells what stood before, and says what it cut unless only whole records are missing', async () => {
    let silent = 0;
    for (let length = 0; length < whole.length; length += 1) {
      const found = await readOrDamage(await disk(whole.subarray(0, length)));
      if (found === 'damaged') continue;
      expect(found.records, `of ${length} bytes`).toEqual(all.slice(0, found.records.length));
      if (found.cutBytes === 0) silent += 1;
    }
    // A record that was cut off whole cannot be told from one never written: once for each record of the log, and for none.
    expect(silent).toBeLessThanOrEqual(all.length + 1);
  });

  it('without any one of its bytes is damaged, or only its last write is missing', async () => {
    for (let at = 0; at < whole.length; at += 1) {
      const found = await readOrDamage(await disk(Buffer.concat([whole.subarray(0, at), whole.subarray(at + 1)])));
      if (found === 'damaged') continue;
      expect(found.records, `without byte ${at}`).toEqual(all.slice(0, found.records.length));
      expect(found.cutBytes, `without byte ${at}`).toBeGreaterThan(0);
    }
  });
});
