/** A task that is told again is the same task: in life, in replay with its first records, and without them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HomeRecord } from '../../src/home/records.ts';
import type { Task } from '../../src/home/task-state.ts';
import { attemptsIn, cancelled, ended, failed, granted, linked, submitted, TestHome, turnedAway, unlinked, up } from '../helpers/home.ts';

/** All that is durable of the tasks that wait or run, and what is made of it. */
const durable = (home: TestHome) =>
  [...home.state.tasks.values()]
    .map(({ id, accepted, seq, order, state, attempts, receipt, losses, failures, avoid, notBefore, assignedAt }: Task) => ({
      id,
      accepted,
      seq,
      order,
      receipt,
      losses,
      failures,
      avoid,
      notBefore,
      assignedAt,
      state: state === 'running' ? 'assigned' : state,
      attempts: attempts.map((attempt) => ({ ...attempt, state: attempt.state === 'running' ? 'assigned' : attempt.state })),
    }))
    .toSorted((a, b) => a.seq - b.seq);

/** Ids in the order in which they get a slot, one at a time, from a runner that fits all. */
function order(home: TestHome): string[] {
  const ids: string[] = [];
  home.pass(70_000);
  home.withRunners({ z: 1 });
  for (let left = home.state.tasks.size; left > 0; left -= 1) {
    const [attempt] = attemptsIn(home.tell(granted('z', 1))).concat(home.state.runners.get('z')!.attempts.size > 0 ? attemptOf(home) : []);
    if (attempt === undefined) break;
    ids.push(attempt.id);
    home.tell(ended(attempt));
  }
  return ids;
}

function attemptOf(home: TestHome) {
  const [key, id] = [...home.state.runners.get('z')!.attempts][0]!;
  const { attempt } = home.state.tasks.get(id)!.attempts.at(-1)!;
  return [{ id, attempt, key, peer: 'z' } as ReturnType<typeof attemptsIn>[number]];
}

const replayed = (records: readonly HomeRecord[], firstSeq: number, ms: number): TestHome => {
  const home = new TestHome({ ms });
  records.forEach((record, at) => home.state.replay(record, firstSeq + at));
  return home;
};

const compacting = (restate: readonly string[]) => ({ type: 'compacting', restate, retell: [], prune: [] }) as const;

/** A home in which things happen: what, and to whom, comes from `steps`. */
function lived(steps: readonly (readonly [number, number])[]): TestHome {
  const home = new TestHome().withRunners({ a: 2, b: 1 });
  let next = 0;
  for (const [what, who] of steps) {
    const ids = [...home.state.tasks.keys()];
    const task = home.state.tasks.get(ids[who % Math.max(1, ids.length)] ?? '');
    const last = task?.attempts.at(-1);
    const ref = task !== undefined && task.state !== 'queued' && last !== undefined ? { id: task.id, attempt: last.attempt, key: last.key, peer: last.peer } : undefined;
    if (what <= 3) {
      const options = [{}, { retries: 2 }, { once: true }, { priority: (who % 3) - 1, waitMs: 600_000 }][who % 4]!;
      home.tell(submitted(`t${(next += 1)}`, options, { digest: `d${next}` }));
    } else if (what === 4 && ref !== undefined) home.tell(ended(ref));
    else if (what === 5 && ref !== undefined) home.tell(failed(ref));
    else if (what === 6 && ref !== undefined) home.tell(turnedAway(ref));
    else if (what === 7 && ref !== undefined) {
      home.tell(unlinked(ref.peer));
      home.pass(2_100);
      home.tell(up(ref.peer), linked(ref.peer, [], `${ref.peer}-${home.ms}`), granted(ref.peer, 2));
    } else if (what === 8) home.pass(who * 100);
    else if (what === 9 && task !== undefined) home.tell(cancelled(task.id));
  }
  return home;
}

const steps = fc.array(fc.tuple(fc.nat(9), fc.nat(11)), { maxLength: 60 });

