/** `potluck join` without its words: from what was pasted to a folder that is in the pool. */
import { hostname } from 'node:os';
import { readToken } from '../identity/invitation-token.ts';
import { join, type Joined } from '../identity/join.ts';
import { limits } from '../limits.ts';
import type { Address } from '../wire/index.ts';

export type { Joined };

/**
 * @param pasted the invitation, or a text that holds it; a secret
 * @param onTry called before anything is dialled, with where the tracker is said to be
 * @throws PotluckError `invitation_mistyped`, and what identity/join.ts throws
 */
export async function joinPool(pasted: string, homeFolder: string, onTry: (addresses: readonly Address[]) => void): Promise<Joined> {
  const token = readToken(pasted);
  onTry(token.addresses);
  return join({ token, folder: homeFolder, machine: hostname().slice(0, limits.nameLengthMax) });
}
