/** A member is revoked while its runner works for others: by real processes of two folders. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestPool } from './pool.ts';
import { freePorts, type Started } from './processes.ts';
import { until } from './until.ts';

let pool: TestPool;
let folder: string;
let peer: Started;

beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  folder = mkdtempSync(join(tmpdir(), 'potluck-other-'));
  const invitation = await pool.cli(['invite', '--json', '--name', 'attic', '--address', `127.0.0.1:${pool.tracker.port}`, '--tracker-port', String(pool.tracker.port)]);
  const env = { POTLUCK_HOME: join(folder, 'home') };
  await pool.cli(['join', (JSON.parse(invitation.stdout) as { token: string }).token], { env });
  const [port] = (await freePorts(1)) as [number];
  peer = pool.start(['peer', '--name', 'attic', '--port', String(port), '--slots', '1', '--drain-seconds', '0', '--trust-members'], { env });
  await peer.said('joined the pool of the tracker');
});
afterAll(async () => {
  peer.process.kill('SIGTERM');
  await peer.ended;
  rmSync(folder, { recursive: true });
  await pool.stop();
});

describe('a runner that is revoked', () => {
  it('has its task run elsewhere within seconds, which counts as no loss, and is shown as revoked', { timeout: 60_000 }, async () => {
    const link = await pool.client();
    await until('both are known', async () => (await link.peers()).filter(({ state }) => state === 'up').length === 2);
    const program = 'import time\ndef main(s):\n    time.sleep(s)\n    return s';
    const tasks = [link.submit({ program, language: 'python', args: [4] }), link.submit({ program, language: 'python', args: [4] })];
    let moved = '';
    await until('one runs in the attic', async () => {
      for (const { id } of tasks) {
        const story = await link.task(id);
        if (story.peer === 'attic' && story.state === 'running') moved = id;
      }
      return moved !== '';
    }, 20_000);
    const startedAt = performance.now();
    expect((await pool.cli(['revoke', 'attic', '--tracker-port', String(pool.tracker.port)])).status).toBe(0);
    await until('it is back in line or runs elsewhere', async () => (await link.task(moved)).attempts[0]?.state === 'moved', 10_000);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect((await link.task(moved)).attempts[0]).toMatchObject({ peer: 'attic', reason: 'attic was revoked' });
    for (const task of tasks) expect(await task).toBe(4);
    expect((await link.task(moved)).attempts.map(({ state }) => state)).toEqual(['moved', 'done']);
    expect((await link.peers()).find(({ peer: name }) => name === 'attic')?.state).toBe('revoked');
    await peer.said('was revoked');
  });
});
