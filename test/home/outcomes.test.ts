/** One outcome per task, from the attempt that counts. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { acceptedIn, attemptsIn, cancelled, ended, failed, killsIn, outcomesIn, sentNow, started, submitted, TestHome, theAttempt, toClients, turnedAway, unlinked, linked, up, granted } from '../helpers/home.ts';

const home = () => new TestHome().withRunners({ a: 1 });

describe('the outcome of a task', () => {
  it('is journaled in the decision that tells it, so that nobody sees it before the disk has it', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    const decided = h.tell(ended(attempt));
    expect(decided.journal.map(({ kind }) => kind)).toEqual(['ended']);
    expect(outcomesIn(decided)).toEqual([{ id: 't', state: 'done', peer: 'a', attempt: 1 }]);
    expect(decided.send.filter(({ to }) => to === 'runner')).toEqual([]);
    expect(decided.after).toContainEqual({ to: 'stored', peer: 'a', ref: { id: 't', attempt: 1, key: attempt.key } });
  });

  it('does not change when the result comes twice', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(ended(attempt));
    const again = h.tell(ended(attempt, { outcome: 'failed', error: { code: 'exception', message: 'x' } }));
    expect(again.journal).toEqual([]);
    expect(outcomesIn(again)).toEqual([]);
    expect(h.state.staleResults).toBe(1);
    expect(again.after).toContainEqual({ to: 'stored', peer: 'a', ref: { id: 't', attempt: 1, key: attempt.key } });
  });

  it.each([
    ['another key', { key: '0000000000000000' }],
    ['another number', { attempt: 2 }],
    ['another runner', { peer: 'b' }],
  ])('does not come from %s', (_what, wrong) => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    const decided = h.tell(ended({ ...attempt, ...wrong }));
    expect(decided.journal).toEqual([]);
    expect(h.state.staleResults).toBe(1);
    expect(outcomesIn(h.tell(ended(attempt)))).toEqual([{ id: 't', state: 'done', peer: 'a', attempt: 1 }]);
  });

  it('stays cancelled when a result comes after the cancel, and the runner is told to drop it', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    const cancel = h.tell(cancelled('t'));
    expect(outcomesIn(cancel)).toEqual([{ id: 't', state: 'cancelled', peer: 'a', attempt: 1 }]);
    expect(killsIn(cancel)).toMatchObject([{ id: 't', key: attempt.key, why: 'cancelled' }]);
    const late = h.tell(ended(attempt));
    expect(late.journal).toEqual([]);
    expect(late.after).toContainEqual({ to: 'stored', peer: 'a', ref: { id: 't', attempt: 1, key: attempt.key } });
    expect(h.state.staleResults).toBe(1);
  });

  it('stays done when a cancel comes after the result, and the canceller is told so', () => {
    const h = home();
    h.tell(ended(theAttempt(h.tell(submitted('t')))));
    expect(outcomesIn(h.tell(cancelled('t', 2)))).toEqual([{ id: 't', state: 'done', peer: 'a', attempt: 1 }]);
  });

  it('goes to everybody who watches, once', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell({ type: 'watched', by: 'k', client: 2, id: 't', follow: false }, { type: 'watched', by: 'k', client: 3, id: 't', follow: true }, { type: 'client_gone', client: 3 });
    expect(toClients(h.tell(ended(attempt)), 'outcome').map(({ client }) => client)).toEqual([1, 2]);
  });

  it('of a task that is not known is looked up behind the disk', () => {
    expect(home().tell({ type: 'watched', by: 'k', client: 7, id: 'nobody', follow: false }).after).toEqual([{ to: 'lookup', client: 7, id: 'nobody', follow: false }]);
  });
});

describe('a killed attempt', () => {
  it('occupies its slot until the runner confirms: the next task waits', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t1')));
    expect(attemptsIn(h.tell(submitted('t2'), cancelled('t1')))).toEqual([]);
    const decided = h.tell(ended(attempt, { outcome: 'killed' }));
    expect(theAttempt(decided).id).toBe('t2');
    expect(decided.after.filter(({ to }) => to === 'stored')).toEqual([]);
    expect(h.state.staleResults).toBe(0);
  });
});

describe('the same id', () => {
  it('with the same content is accepted again, in order behind the first one\'s flush', () => {
    const h = home();
    const first = h.tell(submitted('t'));
    const second = h.tell(submitted('t', {}, { client: 2 }));
    expect([acceptedIn(first), acceptedIn(second)]).toEqual([['t'], ['t']]);
    expect(second.journal).toEqual([]);
    expect(attemptsIn(second)).toEqual([]);
  });

  it('with other content is refused', () => {
    const h = home();
    h.tell(submitted('t'));
    expect(toClients(h.tell(submitted('t', {}, { digest: 'other' })), 'refused')).toMatchObject([{ id: 't', error: { code: 'id_conflict' } }]);
  });

  it('of an ended task gives its outcome again, and other content is still refused', () => {
    const h = home();
    h.tell(ended(theAttempt(h.tell(submitted('t')))));
    const again = h.tell(submitted('t', {}, { client: 2 }));
    expect(acceptedIn(again)).toEqual(['t']);
    expect(outcomesIn(again)).toEqual([{ id: 't', state: 'done', peer: 'a', attempt: 1 }]);
    expect(toClients(h.tell(submitted('t', {}, { digest: 'other' })), 'refused')).toMatchObject([{ error: { code: 'id_conflict' } }]);
  });
});

describe('a refusal', () => {
  it('costs no attempt and puts the task back before others of its time', () => {
    const h = home();
    const first = theAttempt(h.tell(submitted('t1')));
    h.tell(submitted('t2'));
    const back = h.tell(turnedAway(first));
    expect(back.journal).toMatchObject([{ kind: 'requeued', id: 't1', why: 'refused' }]);
    const next = attemptsIn(h.pass(100));
    expect(next).toMatchObject([{ id: 't1', attempt: 1 }]);
    expect(next[0]!.key).not.toBe(first.key);
  });

  it('is not asked again before a pause that doubles', () => {
    const h = home();
    let attempt = theAttempt(h.tell(submitted('t')));
    const pauses: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const refusedAt = h.ms;
      h.tell(turnedAway(attempt));
      while (h.state.tasks.get('t')?.state === 'queued') {
        const decided = h.pass(1);
        if (attemptsIn(decided).length > 0) attempt = theAttempt(decided);
      }
      pauses.push(h.ms - refusedAt);
    }
    expect(pauses).toEqual([20, 40, 80]);
  });

  it('of an attempt that is over already changes nothing', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(ended(attempt));
    expect(h.tell(turnedAway(attempt)).journal).toEqual([]);
  });
});

describe('a retry', () => {
  it('after a failure waits for a time that doubles, and ends with the last failure', () => {
    const h = home();
    const first = theAttempt(h.tell(submitted('t', { retries: 2 })));
    expect(h.tell(failed(first)).journal).toMatchObject([{ kind: 'requeued', why: 'failed' }]);
    expect(attemptsIn(h.pass(499))).toEqual([]);
    const second = theAttempt(h.pass(1));
    expect(second.attempt).toBe(2);
    h.tell(failed(second));
    expect(attemptsIn(h.pass(999))).toEqual([]);
    const third = theAttempt(h.pass(1));
    expect(outcomesIn(h.tell(failed(third)))).toEqual([{ id: 't', state: 'failed', peer: 'a', attempt: 3 }]);
  });

  it.each(['syntax_error', 'function_missing'])('is not made for %s, which it cannot mend', (code) => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t', { retries: 5 })));
    expect(outcomesIn(h.tell(failed(attempt, code)))).toMatchObject([{ state: 'failed', attempt: 1 }]);
  });

  it('is not made without --retries, nor for a once task', () => {
    for (const options of [{}, { once: true, retries: 3 }]) {
      const h = home();
      expect(outcomesIn(h.tell(failed(theAttempt(h.tell(submitted('t', options))))))).toMatchObject([{ state: 'failed' }]);
    }
  });

  it('goes to another runner if one fits, else to the same', () => {
    const two = new TestHome().withRunners({ a: 1, b: 1 });
    const first = theAttempt(two.tell(submitted('t', { retries: 1 })));
    two.tell(failed(first));
    expect(theAttempt(two.pass(600)).peer).not.toBe(first.peer);
    const one = home();
    one.tell(failed(theAttempt(one.tell(submitted('t', { retries: 1 })))));
    expect(theAttempt(one.pass(600)).peer).toBe('a');
  });

  it('tells the tracker which runner it avoids, so that an idle slot there does not count as help', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(up('b'));
    const first = theAttempt(h.tell(submitted('t', { retries: 1 })));
    h.tell(failed(first));
    const demands = h.pass(600).send.flatMap((effect) => (effect.to === 'tracker' && effect.message.kind === 'demand' ? [effect.message] : []));
    expect(demands.at(-1)?.waiting).toEqual([{ need: { language: 'python' }, count: 1, avoid: 'a' }]);
  });
});

describe('a once task', () => {
  it('is sent only when its assignment is on disk, and never ahead', () => {
    const decided = home().tell(submitted('t', { once: true }));
    expect(sentNow(decided)).toEqual([]);
    expect(theAttempt(decided)).toMatchObject({ id: 't', attempt: 1 });
    expect(theAttempt(decided).ahead).toBeUndefined();
    expect(decided.journal.map(({ kind }) => kind)).toEqual(['accepted', 'assigned']);
  });

  it('that is cancelled before its attempt went out is killed behind it, not before it', () => {
    const h = home();
    h.tell(submitted('t', { once: true }));
    const cancel = h.tell(cancelled('t'));
    expect(cancel.send.filter(({ to }) => to === 'runner')).toEqual([]);
    expect(killsIn(cancel)).toHaveLength(1);
  });

  it('whose unsent attempt was given up when the link came back does not go out after all', () => {
    const h = home();
    const held = theAttempt(h.tell(submitted('t', { once: true })));
    h.tell(unlinked('a'));
    const again = theAttempt(h.tell(linked('a')));
    expect(h.state.mayGo('a', held)).toBe(false);
    expect(h.state.mayGo('a', again)).toBe(true);
  });

  it('ends unknown when its runner is lost, at the end of the whole lease', () => {
    const h = home();
    h.tell(started(theAttempt(h.tell(submitted('t', { once: true })))));
    h.tell(unlinked('a'));
    expect(outcomesIn(h.pass(14_000))).toEqual([]);
    expect(outcomesIn(h.pass(3_000))).toMatchObject([{ state: 'unknown', attempt: 1 }]);
  });

  it('ends unknown at once when its runner is a new process', () => {
    const h = home();
    h.tell(started(theAttempt(h.tell(submitted('t', { once: true })))));
    expect(outcomesIn(h.tell(unlinked('a'), linked('a', [], 'a-2')))).toMatchObject([{ state: 'unknown' }]);
  });
});

describe('a runner that is stopped', () => {
  const stopped = (attempt: Parameters<typeof ended>[0]) => ended(attempt, { outcome: 'killed', error: { code: 'draining', message: 'a was stopped' } });

  it('costs no loss, however often', () => {
    const h = home();
    let attempt = theAttempt(h.tell(submitted('t')));
    for (let stops = 1; stops <= limits.lossesMax; stops += 1) attempt = theAttempt(h.tell(stopped(attempt)));
    expect(h.state.tasks.get('t')).toMatchObject({ losses: 0, attempts: expect.arrayContaining([expect.objectContaining({ state: 'moved', reason: 'a was stopped' })]) });
    expect(outcomesIn(h.tell(ended(attempt)))).toMatchObject([{ state: 'done', attempt: limits.lossesMax + 1 }]);
  });

  it('leaves a once task unknown', () => {
    const h = home();
    expect(outcomesIn(h.tell(stopped(theAttempt(h.tell(submitted('t', { once: true }))))))).toMatchObject([{ state: 'unknown', attempt: 1 }]);
  });
});

describe('a lost runner', () => {
  it('costs an attempt after the grace, and the task goes elsewhere', () => {
    const h = new TestHome().withRunners({ a: 1, b: 1 });
    const first = theAttempt(h.tell(submitted('t')));
    h.tell(started(first), unlinked(first.peer));
    expect(attemptsIn(h.pass(1_900))).toEqual([]);
    h.pass(200);
    const other = first.peer === 'a' ? 'b' : 'a';
    expect(theAttempt(h.tell(granted(other, 1)))).toMatchObject({ attempt: 2, peer: other });
    expect(h.records.findLast(({ kind }) => kind === 'requeued')).toMatchObject({ why: 'lost' });
  });

  it('five times is quarantine, with the evidence', () => {
    const h = home();
    let attempt = theAttempt(h.tell(submitted('t')));
    for (let loss = 1; loss < 5; loss += 1) {
      const decided = h.tell(unlinked('a'), linked('a', [], `a-${loss + 1}`));
      attempt = theAttempt(decided);
      expect(attempt.attempt).toBe(loss + 1);
    }
    const last = h.tell(unlinked('a'), linked('a', [], 'a-9'));
    expect(toClients(last, 'outcome')).toMatchObject([{ state: 'quarantined', attempt: 5, error: { message: expect.stringContaining('a, a, a, a, a') } }]);
  });

  it('that comes back in time as the same process keeps what it runs', () => {
    const h = home();
    const attempt = theAttempt(h.tell(submitted('t')));
    const back = h.tell(unlinked('a'), linked('a', [{ id: 't', attempt: 1, key: attempt.key, ended: false }]));
    expect(back.journal).toEqual([]);
    expect(killsIn(back)).toEqual([]);
    expect(outcomesIn(h.tell(ended(attempt)))).toMatchObject([{ state: 'done', attempt: 1 }]);
  });

  it('that had never received the attempt costs none', () => {
    const h = home();
    h.tell(submitted('t'));
    const back = h.tell(unlinked('a'), linked('a'));
    expect(back.journal).toMatchObject([{ kind: 'requeued', why: 'refused' }, { kind: 'assigned', attempt: 1 }]);
  });

  it('that comes back after its attempt was given up is told to kill it, and its result is stale', () => {
    const h = new TestHome().withRunners({ a: 1, b: 1 });
    const first = theAttempt(h.tell(submitted('t')));
    h.tell(unlinked(first.peer));
    h.pass(2_100);
    theAttempt(h.tell(granted(first.peer === 'a' ? 'b' : 'a', 1)));
    const held = { id: 't', attempt: 1, key: first.key };
    expect(killsIn(h.tell(linked(first.peer, [{ ...held, ended: false }])))).toMatchObject([{ ...held, why: 'stale' }]);
    expect(h.tell(ended(first)).journal).toEqual([]);
    expect(h.state.staleResults).toBe(1);
  });

  it('that comes back with the result of an attempt that was given up is refused it once, though it says twice that it has it', () => {
    const h = new TestHome().withRunners({ a: 1, b: 1 });
    const first = theAttempt(h.tell(submitted('t')));
    h.tell(unlinked(first.peer));
    h.pass(2_100);
    h.tell(linked(first.peer, [{ id: 't', attempt: 1, key: first.key, ended: true }]));
    expect(h.tell(ended(first)).journal).toEqual([]);
    expect(h.state.staleResults).toBe(1);
  });

  it('gives its grants back: what it held is not held for ever', () => {
    const h = home();
    h.tell(submitted('t'), granted('a', 0), unlinked('a'));
    h.pass(3_000);
    expect(h.state.runners.get('a')).toMatchObject({ granted: 0, holding: 0 });
  });
});
