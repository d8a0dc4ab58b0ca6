/**
 * Whose tasks this peer takes, as its process finds it: the owner's settings, the level, the last word of
 * the tracker; and what is said about it to people.
 *
 * Owns: the check of --trust-members, the sentences. Neighbours: identity/acceptance.ts says what follows;
 * the runner decides by it.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerOptions } from '../config.ts';
import { PotluckError } from '../errors.ts';
import { foreignLevel, type Standing } from '../identity/acceptance.ts';
import type { LiveRoster } from '../identity/live-roster.ts';
import type { AcceptanceOptions } from '../runner/acceptance-state.ts';
import type { LevelProbe } from '../sandbox/levels.ts';
import type { ProvenLevel } from './box-proof.ts';

/**
 * @param folder the pool's folder
 * @param key the peer's own
 * @param confirmedAgoMs how long ago the tracker said last that the roster is the newest
 * @param proven the level that probes have shown until now
 * @throws PotluckError `not_allowed` for members' tasks without walls beside the pool's key
 */
export function acceptanceFor({ accept, trustMembers }: Pick<PeerOptions, 'accept' | 'trustMembers'>, folder: string, key: string, { level }: LevelProbe, proven: number, confirmedAgoMs: number): AcceptanceOptions {
  const besidePoolKey = existsSync(join(folder, 'pool.key'));
  if (trustMembers && level < foreignLevel && besidePoolKey) {
    throw new PotluckError('not_allowed', '--trust-members is refused on this machine', {
      why: `${join(folder, 'pool.key')} lies here, and at isolation ${level} any member's task could read it and take the pool`,
      fix: 'leave it out, or run the tracker on another machine',
    });
  }
  // Should the walls turn out to have a hole, the pool's key is worth more than the owner's word.
  return { key, accept, trustMembers: trustMembers && !besidePoolKey, level: proven, confirmedAgoMs };
}

/** Why other members' tasks are not taken, and the one command that mends it; undefined when they are. */
export function whyOnlyOwn({ accepts, withheld }: Standing, { level, missing, fix }: ProvenLevel): { problem: string; fix: string } | undefined {
  switch (withheld) {
    case undefined:
      return undefined;
    case 'owner':
      if (accepts === 'none') return { problem: 'this peer takes no tasks, because of --accept none', fix: 'start it with --accept members' };
      return { problem: 'this peer takes only tasks of its own user, because of --accept own', fix: 'start it with --accept members' };
    case 'isolation':
      return { problem: `this peer takes only tasks of its own user: it reaches isolation ${level}, others' need ${foreignLevel}${missing === '' ? '' : ` (${missing})`}`, fix: fix === '' ? 'potluck doctor' : fix };
    case 'unconfirmed':
      return { problem: 'this peer takes only tasks of its own user: for a day no tracker has told it who is still a member', fix: 'start the tracker, or check the way to it' };
  }
}

/** Whether there is anybody in the pool whose tasks would be foreign. */
export const hasOthers = ({ body }: LiveRoster, ownKey: string): boolean => body?.members.some(({ key, state }) => state === 'active' && key !== ownKey) === true;

const lookMs = 60_000;

/**
 * Says on the console that other members' tasks are not taken: once for each reason, and only in a pool that
 * has other members.
 */
export class OnlyOwnNotice {
  readonly #o: { standing: () => Standing; proven: () => ProvenLevel; roster: LiveRoster; ownKey: string; say: (line: string) => void };
  #said: Standing['withheld'];
  #timer: NodeJS.Timeout | undefined;
  #forget: (() => void) | undefined;

  constructor(options: { standing: () => Standing; proven: () => ProvenLevel; roster: LiveRoster; ownKey: string; say: (line: string) => void }) {
    this.#o = options;
  }

  start(): void {
    this.#forget = this.#o.roster.onChange(() => this.#look());
    this.#timer = setInterval(() => this.#look(), lookMs);
    this.#look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#forget?.();
  }

  #look(): void {
    const { standing, proven, roster, ownKey, say } = this.#o;
    const why = hasOthers(roster, ownKey) ? standing() : undefined;
    if (why?.withheld === this.#said) return;
    this.#said = why?.withheld;
    const told = why === undefined ? undefined : whyOnlyOwn(why, proven());
    if (told !== undefined) say(`${told.problem}; to change that: ${told.fix}`);
  }
}