describe('a task that is told again', () => {
  it('is the same for a home that reads only the head of the journal', () => {
    fc.assert(
      fc.property(steps, steps, (before, after) => {
        const home = lived(before);
        const first = home.records.length;
        const ids = [...home.state.tasks.keys()];
        const wanted = durable(home);
        const told = home.tell(compacting(ids));
        expect(durable(home)).toEqual(wanted);
        expect(told.after).toContainEqual({ to: 'compacted', ended: [] });
        expect(told.journal.filter(({ kind }) => kind === 'restated')).toHaveLength(ids.length);
        expect(durable(replayed(home.records.slice(first), first + 1, home.ms))).toEqual(durable(home));
        for (const [what, who] of after.slice(0, 10)) if (what > 3) lifeGoesOn(home, what, who);
        expect(durable(replayed(home.records.slice(first), first + 1, home.ms))).toEqual(durable(home));
      }),
      { numRuns: 300 },
    );
  });

  it('changes nothing for a home that also reads what led to it', () => {
    fc.assert(
      fc.property(steps, (before) => {
        const home = lived(before);
        home.tell(compacting([...home.state.tasks.keys()]));
        const whole = replayed(home.records, 1, home.ms);
        expect(durable(whole)).toEqual(durable(home));
        const without = replayed(home.records.filter(({ kind }) => kind !== 'restated'), 1, home.ms);
        expect(order(whole)).toEqual(order(without));
      }),
      { numRuns: 100 },
    );
  });

  it('keeps its place in line, also when only some are told again', () => {
    fc.assert(
      fc.property(steps, fc.nat(40), (before, at) => {
        const home = lived(before);
        const cut = Math.min(at, home.records.length);
        // What was accepted up to here is told again, as if its segment were dropped.
        const ids = [...home.state.tasks.values()].filter(({ seq }) => seq <= cut).map(({ id }) => id);
        const lines = replayed(home.records, 1, home.ms);
        home.tell(compacting(ids));
        const kept = replayed(home.records.slice(cut), cut + 1, home.ms);
        expect(durable(kept)).toEqual(durable(home));
        expect(order(kept)).toEqual(order(lines));
      }),
      { numRuns: 200 },
    );
  });

  it('waits for the time of its retry, and expires when it should', () => {
    const home = new TestHome().withRunners({ a: 1 });
    const [attempt] = attemptsIn(home.tell(submitted('retry', { retries: 1 })));
    home.tell(unlinked('a'), failed(attempt!), submitted('wait', { waitMs: 2_000 }, { digest: 'w' }));
    const first = home.records.length;
    home.tell(compacting(['retry', 'wait']));
    const kept = replayed(home.records.slice(first), first + 1, home.ms);
    expect(kept.state.waiting.count).toBe(1);
    kept.pass(600);
    expect(kept.state.waiting.count).toBe(2);
    expect(kept.pass(2_000).journal).toMatchObject([{ kind: 'ended', id: 'wait', state: 'expired' }]);
  });

  it('is not told if it has ended meanwhile, and the compaction hears so', () => {
    const home = new TestHome();
    home.tell(submitted('t'));
    const { journal, after } = home.tell(cancelled('t'), compacting(['t']));
    expect(journal.map(({ kind }) => kind)).toEqual(['ended']);
    expect(after).toContainEqual({ to: 'compacted', ended: ['t'] });
  });
});

function lifeGoesOn(home: TestHome, what: number, who: number): void {
  const ids = [...home.state.tasks.keys()];
  const task = home.state.tasks.get(ids[who % Math.max(1, ids.length)] ?? '');
  const last = task?.attempts.at(-1);
  if (task === undefined || task.state === 'queued' || last === undefined) return void home.pass(who * 10);
  const ref = { id: task.id, attempt: last.attempt, key: last.key, peer: last.peer };
  home.tell(what % 2 === 0 ? failed(ref) : turnedAway(ref));
}

describe('the id of a pruned task', () => {
  const past = { id: 't', digest: 'd', state: 'done', endedWall: 5 } as const;

  it('with the same content is accepted and gets its outcome, with what is missing named', () => {
    const home = new TestHome();
    const { journal, after } = home.tell({ ...submitted('t'), prior: past } as ReturnType<typeof submitted>);
    expect(journal).toEqual([]);
    expect(after).toMatchObject([
      { to: 'accepted', id: 't' },
      { to: 'client', message: { kind: 'outcome', id: 't', state: 'done', error: { code: 'no_longer_kept' } } },
    ]);
  });

  it('with other content is refused', () => {
    const home = new TestHome();
    const { journal, after } = home.tell({ ...submitted('t', {}, { digest: 'other' }), prior: past } as ReturnType<typeof submitted>);
    expect(journal).toEqual([]);
    expect(after).toMatchObject([{ to: 'client', message: { kind: 'refused', error: { code: 'id_conflict' } } }]);
  });
});
