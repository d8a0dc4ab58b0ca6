/** Where a home sends what somebody else submitted, and what it says when there is no such place. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { demandsIn, submitted, TestHome, theAttempt, tick, toClients, up } from '../helpers/home.ts';

const foreign = { submitter: 'other' };

describe('a task of another member', () => {
  it('goes only to runners that take members\' tasks, and its receipt says who did not', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4, c: 4 }, { accepts: 'own', withheld: 'isolation' });
    h.tell(up('b', { key: 'kb', accepts: 'members', isolation: 2 }), up('c', { key: 'kc', accepts: 'own', withheld: 'owner' }));
    const attempt = theAttempt(h.tell(submitted('t', {}, foreign)));
    expect(attempt).toMatchObject({ peer: 'b', submitter: 'other' });
    expect(h.state.tasks.get('t')?.receipt?.passed_over).toEqual({ 'no box for other members\' tasks (isolation 1)': 1, 'no leave for other members\' tasks (--accept own)': 1 });
  });

  it('is asked for as such at the tracker', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.ms += 100;
    h.tell(submitted('t1', {}, foreign), submitted('t2'), submitted('t3'));
    h.ms += 100;
    expect(demandsIn(h.tell(tick)).at(-1)?.waiting).toEqual([
      { need: { language: 'python', foreign: true }, count: 1 },
      { need: { language: 'python' }, count: 1 },
    ]);
  });

  it('keeps no other one from being asked for, of however many kinds it is', () => {
    const h = new TestHome().withRunners({ a: 1 }, { accepts: 'own', withheld: 'isolation' });
    h.ms += 100;
    h.tell(...Array.from({ length: 2 * limits.needsMax }, (_, at) => submitted(`f${at}`, { memoryMb: at + 1 }, foreign)), submitted('t1'), submitted('t2'));
    h.ms += 100;
    const asked = demandsIn(h.tell(tick)).at(-1)?.waiting;
    expect(asked).toHaveLength(limits.needsMax);
    expect(asked).toContainEqual({ need: { language: 'python' }, count: 1 });
  });

  it('that waits says what for', () => {
    const h = new TestHome().withRunners({ a: 4 }, { accepts: 'own', withheld: 'isolation' });
    h.tell(submitted('t', {}, foreign));
    expect(h.state.why(h.state.tasks.get('t')!)).toBe('1 peer has no box for other members\' tasks (isolation 1)');
    h.tell(up('a', { accepts: 'own', withheld: 'unconfirmed' }));
    expect(h.state.why(h.state.tasks.get('t')!)).toMatch(/^1 peer has no word of the tracker for a day/);
  });

  it('is accepted and waits where nobody takes it: that may be another tomorrow', () => {
    const h = new TestHome().withRunners({ a: 4 }, { accepts: 'own', withheld: 'isolation' });
    h.tell({ type: 'peers_told', all: true, peers: [] });
    h.tell({ type: 'peers_told', all: true, peers: [{ ...h.state.runners.get('a')!.info! }] });
    expect(toClients(h.tell(submitted('t', {}, foreign)), 'refused')).toEqual([]);
    expect(theAttempt(h.tell(up('a', { accepts: 'members' }))).id).toBe('t');
  });
});

describe('a task of the home\'s own user', () => {
  it('does not go to another user\'s runner that takes only its own', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 });
    h.tell(up('a', { key: 'ka', accepts: 'own', withheld: 'isolation' }));
    const peers = Array.from({ length: 3 }, (_, at) => theAttempt(h.tell(submitted(`t${at}`))).peer);
    expect(new Set(peers)).toEqual(new Set(['b']));
  });
});
