/** Pools of several users from seeds: own and foreign tasks, a key that may only run them, a revocation in the middle. */
import { describe, expect, it } from 'vitest';
import { simulateMembers } from './scenario-members.ts';

const seeds = Number(process.env['POTLUCK_SIM_SEEDS'] ?? 25);
const firstSeed = Number(process.env['POTLUCK_SIM_SEED'] ?? 1);

describe('a pool of three users from a seed', () => {
  it(`keeps their machines and tasks apart in ${seeds} runs with a revocation and faults`, { timeout: 120_000 }, async () => {
    const seen = { done: 0, foreignRuns: 0 };
    for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
      try {
        const { pool, foreignRuns } = await simulateMembers(seed);
        seen.done += pool.ledger.count('done');
        seen.foreignRuns += foreignRuns;
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)} (POTLUCK_SIM_SEED=${seed} POTLUCK_SIM_SEEDS=1)`, { cause: error });
      }
    }
    expect(seen.done).toBeGreaterThan(10 * seeds);
    expect(seen.foreignRuns).toBeGreaterThan(seeds);
  });
});
