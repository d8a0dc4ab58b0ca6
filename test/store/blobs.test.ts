import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Blobs, hashOf } from '../../src/store/blobs.ts';
import { realFiles } from '../../src/store/real-files.ts';
import { BlobDamaged, BlobFailed } from '../../src/store/store-errors.ts';
import { SimFiles } from './sim-files.ts';

const VALUE = Buffer.from('a value '.repeat(10_000));
const HASH = hashOf(VALUE);

describe('blobs on real files', () => {
  let folder: string;
  let blobs: Blobs;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'potluck-blobs-'));
    blobs = new Blobs(realFiles, join(folder, 'blobs'));
    await blobs.start();
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('a value comes back by its hash, is kept once, and can be removed', async () => {
    expect(await blobs.has(HASH)).toBe(false);
    const hashes = await Promise.all([blobs.put(VALUE), blobs.put(Buffer.from(VALUE)), blobs.put(Buffer.alloc(0))]);
    expect(hashes).toEqual([HASH, HASH, hashOf(Buffer.alloc(0))]);
    expect(await blobs.put(VALUE)).toBe(HASH);
    expect((await blobs.read(HASH)).equals(VALUE)).toBe(true);
    expect((await blobs.list()).find(({ hash }) => hash === HASH)).toEqual({ hash: HASH, bytes: VALUE.length });
    expect(await blobs.list()).toHaveLength(2);
    expect(await readdir(join(folder, 'blobs', HASH.slice(0, 2)))).toEqual([HASH]);
    await blobs.remove(HASH);
    await blobs.remove(HASH);
    expect(await blobs.has(HASH)).toBe(false);
    expect(await blobs.list()).toHaveLength(1);
    await expect(blobs.read(HASH)).rejects.toThrow(/missing/);
  });

  test('one that is being removed is not said to be there, and is kept anew by who puts it', async () => {
    await blobs.put(VALUE);
    const removing = blobs.remove(HASH);
    expect(await blobs.has(HASH)).toBe(false);
    await removing;
    await blobs.put(VALUE);
    const gone = blobs.remove(HASH);
    const put = blobs.put(VALUE);
    const late = blobs.remove(HASH);
    await Promise.all([gone, put, late]);
    expect((await blobs.read(HASH)).equals(VALUE)).toBe(true);
    expect(await blobs.hashes()).toEqual([HASH]);
  });

  test('a changed value is not served; putting it again heals it', async () => {
    await blobs.put(VALUE);
    const path = join(folder, 'blobs', HASH.slice(0, 2), HASH);
    const changed = Buffer.from(VALUE);
    changed[5000]! ^= 1;
    await writeFile(path, changed);
    await expect(blobs.read(HASH)).rejects.toThrow(BlobDamaged);
    const later = new Blobs(realFiles, join(folder, 'blobs'));
    await later.start();
    await later.put(VALUE);
    expect((await later.read(HASH)).equals(VALUE)).toBe(true);
  });

  test('what an interrupted write left is removed at the start', async () => {
    await blobs.put(VALUE);
    const inside = join(folder, 'blobs', HASH.slice(0, 2));
    await writeFile(join(inside, `${HASH}.part`), 'a val');
    await new Blobs(realFiles, join(folder, 'blobs')).start();
    expect(await readdir(inside)).toEqual([HASH]);
  });

  test('a name that is no hash reaches no file', async () => {
    await expect(blobs.read('../../etc/passwd')).rejects.toThrow(TypeError);
    await expect(blobs.has('..')).rejects.toThrow(TypeError);
    await expect(blobs.remove(HASH.toUpperCase())).rejects.toThrow(TypeError);
  });
});

describe('blobs on a failing disk', () => {
  test('a value is there after a power cut once put has resolved, and otherwise is whole or absent', async () => {
    for (let seed = 0; seed < 300; seed += 1) {
      const files = new SimFiles(seed);
      const blobs = new Blobs(files, '/blobs');
      await blobs.start();
      const other = await blobs.put(Buffer.from('kept'));
      const operation = (['write', 'sync', 'syncDirectory'] as const)[seed % 3]!;
      files.failNext(operation, 'ENOSPC', seed % 2);
      const failed = await blobs.put(VALUE).then(() => false, (error: unknown) => error);
      if (failed !== false) {
        expect(failed).toBeInstanceOf(BlobFailed);
        expect((failed as BlobFailed).code).toBe('store_full');
      }
      const again = seed % 5 === 0;
      files.heal();
      if (again) await blobs.put(VALUE);
      files.crash();
      const later = new Blobs(files, '/blobs');
      await later.start();
      expect((await later.read(other)).toString()).toBe('kept');
      if (failed === false || again) expect(await later.has(HASH), `seed ${seed}`).toBe(true);
      if (await later.has(HASH)) expect((await later.read(HASH)).equals(VALUE)).toBe(true);
    }
  });
});
