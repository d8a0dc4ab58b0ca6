/**
 * Whether a runner takes an attempt, by who asks: the part of admission that is about trust.
 *
 * Owns: the owner's policy, when the roster was confirmed last. Neighbours: identity/acceptance.ts says what
 * own and foreign mean; runner-state.ts admits by slots, memory and languages.
 *
 * Invariant: nothing here depends on what a grant said, nor on what a home says of itself; the keys are
 * those proven on links, the roles the roster's.
 */
import { foreignLevel, isOwn, type Policy, type Standing, standingOf } from '../identity/acceptance.ts';
import type { Role } from '../identity/roster.ts';
import { limits } from '../limits.ts';
import type { Refusal } from '../wire/messages.ts';

/** Who asks: the key that a home proved on its link, the submitter that it names, and the roles of both. */
export interface Origin {
  readonly homeKey: string;
  readonly homeRole: Role | undefined;
  readonly submitter: string;
  readonly submitterRole: Role | undefined;
}

export interface AcceptanceOptions extends Omit<Policy, 'confirmed'> {
  /** The runner's own key. */
  key: string;
  /** How long ago the roster was confirmed when this process started; Infinity: nobody knows. */
  confirmedAgoMs: number;
}

export interface Denial {
  reason: Refusal;
  detail: string;
}

const maySubmit = (role: Role | undefined): boolean => role === 'admin' || role === 'member';

export class Acceptance {
  readonly #key: string;
  readonly #policy: Omit<Policy, 'confirmed'>;
  /** Until its end it is confirmed: the link to the tracker is up. */
  #linked = false;
  #confirmedAt: number;

  /** The runner's own clock starts at 0. */
  constructor({ key, confirmedAgoMs, ...policy }: AcceptanceOptions) {
    this.#key = key;
    this.#policy = policy;
    this.#confirmedAt = -confirmedAgoMs;
  }

  /** The link to the tracker, which sends every newer roster, came or went. */
  trackerLinked(isUp: boolean, nowMs: number): void {
    if (this.#linked || isUp) this.#confirmedAt = nowMs;
    this.#linked = isUp;
  }

  levelProved(level: number): void {
    this.#policy.level = level;
  }

  isForeign({ homeKey, submitter }: Pick<Origin, 'homeKey' | 'submitter'>): boolean {
    return !isOwn(this.#key, homeKey, submitter);
  }

  standing(nowMs: number): Standing {
    return standingOf({ ...this.#policy, confirmed: this.#isConfirmed(nowMs) });
  }

  /** What it takes as soon as a tracker has confirmed its roster. */
  standingOnceLinked(): Standing {
    return standingOf({ ...this.#policy, confirmed: true });
  }

  #isConfirmed(nowMs: number): boolean {
    return this.#linked || nowMs - this.#confirmedAt < limits.rosterConfirmMs;
  }

  /** Why it is not taken; undefined when it may be. */
  denialOf(origin: Origin, nowMs: number): Denial | undefined {
    if (!maySubmit(origin.homeRole)) return { reason: 'not_allowed', detail: 'the key of its home may not submit tasks to this pool' };
    if (!maySubmit(origin.submitterRole)) return { reason: 'not_allowed', detail: 'the key of its submitter may not submit tasks to this pool' };
    if (this.#policy.accept === 'none') return { reason: 'not_allowed', detail: 'this peer takes no tasks (--accept none)' };
    if (!this.isForeign(origin)) return undefined;
    switch (this.standing(nowMs).withheld) {
      case undefined:
        return undefined;
      case 'owner':
        return { reason: 'not_allowed', detail: 'this peer takes only tasks of its own user (--accept own)' };
      case 'isolation':
        return { reason: 'isolation_too_low', detail: `this peer reaches isolation ${this.#policy.level}, and tasks of other members need ${foreignLevel}` };
      case 'unconfirmed':
        return { reason: 'not_allowed', detail: 'this peer has not reached the tracker for a day, so it cannot know who is still a member' };
    }
  }
}
