/**
 * What the production code asks of its surroundings while a simulated world runs: timers, clocks and random
 * numbers, of the process in whose name the present act is done.
 *
 * Promises and queueMicrotask stay as they are: the world waits for them after each act.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Prng } from '../../src/lib/prng.ts';
import type { Life, World } from './world.ts';

/** As of setTimeout. */
const timerMsMin = 1;
/** What the event loop takes to come round: so that who waits turn by turn does not stop time. */
const turnMs = 0.002;

/** What setTimeout and the like give back. */
class SimTimer {
  cancel: () => void = () => {};
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
}

const clear = (timer: SimTimer | undefined): void => timer?.cancel();

/** Puts the world's in the place of the system's; the returned function puts them back. */
export function surround(world: World): () => void {
  const scope = globalThis as unknown as Record<string, unknown>;
  const names = ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'performance'] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)!);
  const { random } = Math;
  const { now } = Date;
  const { randomBytes, randomInt } = crypto;
  const chance = chanceOf(world);

  const set = (name: string, value: unknown) => Object.defineProperty(scope, name, { value, configurable: true, writable: true });
  set('setTimeout', (act: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => timeout(world, () => act(...args), ms));
  set('setInterval', (act: () => void, ms = 0) => interval(world, act, ms));
  set('setImmediate', (act: (...args: unknown[]) => void, ...args: unknown[]) => {
    const timer = new SimTimer();
    timer.cancel = world.later(turnMs, world.current, () => act(...args));
    return timer;
  });
  set('clearTimeout', clear);
  set('clearInterval', clear);
  set('clearImmediate', clear);
  set('performance', { now: () => world.monotonic() });
  Math.random = () => chance().uint32() / 0x1_0000_0000;
  Date.now = () => world.wall();
  crypto.randomBytes = ((size: number) => Buffer.from(Uint8Array.from({ length: size }, () => chance().below(256)).buffer)) as typeof crypto.randomBytes;
  crypto.randomInt = ((max: number) => chance().below(max)) as typeof crypto.randomInt;
  syncBuiltinESMExports();

  return () => {
    names.forEach((name, at) => Object.defineProperty(globalThis, name, before[at]!));
    Math.random = random;
    Date.now = now;
    Object.assign(crypto, { randomBytes, randomInt });
    syncBuiltinESMExports();
  };
}

/** Each process draws from a generator of its own. */
function chanceOf(world: World): () => Prng {
  const streams = chances.get(world) ?? new Map<string, Prng>();
  chances.set(world, streams);
  return () => {
    const name = world.current?.name ?? '';
    let prng = streams.get(name);
    if (prng === undefined) streams.set(name, (prng = world.stream(`random ${name}`)));
    return prng;
  };
}

const chances = new WeakMap<World, Map<string, Prng>>();

/** By the clock of the machine that it runs on. */
const delayOf = (life: Life | undefined, ms: number): number => Math.max(timerMsMin, Number(ms) || 0) / (life?.machine.rate ?? 1);

function timeout(world: World, act: () => void, ms: number): SimTimer {
  const timer = new SimTimer();
  timer.cancel = world.later(delayOf(world.current, ms), world.current, act);
  return timer;
}

function interval(world: World, act: () => void, ms: number): SimTimer {
  const timer = new SimTimer();
  const life = world.current;
  const again = () => {
    timer.cancel = world.later(delayOf(life, ms), life, () => {
      again();
      act();
    });
  };
  again();
  return timer;
}
