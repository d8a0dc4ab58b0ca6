/** A disk without room: nothing new is accepted, at once and by name; nothing that was accepted is lost. */
import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { TestPool } from './pool.ts';
import { gated, Notes } from './programs.ts';
import { until } from './until.ts';

const DISK_MB = 8;

const mount = (path: string) => spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=700`, 'tmpfs', path]).status === 0;
const unmount = (path: string) => spawnSync('umount', ['-l', path]);

/** Needs Linux and the right to mount: a small disk of our own. */
function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const path = mkdtempSync(join(tmpdir(), 'potluck-disk-'));
  const can = mount(path);
  if (can) unmount(path);
  rmSync(path, { recursive: true });
  return can;
}

describe.skipIf(!canMount())('a full disk under the home', () => {
  let pool: TestPool;
  let client: Pool;
  let disk: string;
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-e2e-full-'));
    mkdirSync(join(folder, 'peers'), { mode: 0o700 });
    disk = mkdtempSync(join(tmpdir(), 'potluck-disk-'));
    mount(disk);
    symlinkSync(disk, join(folder, 'peers', 'p0'));
    pool = await TestPool.start({ peers: 2, slots: 2, folder, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
    client = await pool.client();
  });
  afterAll(async () => {
    try {
      await pool?.stop();
    } finally {
      unmount(disk);
      rmSync(disk, { recursive: true });
    }
  });

  /** To the last byte. */
  function fill(): void {
    const file = openSync(join(disk, 'ballast'), 'w', 0o600);
    for (const size of [65_536, 4_096, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
    fdatasyncSync(file);
    closeSync(file);
  }
  const makeRoom = () => rmSync(join(disk, 'ballast'));

  const program = 'def main(x): return x';

  it('refuses within a second, takes again what it refused when there is room, and has lost nothing', async () => {
    const notes = new Notes(pool.folder);
    const running = client.submit<string>({ language: 'python', program: gated, args: [notes.path, 'over', notes.gate('over')], id: 'over' });
    await until('it runs', () => notes.count('over') === 1);
    const before = Array.from({ length: 50 }, (_, at) => client.submit<number>({ language: 'python', program, args: [at], id: `before-${at}` }));
    expect(await Promise.all(before)).toEqual(before.map((_, at) => at));

    fill();
    // What fills up the last page of the file may still be taken.
    const taken: string[] = [];
    const firstRefused = async (): Promise<{ error: unknown; tookMs: number }> => {
      for (let at = 0; at < 1_000; at += 1) {
        const submittedAt = performance.now();
        const task = client.submit({ language: 'python', program, args: ['x'.repeat(2_000)], id: `edge-${at}` });
        const error: unknown = await task.accepted.catch((refusal: unknown) => refusal);
        if (error !== undefined) return { error, tookMs: performance.now() - submittedAt };
        taken.push(task.id);
      }
      throw new Error('the disk took everything');
    };
    const { error, tookMs } = await firstRefused();
    expect(error).toMatchObject({ code: 'store_full', fix: expect.stringContaining('space') as string });
    expect(tookMs).toBeLessThan(1_000);
    // And from then on, from whoever it comes.
    const shown = await pool.cli(['cpu', '--program', program, '--args', '[1]']);
    expect(shown).toMatchObject({ status: 6, stdout: '', stderr: expect.stringMatching(/could not be written\n.*why.*\n.*fix.*space/) as string });
    expect((await client.status()).health).toEqual([{ problem: expect.stringContaining('could not be written') as string, fix: expect.stringContaining('space') as string }]);
    // What ends meanwhile is not said before it is recorded.
    notes.open('over');
    await until('it has ended', () => notes.count('over ended') === 1);

    makeRoom();
    const later = await pool.client();
    await until('it accepts again', () => later.submit({ language: 'python', program, args: [1] }).accepted.then(() => true));
    expect(await running.outcome()).toMatchObject({ state: 'done', attempt: 1 });
    for (const id of taken) await later.watch(id);

    await pool.peers[0]!.restart();
    const after = await pool.client();
    const kept = (await after.history({ limit: 2000 })).map(({ id }) => id);
    expect(kept).toEqual(expect.arrayContaining(['over', ...before.map(({ id }) => id), ...taken]));
    expect(notes.count('over')).toBe(1);
  });

  it('refuses a value that has no room, and goes on with what has', async () => {
    const large = JSON.stringify(['x'.repeat((DISK_MB + 1) * 1024 * 1024)]);
    await expect(client.submit({ language: 'python', program, args: { json: large } }).accepted).rejects.toMatchObject({ code: 'store_full' });
    expect(await client.submit({ language: 'python', program, args: [1] })).toBe(1);
    // Half of what there is fits, and again after it was refused.
    const fits = JSON.stringify(['y'.repeat((DISK_MB / 2) * 1024 * 1024)]);
    expect(await client.submit<string>({ language: 'python', program: 'def main(x): return x[:1]', args: { json: fits } })).toBe('y');
  });
});
