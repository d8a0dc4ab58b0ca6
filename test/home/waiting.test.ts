/** No silence: what waits says why, what must start in time does or expires, what cannot be kept is refused before. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { acceptedIn, attemptsIn, cancelled, ended, info, killsIn, linked, outcomesIn, started, submitted, TestHome, theAttempt, toClients, turnedAway, up } from '../helpers/home.ts';

const whyOf = (h: TestHome, id: string) => h.state.why(h.state.tasks.get(id)!);

describe('why a task waits', () => {
  it('is a sentence for each case', () => {
    const none = new TestHome();
    none.tell(submitted('t'));
    expect(whyOf(none, 't')).toBe('the tracker is away and no peer is known to be up');
    none.tell({ type: 'tracker_up' });
    expect(whyOf(none, 't')).toBe('no peer of the pool is up');

    const lacking = new TestHome();
    lacking.tell(submitted('t', { memoryMb: 5_000 }), { type: 'tracker_up' }, up('a'));
    expect(whyOf(lacking, 't')).toBe('1 peer has less than 5000 MB of memory');

    const full = new TestHome().withRunners({ a: 1 });
    full.tell(submitted('t'), submitted('u'));
    expect(whyOf(full, 'u')).toEqual(expect.stringMatching(/^the only slot of 1 fitting peer is taken/));

    const ungranted = new TestHome();
    ungranted.tell({ type: 'tracker_up' }, up('a'), submitted('t'));
    expect(whyOf(ungranted, 't')).toBe('4 slots of 1 fitting peer are free; waiting for the tracker to grant one');

    const retry = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(retry.tell(submitted('t', { retries: 1 })));
    retry.tell(ended(attempt, { outcome: 'failed', error: { code: 'exception', message: 'ValueError' } }));
    expect(whyOf(retry, 't')).toBe('attempt 2 starts 0.5 s after the last one failed: ValueError');
    // A figure that counts down would be news all the time.
    retry.pass(200);
    expect(whyOf(retry, 't')).toBe('attempt 2 starts 0.5 s after the last one failed: ValueError');

    const stopping = new TestHome().withRunners({ own: 1 });
    stopping.tell(submitted('t'), submitted('u'));
    stopping.tell({ type: 'draining' }, { type: 'runner_load', peer: 'own', running: 1, slots: 1, cpuLoad: 0, draining: true });
    expect(whyOf(stopping, 'u')).toBe('own is being stopped; the task goes on when it is started again');
  });

  it('is told to a follower at once, and again when it changes', () => {
    const h = new TestHome();
    h.tell({ type: 'tracker_up' });
    const client = 1;
    h.tell(submitted('t', {}, { follow: true }));
    expect(toClients(h.tell({ type: 'watched', by: 'k', client, id: 't', follow: true }), 'task_state')).toMatchObject([{ state: 'queued', waiting_for: 'no peer of the pool is up' }]);
    h.tell(up('a'));
    expect(toClients(h.pass(1_100), 'task_state').at(-1)).toMatchObject({ state: 'queued', waiting_for: '4 slots of 1 fitting peer are free; waiting for the tracker to grant one' });
  });

  it('follows the task through its states, with the peer from assigned on', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const decided = h.tell(submitted('t', {}, { follow: true }));
    expect(toClients(decided, 'task_state')).toMatchObject([{ state: 'assigned', peer: 'a', attempt: 1 }]);
    expect(toClients(h.tell(started(theAttempt(decided))), 'task_state')).toMatchObject([{ state: 'running', peer: 'a' }]);
  });

  it('is not told to who wants the outcome alone', () => {
    const h = new TestHome().withRunners({ a: 1 });
    expect(toClients(h.tell(submitted('t')), 'task_state')).toEqual([]);
  });
});

describe('--wait', () => {
  it('ends a task that has not started in time, with the reason', () => {
    const h = new TestHome();
    h.tell(submitted('t', { waitMs: 1_000 }));
    expect(outcomesIn(h.pass(999))).toEqual([]);
    const [outcome] = toClients(h.pass(2), 'outcome');
    expect(outcome).toMatchObject({ state: 'expired', error: { code: 'expired', message: 'it had not started within 1 s: the tracker is away and no peer is known to be up' } });
  });

  it('does not end one that has started', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(submitted('t', { waitMs: 1_000 }));
    expect(outcomesIn(h.pass(5_000))).toEqual([]);
  });

  it('ends one that was on its way when its time came and was then turned away, though another runner is free', () => {
    const h = new TestHome().withRunners({ a: 1, b: 1 });
    const attempt = theAttempt(h.tell(submitted('t', { waitMs: 1_000 })));
    h.pass(1_100);
    const decided = h.tell(turnedAway(attempt));
    expect(attemptsIn(decided)).toEqual([]);
    expect(outcomesIn(decided)).toMatchObject([{ state: 'expired' }]);
  });

  it('counts on after a restart of the home', () => {
    const before = new TestHome();
    before.tell(submitted('t', { waitMs: 1_000 }));
    const after = new TestHome({ records: before.records, ms: 1_900 });
    after.tell({ type: 'started' });
    expect(outcomesIn(after.pass(50))).toEqual([]);
    after.pass(100);
    expect(after.records).toMatchObject([{ kind: 'ended', state: 'expired' }]);
  });
});

describe('what cannot be kept', () => {
  it('is refused while the peer shuts down, and what was accepted goes on', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell({ type: 'draining' });
    expect(toClients(h.tell(submitted('u')), 'refused')).toMatchObject([{ id: 'u', error: { code: 'draining' } }]);
    expect(outcomesIn(h.tell(ended(attempt)))).toHaveLength(1);
  });

  it('is refused when the arguments that wait take too much memory', () => {
    const h = new TestHome();
    const large = { length: limits.waitingBytesMax };
    const args = Object.setPrototypeOf(large, Uint8Array.prototype) as Uint8Array;
    expect(toClients(h.tell(submitted('t', {}, { args })), 'refused')).toEqual([]);
    expect(toClients(h.tell(submitted('u')), 'refused')).toMatchObject([{ error: { code: 'too_many_waiting', message: expect.stringContaining('1024 MiB') } }]);
  });

  it('is refused when nobody of the pool could ever run it, with what each lacks', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell({ type: 'peers_told', all: true, peers: [info('own', { slots: 0 }), info('a')] });
    expect(toClients(h.tell(submitted('t', { memoryMb: 9_999 })), 'refused')).toMatchObject([{ error: { code: 'impossible', message: expect.stringContaining('a has less than 9999 MB of memory') } }]);
  });

  it('is not refused as long as the tracker has not told who is in the pool', () => {
    const h = new TestHome().withRunners({ a: 1 });
    expect(toClients(h.tell(submitted('t', { memoryMb: 9_999 })), 'refused')).toEqual([]);
  });

  it('ends when five runners could not get its content from its home', () => {
    const h = new TestHome().withRunners({ a: 1 });
    let attempts = attemptsIn(h.tell(submitted('t')));
    const ends = [];
    for (let n = 0; n < 5; n += 1) {
      ends.push(toClients(h.tell({ type: 'turned_away', peer: 'a', ref: attempts[0]!, reason: 'content_missing', detail: 'lacking' }), 'outcome').length);
      attempts = attemptsIn(h.pass(2_000));
    }
    expect(ends).toEqual([0, 0, 0, 0, 1]);
  });
});

describe('a failed disk', () => {
  const problem = { code: 'store_full', message: 'the disk is full' };

  it('refuses what was not on it, kills what runs of that, and says that it may have run', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(submitted('kept'));
    const durable = h.records.length;
    h.tell(submitted('waits'), cancelled('kept'));
    h.tell(ended({ ...attemptsInRecords(h, 'kept') }, { outcome: 'killed' }));
    const decided = h.tell({ type: 'commit_failed', durable, problem });
    expect(toClients(decided, 'refused')).toMatchObject([{ id: 'waits', error: { code: 'store_full', message: 'the disk is full; the task may have run' } }]);
    expect(killsIn(decided)).toMatchObject([{ id: 'waits', why: 'refused' }]);
  });

  it('lets nothing end and nothing begin, because nothing could be recorded', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell({ type: 'commit_failed', durable: 2, problem });
    const later = h.tell(ended(attempt), cancelled('t'), submitted('u'));
    expect(later.journal).toEqual([]);
    expect(outcomesIn(later)).toEqual([]);
    expect(later.after.filter(({ to }) => to === 'stored')).toEqual([]);
    expect(toClients(later, 'refused')).toMatchObject([{ id: 'u', error: { code: 'store_full' } }]);
  });

  it('does not refuse what had ended before and was said again during the commit that failed', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(ended(theAttempt(h.tell(submitted('t')))));
    const durable = h.records.length;
    const lost = h.tell(submitted('t'), submitted('u')).after;
    const decided = h.tell({ type: 'commit_failed', durable, problem, lost });
    expect(toClients(decided, 'refused').map(({ id }) => id)).toEqual(['u']);
  });

  it('does not refuse again what it had accepted', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(submitted('t'));
    h.tell({ type: 'commit_failed', durable: 2, problem });
    const again = h.tell(submitted('t'));
    expect([acceptedIn(again), toClients(again, 'refused')]).toEqual([['t'], []]);
  });
});

describe('a restarted home', () => {
  const before = () => {
    const h = new TestHome().withRunners({ a: 2 });
    const attempts = attemptsIn(h.tell(submitted('t'), submitted('u', { once: true })));
    return { records: h.records, attempts };
  };
  const again = (records: TestHome['records']) => {
    const h = new TestHome({ records, ms: 5_000, seed: 9 });
    h.tell(up('own'), { type: 'tracker_up' }, { type: 'started' });
    return h;
  };

  it('takes up what still runs: no second run, and its end counts', () => {
    const { records, attempts } = before();
    const h = again(records);
    expect(h.tell(up('a')).send).toContainEqual({ to: 'dial', peer: 'a' });
    const back = h.tell(linked('a', attempts.map(({ id, attempt, key }) => ({ id, attempt, key, ended: false }))));
    expect([back.journal, attemptsIn(back), killsIn(back)]).toEqual([[], [], []]);
    h.tell(ended(attempts[0]!), ended(attempts[1]!));
    expect(h.records.map((record) => record.kind === 'ended' && [record.id, record.state])).toEqual([['t', 'done'], ['u', 'done']]);
  });

  it('waits for a runner that does not come for the whole lease, then counts a loss', () => {
    const { records } = before();
    const h = again(records);
    expect(h.pass(14_900).journal).toEqual([]);
    expect(h.pass(1_000).journal).toMatchObject([{ kind: 'requeued', id: 't', why: 'lost' }]);
    expect(h.pass(15_000).journal).toMatchObject([{ kind: 'ended', id: 'u', state: 'unknown' }]);
  });

  it('does not wait for a runner that comes without them: it is a new process', () => {
    const { records } = before();
    const h = again(records);
    h.tell(up('a', { incarnation: 'a-2' }));
    expect(h.tell(linked('a', [], 'a-2')).journal).toMatchObject([
      { kind: 'requeued', id: 't', why: 'lost' },
      { kind: 'ended', id: 'u', state: 'unknown' },
    ]);
  });

  it('takes a result that the runner kept meanwhile', () => {
    const { records, attempts } = before();
    const h = again(records);
    h.tell(up('a'), linked('a', attempts.map(({ id, attempt, key }) => ({ id, attempt, key, ended: true }))));
    h.tell(ended(attempts[0]!));
    expect(h.records).toMatchObject([{ kind: 'ended', id: 't', state: 'done' }]);
  });

  it('tells a runner to drop and to kill what it does not know', () => {
    const h = again([]);
    h.tell(up('a'));
    const decided = h.tell(linked('a', [{ id: 'x', attempt: 1, key: 'a'.repeat(16), ended: false }, { id: 'y', attempt: 1, key: 'b'.repeat(16), ended: true }]));
    expect(killsIn(decided)).toMatchObject([{ id: 'x', why: 'stale' }]);
    expect(decided.after).toContainEqual({ to: 'stored', peer: 'a', ref: { id: 'y', attempt: 1, key: 'b'.repeat(16) } });
  });
});

function attemptsInRecords(h: TestHome, id: string) {
  const record = h.records.findLast((each) => each.kind === 'assigned' && each.id === id);
  if (record?.kind !== 'assigned') throw new Error(`${id} was never assigned`);
  return { id, attempt: record.attempt, key: record.key, peer: record.peer };
}

describe('peers', () => {
  it('that drain get nothing more', () => {
    const h = new TestHome().withRunners({ a: 2 });
    h.tell({ type: 'runner_load', peer: 'a', running: 0, slots: 2, cpuLoad: 0, draining: true });
    expect(attemptsIn(h.tell(submitted('t')))).toEqual([]);
    expect(attemptsIn(h.tell({ type: 'peers_told', all: false, peers: [info('a')] }))).toHaveLength(1);
  });
});
