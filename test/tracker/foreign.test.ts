/** Grants go only where they can be used: a runner that takes no foreign work is not offered for any. */
import { describe, expect, it } from 'vitest';
import { python, TestTracker } from '../helpers/tracker.ts';

/** a and b are two users' machines. */
const twoUsers = () => {
  const t = new TestTracker();
  t.joins('a', { accepts: 'own' }, 'ka');
  t.joins('b', { accepts: 'members' }, 'kb');
  return t;
};

describe('a home', () => {
  it('is granted slots of its own user\'s runners and of those that take members\' tasks', () => {
    const t = twoUsers();
    t.wants('a', 8);
    expect(t.slotsOf('a')).toEqual({ a: 4, b: 4 });
    t.givesBack('a');
    t.wants('b', 8);
    expect(t.slotsOf('b')).toEqual({ b: 4 });
  });

  it('with tasks that somebody else submitted is granted no slot of its own runner, unless that takes members\' tasks', () => {
    const t = twoUsers();
    t.wants('a', [{ need: { ...python, foreign: true }, count: 8 }]);
    expect(t.slotsOf('a')).toEqual({ b: 4 });
    t.givesBack('a');
    t.wants('b', [{ need: { ...python, foreign: true }, count: 8 }]);
    expect(t.slotsOf('b')).toEqual({ b: 4 });
  });

  it('is granted more once a runner says that it takes members\' tasks', () => {
    const t = twoUsers();
    t.wants('b', 8);
    t.load('a', { accepts: 'members' });
    t.wants('b', 8);
    expect(t.slotsOf('b')).toEqual({ a: 4, b: 4 });
  });

  it('is granted nothing of a runner that takes no tasks', () => {
    const t = new TestTracker();
    t.joins('a', { accepts: 'none' }, 'ka');
    t.wants('a', 2);
    expect(t.slotsOf('a')).toEqual({});
  });

  it('is granted nothing of an older runner of another user, which does not say what it takes', () => {
    const t = new TestTracker();
    t.joins('a', {}, 'ka');
    t.joins('b', {}, 'kb');
    t.wants('a', 8);
    expect(t.slotsOf('a')).toEqual({ a: 4 });
  });

  it('does not lose a slot to one that starves for other runners', () => {
    const t = twoUsers();
    t.wants('a', 4);
    t.wants('b', [{ need: { ...python, foreign: true }, count: 8 }]);
    const ofOwn = t.slotsOf('a')['a'] ?? 0;
    t.pass(300);
    expect(t.slotsOf('a')['a'] ?? 0).toBe(ofOwn);
    expect(t.slotsOf('b')['a']).toBeUndefined();
  });
});

describe('what a peer takes', () => {
  it('is told to everybody when it changes', () => {
    const t = twoUsers();
    t.pass(300);
    t.load('b', { accepts: 'own', withheld: 'unconfirmed' });
    expect(t.state.peers().find(({ peer }) => peer === 'b')).toMatchObject({ accepts: 'own', withheld: 'unconfirmed' });
    t.load('b', { accepts: 'members' });
    expect(t.state.peers().find(({ peer }) => peer === 'b')?.withheld).toBeUndefined();
  });
});

describe('a key that may only run tasks', () => {
  it('has its runner used and its home\'s demand not served', () => {
    const t = new TestTracker();
    t.joins('a', { accepts: 'members' }, 'ka');
    t.joins('r', { accepts: 'members' }, 'kr', 'runner');
    t.wants('r', 4);
    expect(t.slotsOf('r')).toEqual({});
    t.wants('a', 8);
    expect(t.slotsOf('a')).toEqual({ a: 4, r: 4 });
  });
});

describe('a name', () => {
  const takenIn = (t: TestTracker, key: string) => t.joins('a', {}, key).send.flatMap(({ message }) => (message.kind === 'bye' ? [message.error.code] : []));

  it('is refused to another key while its holder is up, suspected or draining, and told nothing of the pool', () => {
    const t = new TestTracker();
    t.joins('a', {}, 'ka');
    expect(takenIn(t, 'kb')).toEqual(['name_taken']);
    t.joins('a', {}, 'ka');
    t.load('a', { draining: true });
    expect(takenIn(t, 'kb')).toEqual(['name_taken']);
    t.joins('a', {}, 'ka');
    t.leaves('a');
    const refused = t.joins('a', {}, 'kb').send;
    expect(refused.map(({ message }) => message.kind)).toEqual(['bye']);
    expect(t.state.members.get('a')?.info).toMatchObject({ key: 'ka', state: 'suspected' });
  });

  it('is anybody\'s again when its holder is lost', () => {
    const t = new TestTracker();
    t.joins('a', {}, 'ka');
    t.leaves('a');
    t.pass(3_000);
    expect(takenIn(t, 'kb')).toEqual([]);
    expect(t.state.members.get('a')?.info).toMatchObject({ key: 'kb', state: 'up' });
  });

  it('of a process that was started again is the new one\'s', () => {
    const t = new TestTracker();
    t.joins('a', {}, 'ka');
    expect(takenIn(t, 'ka')).toEqual([]);
  });
});

describe('a key that is revoked', () => {
  it('has its peers shown as such, granted nothing and granted to nobody, and its name free for another', () => {
    const t = twoUsers();
    t.wants('a', 8);
    t.wants('b', 2);
    expect(t.slotsOf('a')['b']).toBeGreaterThan(0);
    t.tell({ type: 'revoked', keys: ['kb'] });
    expect(t.state.members.get('b')).toMatchObject({ link: undefined, waiting: [], info: { state: 'revoked', granted: 0 } });
    expect(t.state.members.get('a')?.allowed.has('b')).toBe(false);
    expect(t.news.filter(({ what }) => what === 'revoked').map(({ peer }) => peer.peer)).toEqual(['b']);
    t.leaves('b');
    t.pass(3_000, ['a']);
    expect(t.state.members.get('b')?.info.state).toBe('revoked');
    t.joins('b', {}, 'another');
    expect(t.state.members.get('b')?.info).toMatchObject({ state: 'up', key: 'another' });
  });
});

describe('what a home says that it holds', () => {
  /** A home tells it in its first demand on a link, as after a restart of the tracker. */
  const claims = (t: TestTracker, home: string, peer: string, slots: number) => {
    t.granted.set(home, new Map([[peer, slots]]));
    t.wants(home, 0);
  };

  it('is believed up to the slots that the runner has for it: a member cannot take a runner from everybody by claiming it', () => {
    const t = twoUsers();
    claims(t, 'b', 'a', 4);
    expect(t.state.members.get('b')?.allowed.size).toBe(0);
    claims(t, 'b', 'b', 1_000);
    expect(t.state.members.get('b')?.allowed.get('b')).toMatchObject({ slots: 4, holding: 4, used: 4 });
  });

  it('is never more than it was granted', () => {
    const t = twoUsers();
    t.wants('a', 2);
    claims(t, 'a', 'b', 4);
    const allowance = t.state.members.get('a')?.allowed.get('b');
    expect(Math.max(allowance?.slots ?? 0, allowance?.holding ?? 0)).toBeLessThanOrEqual(2);
  });

  it('is nothing for a key that may only run tasks', () => {
    const t = twoUsers();
    t.joins('r', {}, 'kr', 'runner');
    claims(t, 'r', 'b', 4);
    expect(t.state.members.get('r')?.allowed.size).toBe(0);
  });
});
