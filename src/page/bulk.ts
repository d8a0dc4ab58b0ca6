/** What is done to every task that a filter matches: counted before, reported after, also when part of it failed. */
import type * as z from 'zod';
import { causeText, PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { ApiBulkDone, apiBulk, ApiFilter } from '../wire/api.ts';
import { outcomes } from '../wire/messages.ts';
import type { HomeClient } from './home-client.ts';
import type { PageHome, TaskQuery } from './page-home.ts';

type Bulk = z.infer<typeof apiBulk>;

const openStates = ['queued', 'assigned', 'running'] as const;

export function taskQueryOf({ state, since, until, ...rest }: ApiFilter): TaskQuery {
  const states = state === undefined ? undefined : [...new Set(state.flatMap((each) => (each === 'open' ? openStates : each === 'ended' ? outcomes : [each])))];
  const wall = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text));
  return { ...rest, states, since: wall(since), until: wall(until) };
}

export const cancelAll = (home: PageHome, client: HomeClient, bulk: Bulk): Promise<ApiBulkDone> =>
  doToAll(home, bulk, 'open', async (id) => {
    const state = await client.cancel(id);
    if (state !== 'cancelled') throw new PotluckError('bad_request', `it had ended: ${state}`);
  });

export const runAllAgain = (home: PageHome, client: HomeClient, bulk: Bulk): Promise<ApiBulkDone> =>
  doToAll(home, bulk, 'ended', async (id) => {
    await client.submit({ id: undefined, ...(await home.content(id)) });
  });

async function doToAll(home: PageHome, { filter, as_of: asOf, count }: Bulk, which: 'open' | 'ended', act: (id: string) => Promise<void>): Promise<ApiBulkDone> {
  const { ids, total } = await home.matching({ ...taskQueryOf(filter), asOf }, which, Math.min(count, limits.pageBulkMax));
  const report: ApiBulkDone = { matched: total, done: 0, failed: 0, problems: [] };
  const left = ids.values();
  const work = async () => {
    for (const id of left) {
      try {
        await act(id);
        report.done += 1;
      } catch (error) {
        report.failed += 1;
        const { code, message } = error instanceof PotluckError ? error.toProblem() : { code: 'internal', message: causeText(error) };
        if (report.problems.length < limits.pageBulkProblemsMax) report.problems.push({ id, code, message });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limits.pageBulkAtOnce, ids.length) }, work));
  return report;
}
