/** Whose attempts a runner takes, whatever a grant said and a home says. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { endsIn, fedIn, key, ordersIn, TestRunner, turnedAwayIn } from '../helpers/runner.ts';

const other = { homeKey: 'other', homeRole: 'member', submitter: 'other', submitterRole: 'member' } as const;

describe('a runner below the box', () => {
  const low = () => new TestRunner(4, { acceptance: { level: 1 } });

  it('takes tasks of its own user', () => {
    expect(fedIn(low().offer(1))).toEqual(['t1']);
  });

  it('turns away what a foreign client submitted at its own home: the confused deputy', () => {
    expect(turnedAwayIn(low().offer(1, { submitter: 'other' }))).toEqual([['t1', 'isolation_too_low']]);
  });

  it('turns away a home of another key that names the runner\'s key as the submitter', () => {
    expect(turnedAwayIn(low().offer(1, { submitter: 'k' }, 'h', true, { homeKey: 'other' }))).toEqual([['t1', 'isolation_too_low']]);
  });

  it('turns away a home of another key that speaks for itself', () => {
    expect(turnedAwayIn(low().offer(1, {}, 'h', true, other))).toEqual([['t1', 'isolation_too_low']]);
  });

  it('takes all of these if its owner trusts the members', () => {
    const r = new TestRunner(4, { acceptance: { level: 1, trustMembers: true } });
    expect(fedIn(r.offer(1, { submitter: 'other' }))).toEqual(['t1']);
    expect(fedIn(r.offer(2, {}, 'h', true, other))).toEqual(['t2']);
  });

  it('takes them from the moment that probes show the box, and no more when they do not', () => {
    const r = low();
    r.tell({ type: 'level_proved', level: 2 });
    expect(fedIn(r.offer(1, {}, 'h', true, other))).toEqual(['t1']);
    r.tell({ type: 'level_proved', level: 0 });
    expect(turnedAwayIn(r.offer(2, {}, 'h', true, other))).toEqual([['t2', 'isolation_too_low']]);
  });
});

describe('the owner of a machine', () => {
  it('keeps it for own tasks with --accept own, in the box or not', () => {
    const r = new TestRunner(4, { acceptance: { accept: 'own', trustMembers: true } });
    expect(turnedAwayIn(r.offer(1, { submitter: 'other' }))).toEqual([['t1', 'not_allowed']]);
    expect(fedIn(r.offer(2))).toEqual(['t2']);
  });

  it('keeps it from everybody with --accept none', () => {
    const r = new TestRunner(4, { acceptance: { accept: 'none' } });
    expect(turnedAwayIn(r.offer(1))).toEqual([['t1', 'not_allowed']]);
  });
});

describe('who may not submit', () => {
  it.each(['runner', undefined] as const)('has no attempt run: a home whose key is %s', (homeRole) => {
    const r = new TestRunner(4);
    expect(turnedAwayIn(r.offer(1, {}, 'h', true, { ...other, homeRole }))).toEqual([['t1', 'not_allowed']]);
    expect(turnedAwayIn(r.offer(2, {}, 'h', true, { homeRole })), 'also at home').toEqual([['t2', 'not_allowed']]);
  });

  it.each(['runner', undefined] as const)('has no attempt run: a submitter whose key is %s, at the home of a member', (submitterRole) => {
    const r = new TestRunner(4);
    expect(turnedAwayIn(r.offer(1, {}, 'h', true, { ...other, submitterRole }))).toEqual([['t1', 'not_allowed']]);
  });
});

describe('a worker', () => {
  it('serves one submitter at homes of one key: who names another member as submitter gets no worker of that member', () => {
    const r = new TestRunner(4);
    const first = r.runs(1, { submitter: 'victim' });
    r.answers(first);
    r.offer(2, { submitter: 'victim' }, 'h2', true, { ...other, submitter: 'victim' });
    expect(r.workerOf(2)).not.toBe(first);
    r.offer(3, { submitter: 'victim' });
    expect(r.workerOf(3)).toBe(first);
  });

  it('is started as one for foreign work exactly when it is', () => {
    const spawned = (submitter: string, homeKey: string) => new TestRunner(1).offer(1, { submitter }, 'h', true, { homeKey }).send.flatMap((effect) => (effect.to === 'spawn' ? [effect.foreign] : []));
    expect(spawned('k', 'k')).toEqual([false]);
    expect(spawned('s', 'k')).toEqual([true]);
    expect(spawned('k', 'h')).toEqual([true]);
  });
});

describe('a runner whose box turns out to have a hole', () => {
  it('gives back what runs and waits here of other members, takes nothing new of them, and goes on with its own', () => {
    const r = new TestRunner(2);
    r.offer(1, {}, 'h', true, other);
    r.ready(r.workerOf(1));
    const own = r.runs(2);
    const told = r.tell({ type: 'level_proved', level: 1 });
    expect(ordersIn(told, 'kill')).toEqual([r.workerOf(1)]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker: r.workerOf(1) }))).toEqual([['t1', 'killed']]);
    expect(turnedAwayIn(r.offer(3, {}, 'h', true, other))).toEqual([['t3', 'isolation_too_low']]);
    expect(endsIn(r.answers(own))).toEqual([['t2', 'done']]);
    expect(fedIn(r.offer(4))).toEqual(['t4']);
  });

  it('at a level that will do leaves all as it is', () => {
    const r = new TestRunner(2);
    r.offer(1, {}, 'h', true, other);
    expect(ordersIn(r.tell({ type: 'level_proved', level: 2 }), 'kill')).toEqual([]);
  });
});

describe('a runner whose tracker is away', () => {
  it('takes foreign work for a day, then none until it is back; own work always', () => {
    const r = new TestRunner(4, { acceptance: { confirmedAgoMs: Infinity } });
    expect(turnedAwayIn(r.offer(1, {}, 'h', true, other))).toEqual([['t1', 'not_allowed']]);
    expect(r.state.acceptance.standingOnceLinked()).toEqual({ accepts: 'members' });
    r.tell({ type: 'tracker_linked' });
    r.ms += 3 * limits.rosterConfirmMs;
    expect(fedIn(r.offer(2, {}, 'h', true, other))).toEqual(['t2']);
    r.tell({ type: 'tracker_unlinked' });
    r.ms += limits.rosterConfirmMs - 1;
    expect(fedIn(r.offer(3, {}, 'h', true, other))).toEqual(['t3']);
    r.ms += 1;
    expect(turnedAwayIn(r.offer(4, {}, 'h', true, other))).toEqual([['t4', 'not_allowed']]);
    expect(r.state.acceptance.standing(r.ms)).toEqual({ accepts: 'own', withheld: 'unconfirmed' });
    expect(fedIn(r.offer(5))).toEqual(['t5']);
    r.tell({ type: 'tracker_linked' });
    expect(fedIn(r.offer(6, {}, 'h', true, other))).toEqual(['t6']);
  });

  it('counts what passed before its start', () => {
    const r = new TestRunner(4, { acceptance: { confirmedAgoMs: limits.rosterConfirmMs - 1_000 } });
    expect(r.state.acceptance.standing(999)).toEqual({ accepts: 'members' });
    expect(r.state.acceptance.standing(1_000)).toEqual({ accepts: 'own', withheld: 'unconfirmed' });
  });

  it('does not begin to count anew when a link that never came up is said to be gone', () => {
    const r = new TestRunner(4, { acceptance: { confirmedAgoMs: Infinity } });
    r.tell({ type: 'tracker_unlinked' });
    expect(r.state.acceptance.standing(r.ms)).toEqual({ accepts: 'own', withheld: 'unconfirmed' });
  });
});

describe('a key that is revoked', () => {
  const revoke = { type: 'revoked', keys: ['other'] } as const;

  it('has its attempts killed, as a home and as a submitter at another home; those of others run on', () => {
    const r = new TestRunner(4);
    r.tell({ type: 'home_linked', home: 'h2' });
    const workers = [r.runs(1), r.runs(2, { submitter: 'other' })];
    r.offer(3, {}, 'h2', true, other);
    workers.push(r.workerOf(3));
    r.ready(workers[2]!);
    expect(ordersIn(r.tell(revoke), 'kill')).toEqual(workers.slice(1));
    expect(r.state.attempts.get(key(1))?.state).toBe('running');
  });

  it('has what was kept for its homes dropped, and its idle workers ended', () => {
    const r = new TestRunner(4);
    r.offer(1, {}, 'h2', true, other);
    const worker = r.workerOf(1);
    r.ready(worker);
    r.answers(worker);
    expect(r.state.heldFor('h2')).toHaveLength(1);
    const decided = r.tell(revoke);
    expect(ordersIn(decided, 'kill')).toEqual([worker]);
    expect(r.state.heldFor('h2')).toEqual([]);
    r.tell({ type: 'worker_gone', worker });
    expect([...r.state.keysServed()]).not.toContain('other');
  });

  it('has what waits here ended unstarted', () => {
    const r = new TestRunner(1);
    r.runs(1);
    r.offer(2, { ahead: true, submitter: 'other' });
    expect(endsIn(r.tell(revoke))).toEqual([['t2', 'killed']]);
  });
});

describe('what is reported for the audit', () => {
  it('is counted by submitter for some seconds: foreign attempts taken, and those not taken because of who asks', () => {
    const r = new TestRunner(4);
    r.offer(1);
    r.offer(2, { submitter: 'other' });
    r.offer(3, { submitter: 'other' });
    r.offer(4, {}, 'h', true, { ...other, homeRole: 'runner' });
    const reports = r.pass(10_000).send.flatMap((effect) => (effect.to === 'report' ? [effect.observation] : []));
    expect(reports).toEqual([
      { what: 'foreign_started', key: 'other', detail: 'taken by own', count: 2 },
      { what: 'refused', key: 'k', detail: 'the key of its home may not submit tasks to this pool', count: 1 },
    ]);
    expect(r.pass(10_000).send.filter(({ to }) => to === 'report')).toEqual([]);
  });

  it('does not grow with submitters that somebody makes up', () => {
    const r = new TestRunner(1_000);
    for (let at = 1; at <= 500; at += 1) r.offer(at, { submitter: `s${at}` });
    const reports = r.pass(10_000).send.flatMap((effect) => (effect.to === 'report' ? [effect.observation] : []));
    expect(reports.length).toBeLessThanOrEqual(32);
    expect(reports.reduce((sum, { count }) => sum + count, 0)).toBe(500);
  });
});
