/**
 * What the checks see of the production deciders: every decision, as it is made. The deciders themselves know
 * nothing of it.
 */
import type { HomeAfter, HomeSend } from '../../src/home/home-events.ts';
import type { HomeRecord } from '../../src/home/records.ts';
import { HomeState } from '../../src/home/home-state.ts';
import type { Decision } from '../../src/lib/driver.ts';
import type { RunnerSend } from '../../src/runner/runner-events.ts';
import { RunnerState } from '../../src/runner/runner-state.ts';
import { type TrackerSend, TrackerState } from '../../src/tracker/tracker-state.ts';
import type { World } from './world.ts';

export type HomeDecision = Decision<HomeSend, HomeRecord, HomeAfter>;
export type TrackerDecision = Decision<TrackerSend, never, unknown>;

export interface Onlooker {
  onHome(decision: HomeDecision): void;
  onTracker(decision: TrackerDecision, state: TrackerState): void;
  /** A runner of that life is about to carry this out. */
  onRunner(life: string, send: readonly RunnerSend[]): void;
}

class Insight {
  /** Events decided since the process began. */
  events = 0;
  /** By the name of the life that made it. */
  readonly trackers = new Map<string, TrackerState>();
  world: World | undefined;
  onlooker: Onlooker | undefined;

  begin(world: World, onlooker: Onlooker): void {
    this.trackers.clear();
    this.world = world;
    this.onlooker = onlooker;
  }

  get life(): string {
    return this.world?.current?.name ?? '';
  }
}

export const lookInto = new Insight();

/** A decider's method, with somebody who looks at what comes out. */
function watch<D extends object>(prototype: D, method: keyof D & string, each: (decider: D, decision: never) => void): void {
  const original = prototype[method] as (this: D, events: unknown, now: unknown) => never;
  Object.defineProperty(prototype, method, {
    configurable: true,
    writable: true,
    value(this: D, events: unknown, now: unknown) {
      lookInto.events += Array.isArray(events) ? events.length : 1;
      const decision = original.call(this, events, now);
      each(this, decision);
      return decision;
    },
  });
}

watch(HomeState.prototype, 'decideAll', (_, decision: HomeDecision) => lookInto.onlooker?.onHome(decision));
watch(RunnerState.prototype, 'decideAll', (_, { send }: Decision<RunnerSend, never, never>) => lookInto.onlooker?.onRunner(lookInto.life, send));
watch(TrackerState.prototype, 'decide', (state, decision: TrackerDecision) => {
  lookInto.trackers.set(lookInto.life, state);
  lookInto.onlooker?.onTracker(decision, state);
});
