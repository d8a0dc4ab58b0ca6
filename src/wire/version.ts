/**
 * The version of the protocol, and which versions understand each other.
 *
 * Owns: the numbers. That a link opens with `hello` is in hello.ts.
 *
 * 1. Peers of the same major version and at most one minor version apart work together, so that a
 *    pool can be updated one process at a time.
 * 2. Every frame carries the version of its sender as major × 100 + minor, in its first field,
 *    forever: that is how two programs that cannot talk still find out why.
 */
import { PotluckError } from '../errors.ts';

export const protocol = { major: 1, minor: 0 } as const;

const MINORS = 100;
export const protocolVersion = protocol.major * MINORS + protocol.minor;

const textOf = (version: number): string => `${Math.floor(version / MINORS)}.${version % MINORS}`;

export function isCompatible(theirs: number, ours: number = protocolVersion): boolean {
  return Math.floor(theirs / MINORS) === Math.floor(ours / MINORS) && Math.abs(theirs - ours) <= 1;
}

/** The error for a version that is too far away: names the side that must be updated. */
export function versionGap(theirs: number, ours: number = protocolVersion): PotluckError {
  const theyAreOlder = theirs < ours;
  return new PotluckError('version_gap', `the other side speaks protocol ${textOf(theirs)}, this potluck speaks ${textOf(ours)}`, {
    why: 'programs work together only if they are at most one minor version apart',
    fix: theyAreOlder ? 'update potluck on the other side' : 'update potluck on this side',
  });
}
