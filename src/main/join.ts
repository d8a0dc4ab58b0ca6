/** `potluck join` without its words: from what was pasted to a folder that is in the pool. */
import { hostname } from 'node:os';
import { PotluckError } from '../errors.ts';
import { readToken } from '../identity/invitation-token.ts';
import { join, type Joined } from '../identity/join.ts';
import { keyRevoked } from '../identity/live-roster.ts';
import { limits } from '../limits.ts';
import type { Address } from '../wire/index.ts';
import { askTracker } from './admin.ts';

export type { Joined };

/**
 * @param pasted the invitation, or a text that holds it; a secret
 * @param onTry called before anything is dialled, with where the tracker is said to be
 * @throws PotluckError `invitation_mistyped`, `revoked` where the tracker says so of a machine that had joined, and what identity/join.ts throws
 */
export async function joinPool(pasted: string, homeFolder: string, onTry: (addresses: readonly Address[]) => void): Promise<Joined> {
  const token = readToken(pasted);
  onTry(token.addresses);
  const joined = await join({ token, folder: homeFolder, machine: hostname().slice(0, limits.nameLengthMax) });
  if (joined.already && (await isRevoked(homeFolder, joined.tracker))) throw keyRevoked(homeFolder);
  return joined;
}

/** Only the tracker knows of a machine that was away when it was put out. Where it is away, too, what is on disk counts. */
async function isRevoked(homeFolder: string, { host, port }: Address): Promise<boolean> {
  try {
    await askTracker(homeFolder, { host: { value: host, typed: false }, port: { value: port, typed: false } }, { kind: 'registry', what: 'members' });
    return false;
  } catch (error) {
    return error instanceof PotluckError && error.code === 'revoked';
  }
}
