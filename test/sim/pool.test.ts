/** Whole pools from seeds, with faults: the promises hold, or the failing seed is named. */
import { describe, expect, it } from 'vitest';
import { simulate } from './scenario.ts';

const seeds = Number(process.env['POTLUCK_SIM_SEEDS'] ?? 150);
const firstSeed = Number(process.env['POTLUCK_SIM_SEED'] ?? 1);

describe('a pool from a seed', () => {
  it(`keeps its promises in ${seeds} runs with crashes, cut links, dying workers, full disks and cancels`, { timeout: 600_000 }, async () => {
    const seen = { done: 0, failed: 0, cancelled: 0, unknown: 0, timed_out: 0, expired: 0 };
    for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
      try {
        const { ledger } = await simulate(seed);
        for (const state of ['done', 'failed', 'cancelled', 'unknown', 'timed_out', 'expired'] as const) seen[state] += ledger.count(state);
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)} (npm run sim -- --seed ${seed})`, { cause: error });
      }
    }
    if (seeds >= 100) for (const [state, count] of Object.entries(seen)) expect(count, `the faults must be able to lead to ${state}`).toBeGreaterThan(0);
  });

  it('does the same thing twice from the same seed', async () => {
    const first = await simulate(firstSeed + 1);
    const second = await simulate(firstSeed + 1);
    expect(second.world.acts).toBe(first.world.acts);
    expect(second.world.history.hash).toBe(first.world.history.hash);
  });
});
