/** A store that cannot be used stops the start: by name, with the exit status of a refusal, and untouched. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TestPool } from './pool.ts';

let pool: TestPool;
let segment: string;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  const client = await pool.client();
  await Promise.all(Array.from({ length: 50 }, (_, at) => client.submit({ language: 'python', program: 'def main(x): return x', args: [at], id: `kept-${at}` })));
  const journal = join(pool.folder, 'peers', 'p0', 'journal');
  segment = join(journal, readdirSync(journal).toSorted().at(-1)!);
});
afterAll(() => pool.stop());

const startAgain = (...more: string[]) => pool.cli(['peer', '--name', 'p0', '--port', '0', '--tracker-port', String(pool.tracker.port), ...more]);
const threeLines = /^error: .+\n {2}why: .+\n {2}fix: .+\n$/m;

describe('a store', () => {
  it('that another process works on is refused by name', async () => {
    const { status, stderr, stdout } = await startAgain();
    expect(status).toBe(6);
    expect(stderr).toMatch(threeLines);
    expect(stderr).toContain(`process ${pool.peers[0]!.pid}`);
    expect(stderr).toContain(join(pool.folder, 'peers', 'p0'));
    expect(stdout).not.toContain('listens on');
    // Who has it goes on.
    expect(await (await pool.client()).submit({ language: 'python', program: 'def main(): return 1' })).toBe(1);
  });

  describe('of a peer that is down', () => {
    let whole: Buffer;
    beforeEach(async () => {
      if (pool.peers[0]!.running) await pool.peers[0]!.kill('SIGTERM');
      whole ??= readFileSync(segment);
      writeFileSync(segment, whole);
    });

    const refused = async (bytes: Buffer) => {
      writeFileSync(segment, bytes);
      const { status, stderr } = await startAgain();
      expect({ status, stderr }).toEqual({ status: 6, stderr: expect.stringMatching(threeLines) as string });
      // Nothing of it was changed, so that it can be looked into.
      expect(readFileSync(segment).equals(bytes)).toBe(true);
      return stderr;
    };

    it('with one byte changed in the middle is refused, with file and place', async () => {
      const bytes = Buffer.from(whole);
      const at = Math.floor(bytes.length / 2);
      bytes[at]! ^= 0x10;
      const stderr = await refused(bytes);
      expect(stderr).toContain('the journal is damaged at byte');
      expect(stderr).toContain(segment);
    });

    it('with a piece cut out of the middle is refused', async () => {
      expect(await refused(Buffer.concat([whole.subarray(0, 1000), whole.subarray(1400)]))).toContain('damaged');
    });

    it('from a newer version is refused, with both versions', async () => {
      const bytes = Buffer.from(whole);
      bytes.writeUInt32LE(99, 8);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
      expect(await refused(bytes)).toMatch(/written by a newer potluck\n.*format 99.*up to 1/);
    });

    it('cut off in its last record starts, says so, and has everything before', async () => {
      writeFileSync(segment, whole.subarray(0, whole.length - 5));
      await pool.peers[0]!.restart();
      expect(pool.peers[0]!.log()).toMatch(/the journal's last \d+ bytes, of an interrupted write, were cut/);
      const history = await (await pool.client()).history({ limit: 100 });
      for (let at = 0; at < 45; at += 1) expect(history.map(({ id }) => id)).toContain(`kept-${at}`);
    });

    it('without its index of history builds it again from the journal', async () => {
      const database = join(pool.folder, 'peers', 'p0', 'history.db');
      writeFileSync(database, 'this is no database');
      await pool.peers[0]!.restart();
      const history = await (await pool.client()).history({ limit: 100 });
      for (let at = 0; at < 50; at += 1) expect(history.map(({ id }) => id)).toContain(`kept-${at}`);
    });
  });
});

describe('the folder of the pool', () => {
  it.each([
    ['folder', '', 0o755],
    ['key', 'member.key', 0o644],
  ])('whose %s others can read is refused, with the command that mends it', async (_, name, mode) => {
    const path = join(pool.folder, name);
    const { mode: before } = statSync(path);
    chmodSync(path, mode);
    try {
      for (const args of [['status'], ['cpu', '--program', 'def main(): pass'], ['peer', '--port', '0'], ['tracker', '--port', '0']]) {
        const { status, stderr } = await pool.cli(args);
        expect({ args, status, stderr }).toEqual({ args, status: 6, stderr: expect.stringMatching(threeLines) as string });
        expect(stderr).toContain(`chmod`);
      }
    } finally {
      chmodSync(path, before & 0o777);
    }
  });

  it('and everything that is kept in it is open to its owner only', () => {
    const kept = readdirSync(pool.folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && !entry.parentPath.includes('test-logs'));
    // What tasks see in their box as /etc is nobody's secret, and its folder is closed.
    const paths = kept.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !/\/scratch\/etc\//.test(path));
    expect(paths.filter((path) => (statSync(path).mode & 0o077) !== 0)).toEqual([]);
    for (const name of ['member.key', 'pool.key', 'history.db', 'store.lock']) expect(kept.map((entry) => entry.name)).toContain(name);
    expect(statSync(pool.folder).mode & 0o777).toBe(0o700);
  });
});
