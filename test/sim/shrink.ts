/** Makes a failing script short: steps, peers' options and clients are left out as long as it still fails. */
import type { SimPool } from './pool.ts';
import { perform, type Script, type Step } from './scenario.ts';

export interface Short {
  steps: Step[];
  failure: string;
  /** What happened in it. */
  lines: string[];
}

/** More runs than this are not worth a shorter history. */
const runsMax = 400;

/** @param script one that fails */
export async function shorten(script: Script): Promise<Short> {
  let steps = [...script.steps].toSorted((a, b) => a.at - b.at);
  let last = await attempt({ ...script, steps });
  let runs = 1;
  if (last === undefined) return { steps, failure: 'in order of time it does not fail', lines: [] };
  for (let size = Math.ceil(steps.length / 2); size >= 1 && runs < runsMax; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < steps.length && runs < runsMax; ) {
      const fewer = [...steps.slice(0, at), ...steps.slice(at + size)];
      const result = await attempt({ ...script, steps: fewer });
      runs += 1;
      if (result === undefined) at += size;
      else [steps, last] = [fewer, result];
    }
  }
  return { steps, ...last };
}

/** How it fails; undefined when it does not. */
async function attempt(script: Script): Promise<Omit<Short, 'steps'> | undefined> {
  let pool: SimPool | undefined;
  try {
    await perform(script, (begun) => {
      pool = begun;
      begun.world.history.lines = [];
    });
    return undefined;
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error), lines: pool?.world.history.lines ?? [] };
  }
}
