/**
 * Whose tasks a machine runs.
 *
 * Owns: what "own" and "foreign" mean, and what a peer takes, given what its owner allows, the level that
 * its probes showed, and whether the roster was confirmed lately. The runner decides by it
 * (src/runner/acceptance-state.ts); the tracker and homes know by it beforehand who would say no.
 *
 * Invariants
 * 1. A task is own only if its home proved the runner's own key on its link and names that key as the
 *    submitter. What a home of another key says about the submitter never makes a task own.
 * 2. Foreign tasks run in the box, unless the owner of the machine said otherwise in so many words.
 */
import type { Accepts, Withheld } from '../wire/messages.ts';

/** The level from which members' code cannot read or reach the machine. */
export const foreignLevel = 2;

export interface Policy {
  /** What the owner of the machine allows. */
  accept: Accepts;
  /** The owner takes members' tasks below `foreignLevel`, too. */
  trustMembers: boolean;
  /** What the probes showed: 0, 1 or 2. */
  level: number;
  /** The tracker has confirmed the roster within limits.rosterConfirmMs. */
  confirmed: boolean;
}

/** What a peer takes now, and if that is less than members' tasks: why. */
export interface Standing {
  accepts: Accepts;
  withheld?: Withheld;
}

export function standingOf({ accept, trustMembers, level, confirmed }: Policy): Standing {
  if (accept !== 'members') return { accepts: accept, withheld: 'owner' };
  if (level < foreignLevel && !trustMembers) return { accepts: 'own', withheld: 'isolation' };
  return confirmed ? { accepts: 'members' } : { accepts: 'own', withheld: 'unconfirmed' };
}

/**
 * @param own the key of the runner
 * @param home the key that the task's home proved on its link to the runner
 * @param submitter what that home says
 */
export const isOwn = (own: string, home: string, submitter: string): boolean => home === own && submitter === own;

/** Whether such a peer takes a task of a home with that key. An older one, which does not say, takes its own. */
export function takes(peer: { key: string; accepts?: Accepts | undefined }, home: string, isForeign: boolean): boolean {
  if (peer.accepts === 'none') return false;
  return peer.accepts === 'members' || (peer.key === home && !isForeign);
}
