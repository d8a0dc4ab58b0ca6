/** The registry on a disk that fails: nobody is told what is not kept. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Audit } from '../../src/identity/audit.ts';
import { openHomeFolder, openPool } from '../../src/identity/home-folder.ts';
import { LiveRoster } from '../../src/identity/live-roster.ts';
import { Registry } from '../../src/identity/registry.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'potluck-registry-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('after a failed flush refuses everything, and the roster stays as it was', async () => {
  const { path, identity } = await openHomeFolder(join(folder, 'home'));
  const { pool, key } = await openPool(path, 'test');
  const roster = await new LiveRoster({ folder: path, ownKeyId: identity.keyId }).open();
  const said: string[] = [];
  let failing = false;
  let records = 0;
  const log = {
    append: () => (records += 1),
    flush: async () => {
      if (failing) throw new Error('no space left');
      return records;
    },
  };
  const audit = new Audit({ log: { append: () => 1, flush: async () => 1 }, failed: () => undefined });
  const registry = new Registry({ pool: pool.pool, poolKey: key, own: { key: identity.keyId, name: 'den', machine: 'den' }, roster, log, audit, say: (line) => said.push(line), broken: (error) => said.push(`broken: ${String(error)}`) });
  await registry.start();
  const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const invite = { type: 'invite_asked', by: identity.keyId, id: 'i', publicKey, role: 'member', joins: 5, ttlMs: 60_000 } as const;
  expect(await registry.ask(invite)).toMatchObject({ ok: 'invited' });
  failing = true;
  const asked = [1, 2, 3].map((number) => registry.ask({ type: 'join_asked', invitation: 'i', key: `${number}`.repeat(64), machine: 'm', name: 'm', address: 'a' }));
  for (const answer of await Promise.all(asked)) expect(answer).toMatchObject({ refused: { code: 'store_failed' } });
  failing = false;
  expect(await registry.ask({ ...invite, id: 'j' })).toMatchObject({ refused: { code: 'store_failed' } });
  expect([roster.number, roster.roleOf('1'.repeat(64)), audit.rows(10).map(({ what }) => what)]).toEqual([1, undefined, ['founded', 'invited'].toReversed()]);
  expect(said).toHaveLength(1);
  await registry.stop();
});
