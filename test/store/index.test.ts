import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import Database from 'libsql';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { removeIndex } from '../../src/store/index-file.ts';
import { HistoryIndex } from '../../src/store/index.ts';
import type { HistoryRow } from '../../src/store/index.ts';
import { HistoryUnavailable } from '../../src/store/store-errors.ts';

let built: string;
let worker: URL;
let folder: string;
let path: string;
let open: HistoryIndex[];

beforeAll(async () => {
  // Inside the project, so that the bundle finds libsql.
  await mkdir('node_modules/.cache', { recursive: true });
  built = await mkdtemp(resolve('node_modules/.cache/store-index-'));
  const outfile = join(built, 'index-worker.mjs');
  await build({ entryPoints: ['src/store/index-worker.ts'], bundle: true, platform: 'node', format: 'esm', external: ['libsql'], outfile, logLevel: 'error' });
  worker = pathToFileURL(outfile);
});
afterAll(() => rm(built, { recursive: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'potluck-index-'));
  path = join(folder, 'history.db');
  open = [];
});
afterEach(async () => {
  for (const index of open) await index.stop();
  await rm(folder, { recursive: true });
});

function make(onApplied?: (seq: number) => void): HistoryIndex {
  const index = new HistoryIndex({ path, worker, ...(onApplied === undefined ? {} : { onApplied }) });
  open.push(index);
  return index;
}

function row(n: number, changes: Partial<HistoryRow> = {}): HistoryRow {
  return {
    id: `task-${n}`, state: 'done', peer: 'left', attempt: 1, language: 'python', function: 'main',
    program: 'ab'.repeat(32), submitter: null, acceptedAt: 1_000_000 + n, endedAt: 2_000_000 + n, queuedMs: 0.25, runMs: 1.5, error: null,
    seq: n, record: Buffer.from(`the story of ${n}`), ...changes,
  };
}

const range = (from: number, to: number): HistoryRow[] => Array.from({ length: to - from + 1 }, (_, at) => row(from + at));

test('rows come back as they were, and after a restart too', async () => {
  const index = make();
  expect(await index.start()).toEqual({ appliedSeq: 0, rebuilt: true, reason: 'it did not exist' });
  const odd = row(2, { state: 'failed', peer: null, runMs: null, error: 'exception: \u{1f372} \0 \ud800 "quoted"', record: new Uint8Array(0) });
  expect(index.apply([row(1), odd], 7)).toBe(true);
  await index.settled();
  expect(index.appliedSeq).toBe(7);
  expect(await index.get('task-1')).toEqual({ ...row(1), record: new Uint8Array(row(1).record) });
  const back = await index.get('task-2');
  expect(back).toMatchObject({ peer: null, runMs: null, record: new Uint8Array(0) });
  expect(back?.error).toBe('exception: \u{1f372} \u2400 \ufffd "quoted"');
  expect(await index.get('task-3')).toBeUndefined();
  await index.stop();
  const later = make();
  expect(await later.start()).toEqual({ appliedSeq: 7, rebuilt: false });
  expect((await later.query({ limit: 10 })).total).toBe(2);
});

test('the same id again replaces its row', async () => {
  const index = make();
  await index.start();
  index.apply([row(1), row(2)], 2);
  index.apply([row(1, { state: 'cancelled', seq: 3 })], 3);
  await index.settled();
  expect((await index.get('task-1'))?.state).toBe('cancelled');
  expect((await index.query({ limit: 10 })).total).toBe(2);
});

test('newest first, with filters, limit, pages and the total', async () => {
  const index = make();
  await index.start();
  index.apply(range(1, 100).map((each, at) => ({ ...each, peer: at % 2 === 0 ? 'left' : 'right', state: at % 10 === 0 ? 'failed' : 'done' })), 100);
  await index.settled();
  const first = await index.query({ limit: 3 });
  expect(first.rows.map(({ id }) => id)).toEqual(['task-100', 'task-99', 'task-98']);
  expect(first.rows[0]).not.toHaveProperty('record');
  expect(first.total).toBe(100);
  const failed = await index.query({ limit: 2, state: 'failed', peer: 'left' });
  expect(failed.rows.map(({ id }) => id)).toEqual(['task-91', 'task-81']);
  expect(failed.total).toBe(10);
  const between = await index.query({ limit: 10, since: 1_000_010, before: 1_000_013 });
  expect(between.rows.map(({ id }) => id)).toEqual(['task-12', 'task-11', 'task-10']);
  expect((await index.query({ limit: 10, peer: 'nobody' }))).toEqual({ rows: [], total: 0 });
});

test('what was made from dropped records goes, and what was made from them again stays', async () => {
  const index = make();
  await index.start();
  index.apply(range(1, 12_000), 12_000);
  index.apply([row(1, { seq: 12_001 })], 12_001, [{ id: 'task-2', digest: 'd', state: 'done', endedAt: 5, seq: 12_001 }]);
  await index.settled();
  expect(await index.dropBefore(11_901)).toBe(11_898);
  expect(await index.dropBefore(11_901)).toBe(0);
  const { rows, total } = await index.query({ limit: 1000 });
  expect(total).toBe(101);
  expect(rows.length).toBe(101);
  expect([rows[0]?.id, rows.at(-2)?.id, rows.at(-1)?.id]).toEqual(['task-12000', 'task-11901', 'task-1']);
  expect(await index.dropBefore(20_000)).toBe(102);
  expect(await index.getPruned('task-2')).toBeUndefined();
});

