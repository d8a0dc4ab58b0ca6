/**
 * What the holder of a key may see of a home's tasks.
 *
 * 1. Everything of its own tasks: the program's name, arguments, output, result.
 * 2. An admin, that those of others exist: state, times, peer and whose they are. Nothing that the program
 *    or its arguments say, neither in an error.
 * 3. Of all else what it would see if there were none.
 *
 * Owns: that rule for questions. The same for watching and cancelling: home-state.ts, which shows a task to
 * its submitter and takes any other for unknown.
 */
import { PotluckError } from '../errors.ts';
import type { Roster } from '../identity/roster.ts';

export interface Viewer {
  /** The key that it proved on its link. */
  readonly key: string;
  readonly isAdmin: boolean;
  /** How the submitter of a task is named to people. */
  nameOf(submitter: string): string;
}

export const viewerOf = (roster: Roster, key: string): Viewer => ({
  key,
  isAdmin: roster.roleOf(key) === 'admin',
  nameOf: (submitter) => roster.nameOf(submitter) ?? submitter.slice(0, 12),
});

export const unknownTask = (id: string): PotluckError =>
  new PotluckError('unknown_task', `this home has no task ${id}`, { why: 'it was not submitted here, or is no longer kept', fix: 'check the id and the peer it was submitted to: potluck history' });

/** For who may know that it exists, and no more. */
export const othersTask = (id: string, owner: string): PotluckError =>
  new PotluckError('not_allowed', `the task ${id} belongs to ${owner}`, { why: 'only who submitted it may cancel it or read its output and result', fix: 'potluck task ID shows that it exists, to admins' });
