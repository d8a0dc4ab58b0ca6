/** What becomes of tasks when a key is a member's no more. */
import { describe, expect, it } from 'vitest';
import { attemptsIn, ended, killsIn, linked, outcomesIn, submitted, started, TestHome, theAttempt, toClients, up } from '../helpers/home.ts';

/** A runner of another member, on which everything runs, and one of the home's own user. */
const withOther = () => {
  const h = new TestHome().withRunners({ other: 4 }, { key: 'ko', accepts: 'members' });
  return h;
};
const revoke = { type: 'revoked', keys: ['ko'] } as const;

describe('attempts at a runner that is revoked', () => {
  it('run elsewhere at once; that is no loss, and five of them do not quarantine a task', () => {
    const h = withOther();
    h.tell(submitted('t'));
    for (let time = 0; time < 6; time += 1) {
      h.tell(revoke);
      expect(h.state.tasks.get('t')).toMatchObject({ state: 'queued', losses: 0 });
      h.tell(up('other', { key: 'ko', accepts: 'members' }));
      h.withRunners({ other: 4 }, { key: 'ko', accepts: 'members' });
    }
    expect(h.state.tasks.get('t')?.attempts.at(-2)).toMatchObject({ state: 'moved', reason: 'other was revoked' });
  });

  it('go to the runners that are left', () => {
    const h = withOther();
    const first = theAttempt(h.tell(submitted('t')));
    expect(first.peer).toBe('other');
    h.withRunners({ own2: 1 });
    const again = theAttempt(h.tell(revoke));
    expect(again).toMatchObject({ id: 't', peer: 'own2', attempt: 2 });
    expect(outcomesIn(h.tell(ended(again)))).toMatchObject([{ state: 'done', peer: 'own2' }]);
  });

  it('of a once task end unknown', () => {
    const h = withOther();
    const [attempt] = attemptsIn(h.tell(submitted('t', { once: true })));
    h.tell(started(attempt!));
    expect(outcomesIn(h.tell(revoke))).toMatchObject([{ id: 't', state: 'unknown' }]);
  });

  it('bring nothing any more: a late result is stale and counted', () => {
    const h = withOther();
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(revoke);
    expect(outcomesIn(h.tell(ended(attempt)))).toEqual([]);
    expect(h.state.staleResults).toBe(1);
    expect(h.state.tasks.get('t')?.state).toBe('queued');
  });

  it('leave nothing behind: no slot of it is held', () => {
    const h = withOther();
    h.tell(submitted('t'));
    h.tell(revoke);
    expect(h.state.runners.get('other')).toMatchObject({ granted: 0, holding: 0, info: { state: 'revoked' } });
    expect(h.state.runners.get('other')?.attempts.size).toBe(0);
  });
});

describe('tasks of a submitter who is revoked', () => {
  it('end cancelled, and what runs of them is killed; nobody else\'s do', () => {
    const h = new TestHome().withRunners({ a: 1 }, { accepts: 'members' });
    const attempt = theAttempt(h.tell(submitted('runs', {}, { submitter: 'ko' })));
    h.tell(submitted('waits', {}, { submitter: 'ko' }), submitted('mine'));
    const decided = h.tell(revoke);
    expect(killsIn(decided)).toMatchObject([{ id: 'runs', key: attempt.key }]);
    expect(toClients(decided, 'outcome').map(({ id, state, error }) => [id, state, error?.message])).toEqual([
      ['runs', 'cancelled', 'who submitted the task was revoked'],
      ['waits', 'cancelled', 'who submitted the task was revoked'],
    ]);
    expect([...h.state.tasks.keys()]).toEqual(['mine']);
  });
});

describe('another key under the name of a runner', () => {
  it('is another process, though it repeats the incarnation: what was there is lost, and what it claims is not heard', () => {
    const h = withOther();
    const attempt = theAttempt(h.tell(submitted('t')));
    h.tell(started(attempt));
    h.tell(linked('other', [], 'other-1', 'thief'));
    expect(h.state.tasks.get('t')?.attempts[0]).toMatchObject({ state: 'lost' });
  });
});
