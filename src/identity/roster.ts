/**
 * Who belongs to the pool. For now: whoever holds the key of this POTLUCK_HOME, which is every
 * process of this user on this machine. The signed roster of a pool of many machines will be another
 * implementation of the same interface.
 */

/** `admin`: everything; `member`: may submit; `runner`: may only run what others submit. */
export type Role = 'admin' | 'member' | 'runner';

export interface Roster {
  /** The role of the holder of a key (64 hex digits); undefined for a stranger. */
  roleOf(keyId: string): Role | undefined;
}

/** Only the own key, which may do everything. */
export function ownKeyRoster(ownKeyId: string): Roster {
  return { roleOf: (keyId) => (keyId === ownKeyId ? 'admin' : undefined) };
}