test('a pruned task has no row but an entry, also after a restart; a later task of that id has both', async () => {
  const index = make();
  await index.start();
  const entry = { id: 'task-2', digest: 'cafe', state: 'failed', endedAt: 2_000_002, seq: 9 };
  index.apply(range(1, 3), 9, [entry]);
  await index.settled();
  expect(await index.get('task-2')).toBeUndefined();
  expect((await index.query({ limit: 10 })).total).toBe(2);
  await index.stop();
  const again = make();
  expect(await again.start()).toEqual({ appliedSeq: 9, rebuilt: false });
  expect(await again.getPruned('task-2')).toEqual(entry);
  expect(await again.getPruned('task-1')).toBeUndefined();
  again.apply([row(2, { seq: 10 })], 10, [entry]);
  await again.settled();
  expect((await again.get('task-2'))?.seq).toBe(10);
});

test('a full queue takes nothing and says so; after settling the same is taken, and nothing is missing', async () => {
  const seqs: number[] = [];
  const index = make((seq) => seqs.push(seq));
  await index.start();
  let refused = 0;
  for (let from = 1; from <= 60_000; from += 1000) {
    while (!index.apply(range(from, from + 999), from + 999)) {
      refused += 1;
      await index.settled();
    }
  }
  await index.settled();
  expect(refused).toBeGreaterThan(0);
  expect((await index.query({ limit: 1 })).total).toBe(60_000);
  expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
  expect(seqs.at(-1)).toBe(60_000);
  expect(index.appliedSeq).toBe(60_000);
});

test('a caller who ignores the refusal gets an index that stays behind, not one with holes', async () => {
  const index = make();
  await index.start();
  let taken = 0;
  while (index.apply(range(taken + 1, taken + 1000), taken + 1000)) taken += 1000;
  await index.settled();
  expect(index.apply([row(taken + 2000)], taken + 2000)).toBe(false);
  expect(index.appliedSeq).toBe(taken);
  expect(index.apply(range(taken + 1, taken + 1000), taken + 1000)).toBe(true);
  expect(index.apply([row(taken + 2000)], taken + 2000)).toBe(true);
  await index.settled();
  expect((await index.query({ limit: 1 })).total).toBe(taken + 1001);
});

test('a removed index is made anew', async () => {
  const index = make();
  await index.start();
  index.apply([row(1)], 1);
  await index.stop();
  removeIndex(path);
  expect(await make().start()).toMatchObject({ appliedSeq: 0, rebuilt: true });
});

test.each([
  ['no database at all', (bytes: Buffer) => bytes.fill(0x41)],
  ['cut in half', (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
  ['zeroed in the middle', (bytes: Buffer) => bytes.fill(0, 8192, 40_960)],
])('a file that is %s is made anew', async (_, damage) => {
  const index = make();
  await index.start();
  index.apply(range(1, 500), 500);
  await index.settled();
  await index.stop();
  writeFileSync(path, damage(readFileSync(path)));
  const later = make();
  const opened = await later.start();
  expect(opened).toMatchObject({ appliedSeq: 0, rebuilt: true });
  expect(opened.reason).toMatch(/damaged/);
  later.apply(range(1, 500), 500);
  await later.settled();
  expect((await later.query({ limit: 1 })).total).toBe(500);
});

test.each([
  ['another version\'s', 'PRAGMA user_version = 99'],
  ['without its tables', 'DROP TABLE task'],
])('an index that is %s is made anew', async (_, sql) => {
  const index = make();
  await index.start();
  index.apply([row(1)], 1);
  await index.stop();
  const database = new Database(path);
  database.exec(sql);
  database.close();
  expect(await make().start()).toMatchObject({ appliedSeq: 0, rebuilt: true });
});

test('a row that was changed on disk is not served; history says so, and the next start makes it anew', async () => {
  const index = make();
  await index.start();
  index.apply([row(1), row(2)], 2);
  await index.stop();
  const bytes = readFileSync(path);
  const at = bytes.indexOf('the story of 1');
  bytes[at + 4]! ^= 1;
  writeFileSync(path, bytes);
  const later = make();
  expect((await later.start()).rebuilt).toBe(false);
  expect((await later.get('task-2'))?.id).toBe('task-2');
  await expect(later.get('task-1')).rejects.toThrow(HistoryUnavailable);
  await expect(later.query({ limit: 1 })).rejects.toThrow(/task-1 is damaged/);
  expect(later.failure).toBeInstanceOf(HistoryUnavailable);
  expect(later.apply([row(3)], 3)).toBe(true);
  expect((await make().start()).rebuilt).toBe(true);
});

test('a thread that dies fails those who ask, not those who apply; the next start goes on from what was applied', async () => {
  const dying = join(built, 'dying.mjs');
  writeFileSync(dying, `import { parentPort } from 'node:worker_threads';
    parentPort.postMessage({ call: 0, kind: 'opened', opened: { appliedSeq: 0, rebuilt: false } });
    parentPort.on('message', () => process.exit(3));`);
  const index = new HistoryIndex({ path, worker: pathToFileURL(dying) });
  open.push(index);
  await index.start();
  expect(index.apply([row(1)], 1)).toBe(true);
  await expect(index.settled()).rejects.toThrow(/thread ended with status 3/);
  await expect(index.get('task-1')).rejects.toThrow(HistoryUnavailable);
  expect(index.apply([row(2)], 2)).toBe(true);
  expect(index.appliedSeq).toBe(0);
});

test('a worker file that is missing is an error of the start', async () => {
  const index = new HistoryIndex({ path, worker: pathToFileURL(join(built, 'missing.mjs')) });
  open.push(index);
  await expect(index.start()).rejects.toThrow(HistoryUnavailable);
});
