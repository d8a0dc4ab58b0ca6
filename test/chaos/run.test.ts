/** The short form of `npm run chaos`. */
import { expect, it } from 'vitest';
import { chaos } from './run.ts';
import type { ChaosOptions } from './plan.ts';

const short: ChaosOptions = { seed: 7, tasks: 500, clients: 2, peers: 4, slots: 2, peerKills: 6, trackerKills: 2, clientKills: 1, pauses: 3, pauseMsMax: 8_000, linkFaults: 15, windowMs: 15_000 };

it('a pool whose parts are killed and frozen and whose links fail loses nothing, ends nothing twice and gives no wrong result', async () => {
  const said: string[] = [];
  const report = await chaos(short, { say: (line) => said.push(line) });
  expect(report.broken, said.join('\n')).toEqual([]);
  expect(report).toMatchObject({ tasks: short.tasks, lost: 0, twoOutcomes: 0, wrongResults: 0, ranTooOften: 0, onceTwice: 0 });
  // Otherwise the faults did not bite.
  expect(report.losses).toBeGreaterThan(0);
}, 240_000);
