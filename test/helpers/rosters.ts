/** Pools, members and rosters for tests. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RosterRow } from '../../src/identity/roster.ts';
import { sealRoster, type SealedRoster } from '../../src/identity/sealed-roster.ts';
import { keyIdOf } from '../../src/wire/key-id.ts';

export const keyId = (letter: string): string => letter.repeat(64);

export const row = (key: string, more: Partial<RosterRow> = {}): RosterRow => ({ key, name: `m-${key.slice(0, 4)}`, role: 'member', state: 'active', ...more });

export interface TestAuthority {
  readonly pool: string;
  readonly key: KeyObject;
  seal(number: number, members: readonly RosterRow[], tracker?: string): SealedRoster;
}

/** A pool's key and what it signs. */
export function newAuthority(): TestAuthority {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pool = keyIdOf(createPublicKey(privateKey));
  return { pool, key: privateKey, seal: (number, members, tracker = members[0]?.key ?? keyId('0')) => sealRoster({ pool, number, tracker, members: [...members] }, privateKey) };
}

/** A home folder that knows the pool and nothing else. */
export async function folderOf(folder: string, { pool }: TestAuthority): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'pool.json'), JSON.stringify({ pool, name: 'test' }), { mode: 0o600 });
  return folder;
}
