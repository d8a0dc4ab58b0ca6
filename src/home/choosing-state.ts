/**
 * The runner for the first task of a line: who fits, who has room, whether work may be sent ahead.
 *
 * Neighbours: placement-state.ts ranks runners; runners-state.ts is the table of them; home-state.ts assigns.
 */
import type { Prng } from '../lib/prng.ts';
import { limits } from '../limits.ts';
import { aheadPerSlot, type Choice, chooseAhead, chooseByLoad, chooseFromMemory, isUp, type Line, misfit, type Runner } from './placement-state.ts';
import { Profile } from './profile-state.ts';
import type { Runners } from './runners-state.ts';
import type { Self, Task } from './task-state.ts';

const profilesMax = 10_000;

export class Chooser {
  readonly #self: Self;
  readonly #runners: Runners;
  readonly #prng: Prng;
  readonly #profiles = new Map<string, Profile>();

  constructor(self: Self, runners: Runners, prng: Prng) {
    this.#self = self;
    this.#runners = runners;
    this.#prng = prng;
  }

  /** Remembers how long a run took. */
  learn(task: Task, runUs: number): void {
    const key = profileKey(task);
    let profile = this.#profiles.get(key);
    if (profile === undefined) {
      if (this.#profiles.size >= profilesMax) this.#profiles.clear();
      this.#profiles.set(key, (profile = new Profile()));
    }
    profile.add(runUs);
  }

  /** Linked runners that could run what waits in this line, were they free. */
  fitting(line: Line, nowMs: number): Runner[] {
    const own = line.confidential ? this.#runners.find(this.#self.peer) : undefined;
    const all = line.confidential ? (own === undefined ? [] : [own]) : [...this.#runners.map.values()];
    const fitting = all.filter((runner) => isUp(runner) && misfit(runner.info!, line.need, this.#self.key) === undefined);
    const others = line.avoid === null ? fitting : fitting.filter((runner) => runner.peer !== line.avoid);
    const wanted = others.length > 0 ? others : fitting;
    // Of grants, which are what else opens a link, there are none in either case.
    if (line.confidential || !this.#runners.trackerUp) {
      for (const runner of wanted.slice(0, limits.offersOfOneMax)) if (runner.blockedUntil <= nowMs) this.#runners.dial(runner);
    }
    return wanted.filter((runner) => runner.link === 'up' && runner.blockedUntil <= nowMs);
  }

  /** @param fitting what `fitting` gave for this line in the same round */
  choose(line: Line, task: Task, fitting: readonly Runner[]): Choice | undefined {
    const free = fitting.filter((runner) => this.#roomIn(runner, line) > 0);
    if (free.length === 0) return this.#aheadChoice(task, fitting);
    if (line.confidential) {
      const choice = chooseByLoad(free)!;
      return { ...choice, receipt: { ...choice.receipt, decided: 'confidential' } };
    }
    if (!this.#runners.trackerUp) return chooseFromMemory(free, this.#prng);
    return chooseByLoad(free, this.#passedOver(line, fitting.length, free.length));
  }

  #roomIn(runner: Runner, line: Line): number {
    const slots = line.confidential || !this.#runners.trackerUp ? (runner.info?.slots ?? 0) : runner.granted;
    return slots - runner.attempts.size;
  }

  /** Of the peers with the right interpreter and memory, how many had no room; and who had not even those. */
  #passedOver(line: Line, fitting: number, free: number): Record<string, number> | undefined {
    const counts: Record<string, number> = {};
    if (fitting > free) counts['no slot free for this home'] = fitting - free;
    for (const { info } of this.#runners.map.values()) {
      const why = info === undefined || info.state !== 'up' ? undefined : misfit(info, line.need, this.#self.key);
      if (why !== undefined) counts[why] = (counts[why] ?? 0) + 1;
    }
    return Object.keys(counts).length === 0 ? undefined : counts;
  }

  /** Tiny tasks may go where no slot is free: they start before they would have arrived otherwise. */
  #aheadChoice(task: Task, fitting: readonly Runner[]): Choice | undefined {
    const { options } = task.accepted;
    if (options.once === true || options.fresh === true || options.confidential === true || !this.#runners.trackerUp) return undefined;
    const medianMs = this.#profiles.get(profileKey(task))?.medianMs;
    if (medianMs === undefined) return undefined;
    const perSlot = aheadPerSlot(medianMs);
    return chooseAhead(
      fitting.filter(
        (runner) =>
          runner.granted > 0 && runner.holding === runner.granted && medianMs < runner.roundTripMs * limits.tinyRoundTrips && takesMore(runner, runner.granted * (1 + perSlot)),
      ),
    );
  }
}

/** Refilled when half empty and then to the brim, so that work travels in batches and not one by one. */
function takesMore(runner: Runner, attemptsMax: number): boolean {
  const { size } = runner.attempts;
  if (size >= attemptsMax) runner.isFilling = false;
  else if (size <= (runner.granted + attemptsMax) / 2) runner.isFilling = true;
  return runner.isFilling;
}

const profileKey = ({ accepted }: Task): string => `${accepted.program}:${accepted.function}`;
