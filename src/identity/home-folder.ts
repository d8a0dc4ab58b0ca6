/**
 * The pool's folder of one user on one machine: $POTLUCK_HOME, or ~/.potluck.
 *
 * Owns: the folder and what of it concerns identity: `member.key` (every process of this folder shows
 * this one key), `pool.key` (opened by the tracker only) and `pool.json` (public). Stores, logs and
 * settings lie beside them and belong to others.
 *
 * Invariants
 * 1. The folder is open to its owner only (0700), the files too (0600); anything else stops the start.
 * 2. Processes that start at once on an empty folder make one member key and one pool.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import * as z from 'zod';
import { causeText, PotluckError } from '../errors.ts';
import { hostAndPort } from '../lib/hosts.ts';
import { ifMissing } from '../lib/system-errors.ts';
import { limits } from '../limits.ts';
import { keyIdOf, type LinkIdentity } from '../wire/key-id.ts';
import { addressSchema, hashSchema } from '../wire/messages.ts';
import { certificateOf } from './certificate.ts';
import { createOnce, replaceFile, keyFromFile, refuseExposed } from './key-file.ts';

/** What this process is on its links. `keyId`: SHA-256 (hex) of the public key. */
export type Identity = LinkIdentity;

export interface HomeFolder {
  readonly path: string;
  readonly identity: Identity;
}

const poolSchema = z.object({
  pool: hashSchema,
  name: z.string().max(limits.nameLengthMax),
  /** Where its tracker was when this folder joined; missing in the folder of the tracker itself. */
  trackers: z.array(addressSchema).max(limits.addressesMax).optional(),
});
/** What anybody may know of a pool: the SHA-256 (hex) of its public key, its name, and where its tracker is. */
export type PoolInfo = z.infer<typeof poolSchema>;

export function homeFolderPath(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment.POTLUCK_HOME;
  return named === undefined || named === '' ? join(homedir(), '.potluck') : resolve(named);
}

/** Opens the folder, making it and the member key on the first start. Throws PotluckError `home_exposed`, `key_damaged`. */
export async function openHomeFolder(path: string = homeFolderPath()): Promise<HomeFolder> {
  await makeFolder(path);
  await refuseExposed(path, 0o700);
  return { path, identity: identityOf(await keyFromFile(join(path, 'member.key'))) };
}

/** What shows an Ed25519 key on links. */
export const identityOf = (key: KeyObject): Identity => ({
  keyId: keyIdOf(createPublicKey(key)),
  keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  certPem: certificateOf(key),
});

/**
 * Opens the pool, making it on the first start. For the tracker only: nobody else touches the pool's key.
 * Throws PotluckError `key_damaged`, `home_exposed`, and `already_joined` if the folder is in the pool of another tracker.
 */
export async function openPool(folder: string, name: string): Promise<{ pool: PoolInfo; key: KeyObject }> {
  const known = await readPool(folder);
  if (known !== undefined && !(await hasPoolKey(folder))) throw keyElsewhere(folder, known);
  const key = await keyFromFile(join(folder, 'pool.key'));
  const made: PoolInfo = { pool: keyIdOf(createPublicKey(key)), name };
  await createOnce(poolFile(folder), `${JSON.stringify(made)}\n`);
  const found = await readPool(folder);
  if (found?.pool === made.pool) return { pool: found, key };
  throw new PotluckError('key_damaged', `${poolFile(folder)} does not name the pool of pool.key`, {
    why: 'one of the two was replaced',
    fix: `if pool.key is the right one, delete ${poolFile(folder)}`,
  });
}

/** The pool of this folder; undefined before its tracker was first started. */
export async function readPool(folder: string): Promise<PoolInfo | undefined> {
  const text = await readFile(poolFile(folder), 'utf8').catch(ifMissing(undefined));
  if (text === undefined) return undefined;
  try {
    return poolSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new PotluckError('key_damaged', `${poolFile(folder)} cannot be read`, {
      why: 'it is not what a tracker wrote',
      fix: 'delete it: the tracker writes it again when it starts; a machine that had joined joins again, by the same invitation or a new one',
      cause: error,
    });
  }
}

/** Whether this is the folder of a pool's tracker. */
export const hasPoolKey = (folder: string): Promise<boolean> => stat(join(folder, 'pool.key')).then(() => true, ifMissing(false));

/** The folder is in that pool from here on. */
export async function rememberPool(folder: string, pool: PoolInfo): Promise<void> {
  await replaceFile(poolFile(folder), `${JSON.stringify(pool)}\n`);
}

function keyElsewhere(folder: string, { name, trackers }: PoolInfo): PotluckError {
  if (trackers === undefined) {
    return new PotluckError('key_damaged', `the key of the pool is not in ${folder}`, { why: 'pool.json is there, and pool.key is gone', fix: `put pool.key back from a copy; to begin a new pool, delete ${poolFile(folder)}` });
  }
  return new PotluckError('already_joined', `this machine has joined ${name}, which has its tracker elsewhere`, {
    why: `a pool has one tracker, and that of this one is at ${trackers.map(({ host, port }) => hostAndPort(host, port)).join(' or ')}`,
    fix: 'start a peer of it here: potluck peer; or give a pool of your own another folder: POTLUCK_HOME=~/.potluck-own potluck tracker',
  });
}

const poolFile = (folder: string): string => join(folder, 'pool.json');

async function makeFolder(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    // The umask can only have taken rights away; the owner gets them back.
    if (first !== undefined) await chmod(path, 0o700);
  } catch (error) {
    throw new PotluckError('file_unreadable', `the folder ${path} cannot be made`, {
      why: causeText(error),
      fix: 'set POTLUCK_HOME to a folder that you may write',
      cause: error,
    });
  }
}
