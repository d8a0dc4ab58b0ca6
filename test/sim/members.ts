/** Who is who in a simulated pool, and who of them knows already that somebody is a member no more. */
import type { Role } from '../../src/identity/roster.ts';
import type { Life } from './world.ts';

/** One key, of all processes of a folder. It goes on over their starts, as what is in that folder does. */
export interface Member {
  readonly key: string;
  readonly role: Role;
}

/** What a process goes by: its own key, and the newest roster that it has. */
export interface Membership extends Member {
  /** Keys that this roster has as revoked. */
  readonly revoked: Set<string>;
}

export const everybody: Member = { key: 'member', role: 'member' };

export const membershipOf = (member: Member): Membership => ({ ...member, revoked: new Set() });

/** Whether either would close the link. */
export function areStrangers(a: Life, b: Life): boolean {
  const knows = (one: Life, other: Life) => one.member?.revoked.has(other.member?.key ?? everybody.key) === true;
  return knows(a, b) || knows(b, a);
}
