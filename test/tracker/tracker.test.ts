/** Who is up, and who may use which slots now. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { python, TestTracker } from '../helpers/tracker.ts';

const pool = (...peers: string[]) => {
  const t = new TestTracker();
  for (const peer of peers) t.joins(peer);
  return t;
};

describe('grants', () => {
  it('spread twelve tasks on twelve slots as four on each of three', () => {
    const t = pool('a', 'b', 'c');
    t.wants('a', 12);
    expect(t.slotsOf('a')).toEqual({ a: 4, b: 4, c: 4 });
  });

  it('offer a demand of one a slot on every equally free runner, eight at most', () => {
    const t = pool(...Array.from({ length: 10 }, (_, at) => `p${at}`));
    t.wants('p0', 1);
    expect(t.total('p0')).toBe(8);
    expect(Object.values(t.slotsOf('p0')).every((slots) => slots === 1)).toBe(true);
  });

  it('of a demand of one leave out a runner that is less free', () => {
    const t = pool('a', 'b', 'c');
    t.load('c', { running: 1 });
    t.wants('a', 1);
    expect(t.slotsOf('a')).toEqual({ a: 1, b: 1 });
  });

  it('put a machine busy with other work last', () => {
    const t = pool('a', 'b');
    t.load('a', { cpu_load: 0.9 });
    t.wants('a', 4);
    expect(t.slotsOf('a')).toEqual({ b: 4 });
    t.wants('a', 1);
    expect(t.slotsOf('a')).toEqual({ a: 1, b: 4 });
  });

  it('never name a runner that lacks the interpreter or the memory', () => {
    const t = pool('a', 'b');
    t.joins('b', { languages: { javascript: '20' } });
    t.wants('a', 8);
    expect(t.slotsOf('a')).toEqual({ a: 4 });
    t.wants('b', [{ need: { language: 'python', memoryMb: 2_000 }, count: 1 }]);
    expect(t.slotsOf('b')).toEqual({});
  });

  it('for a retry are on another runner than the one that it avoids, if one fits', () => {
    const t = pool('a', 'b');
    t.load('b', { cpu_load: 0.9 });
    t.wants('a', [{ need: python, count: 1, avoid: 'a' }]);
    expect(t.slotsOf('a')).toMatchObject({ b: 1 });
    const one = pool('a');
    one.wants('a', [{ need: python, count: 1, avoid: 'a' }]);
    expect(one.slotsOf('a')).toEqual({ a: 1 });
  });

  it('do not come while idle slots already held would do', () => {
    const t = pool('a');
    t.wants('a', 2);
    expect(t.slotsOf('a')).toEqual({ a: 2 });
    t.wants('a', 2, 'none');
    expect(t.slotsOf('a')).toEqual({ a: 2 });
    t.wants('a', 2, 'all');
    expect(t.slotsOf('a')).toEqual({ a: 4 });
  });

  it('leave alone what a runner runs besides', () => {
    const t = pool('a');
    t.load('a', { running: 3 });
    t.wants('a', 10);
    expect(t.slotsOf('a')).toEqual({ a: 1 });
  });

  it('are not made of what drains, is suspected or lost', () => {
    const t = pool('a', 'b');
    t.load('b', { draining: true });
    t.wants('a', 8);
    expect(t.slotsOf('a')).toEqual({ a: 4 });
  });

  it('of slots that a home has just said are over do not wait for the next load', () => {
    const t = pool('a');
    t.wants('a', 4);
    t.load('a', { running: 4 });
    t.wants('a', 0);
    t.joins('b', { slots: 0 });
    t.givesBack('a');
    t.wants('b', 4);
    expect(t.slotsOf('b')).toEqual({ a: 4 });
  });
});

describe('shares between homes', () => {
  it('of ten tasks and ten thousand are equal: the ten do not wait for the others', () => {
    const t = pool('a', 'b', 'c');
    t.wants('a', 10_000);
    expect(t.total('a')).toBe(12);
    t.wants('b', 10);
    t.wants('a', 9_988);
    expect(t.total('a')).toBe(6);
    t.wants('b', 10);
    expect(t.total('b')).toBe(6);
  });

  it('stay at their share: nobody is recalled below it, however often demands are renewed', () => {
    const t = pool('a', 'b', 'c');
    t.wants('a', 10_000);
    for (let round = 0; round < 20; round += 1) {
      t.wants('b', 10_000);
      t.wants('a', 10_000);
      t.ms += 100;
    }
    expect([t.total('a'), t.total('b')]).toEqual([6, 6]);
  });

  it('take idle slots first: a busy one ends in its own time', () => {
    const t = pool('a', 'b');
    t.wants('a', 8);
    t.wants('a', 0, { a: 4, b: 0 });
    t.wants('b', 2);
    expect(t.slotsOf('a')).toMatchObject({ a: 4 });
    t.wants('a', 0, { a: 4, b: 0 });
    t.wants('b', 2);
    expect(t.slotsOf('b')).toEqual({ b: 2 });
  });

  it('do not let rounding keep a slot idle beside a task', () => {
    const t = pool('a');
    for (const home of ['x', 'y']) t.joins(home, { slots: 0 });
    t.joins('a', { slots: 3 });
    t.wants('x', 2);
    t.wants('y', 10);
    t.wants('x', 0, { a: 1 });
    t.wants('y', 10);
    t.wants('x', 0, { a: 1 });
    t.wants('y', 10);
    expect([t.total('x'), t.total('y')]).toEqual([1, 2]);
  });

  it('when there are more homes than slots go round', () => {
    const t = new TestTracker();
    t.joins('r', { slots: 1 });
    const homes = ['x', 'y', 'z'];
    for (const home of homes) t.joins(home, { slots: 0 });
    const turns = new Map<string, number>();
    for (let round = 0; round < 90; round += 1) {
      t.ms += 100;
      for (const home of homes) {
        t.wants(home, 5);
        turns.set(home, (turns.get(home) ?? 0) + t.total(home));
      }
    }
    for (const home of homes) expect(turns.get(home)).toBeGreaterThan(15);
  });

  it('do not take back in the same round what they have just given, for idle slots that nobody can use', () => {
    const t = new TestTracker();
    t.joins('a', { slots: 2 });
    t.joins('b', { slots: 1 });
    t.wants('a', 1);
    t.wants('b', 1);
    for (const home of ['a', 'b']) t.wants(home, 0, 'none');
    t.granted.set('a', new Map([['a', 1]]));
    t.granted.set('b', new Map([['a', 1]]));
    for (const home of ['a', 'b']) t.wants(home, [{ need: python, count: 1, avoid: 'a' }], 'none');
    expect((t.slotsOf('a')['b'] ?? 0) + (t.slotsOf('b')['b'] ?? 0)).toBe(1);
  });

  it('do not end the taking of turns among equals because one task somewhere can run nowhere', () => {
    const t = pool('a', 'b', 'c');
    t.wants('b', [{ need: { language: 'javascript' }, count: 1 }]);
    t.wants('a', 1);
    expect(t.slotsOf('a')).toEqual({ a: 1, b: 1, c: 1 });
  });
});

describe('never more than there is', () => {
  interface Step {
    what: 'wants' | 'gives_back' | 'crash' | 'relink' | 'pass' | 'load';
    peer: number;
    count: number;
  }
  const steps = fc.array(
    fc.record<Step>({ what: fc.constantFrom('wants', 'wants', 'wants', 'gives_back', 'crash', 'relink', 'pass', 'load'), peer: fc.nat(2), count: fc.nat(12) }),
    { maxLength: 60 },
  );

  it('is granted, whatever homes say and whoever comes and goes', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const peers = ['a', 'b', 'c'];
        const t = pool(...peers);
        let starts = 1;
        for (const { what, peer: at, count } of plan) {
          const peer = peers[at]!;
          if (what === 'wants') t.wants(peer, count);
          else if (what === 'gives_back') t.givesBack(peer);
          else if (what === 'relink') t.joins(peer, { incarnation: t.state.members.get(peer)!.info.incarnation });
          else if (what === 'pass') t.pass(count * 10);
          else if (what === 'load') t.load(peer, { running: Math.min(4, count) });
          else {
            // The process is new: what its home held is gone, and what others hold there is void.
            t.granted.delete(peer);
            for (const slots of t.granted.values()) slots.delete(peer);
            t.joins(peer, { incarnation: `${peer}-${(starts += 1)}` });
          }
          for (const runner of peers) {
            const sum = [...t.state.members.values()].reduce((all, home) => all + (home.allowed.get(runner)?.slots ?? 0), 0);
            expect(sum).toBeLessThanOrEqual(4);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is held for a home that was cut off: after a new link its word is true again', () => {
    const t = pool('a', 'b');
    t.wants('a', 8);
    t.leaves('a');
    t.granted.delete('a');
    t.joins('a');
    t.wants('a', 0);
    t.wants('b', 8);
    expect(t.total('b')).toBe(8);
  });

  it('is believed of a home that holds what has ended: it is told so', () => {
    const t = pool('a', 'b');
    t.wants('a', 8);
    t.wants('a', 0, 'none');
    t.joins('b', { incarnation: 'b-2' });
    expect(t.slotsOf('a')).toMatchObject({ b: 4 });
    t.wants('a', 0);
    expect(t.slotsOf('a')).toEqual({ a: 4 });
  });
});

describe('a tracker that was started again', () => {
  it('listens for a second, grants nothing, and hears what is held', () => {
    const t = new TestTracker({ listens: true });
    t.joins('a');
    t.joins('b');
    t.granted.set('a', new Map([['b', 4]]));
    t.wants('a', 4);
    t.wants('b', 4);
    expect([t.slotsOf('a'), t.slotsOf('b')]).toEqual([{ b: 4 }, {}]);
    t.ms = 1_000;
    t.tell({ type: 'tick' });
    expect([t.slotsOf('a'), t.slotsOf('b')]).toEqual([{ b: 4 }, { a: 4 }]);
  });
});

describe('members', () => {
  it('are suspected when their link closes and lost two seconds later', () => {
    const t = pool('a', 'b');
    t.leaves('b');
    expect(t.state.members.get('b')?.info.state).toBe('suspected');
    t.pass(1_900, ['a']);
    expect(t.state.members.get('b')?.info.state).toBe('suspected');
    t.pass(200, ['a']);
    expect(t.state.members.get('b')?.info.state).toBe('lost');
    expect(t.news.map(({ what }) => what).filter((what) => what !== 'load')).toEqual(['registered', 'registered', 'suspected', 'lost']);
  });

  it('are back when they register again, and the others are told', () => {
    const t = pool('a', 'b');
    t.leaves('b');
    t.pass(3_000, ['a']);
    t.joins('b', { incarnation: 'b-2' });
    expect(t.news.at(-1)?.what === 'load' ? t.news.at(-2)?.what : t.news.at(-1)?.what).toBe('back');
    expect(t.state.members.get('b')?.info.state).toBe('up');
  });

  it('that are lost hold no grants, and nobody holds grants on them', () => {
    const t = pool('a', 'b', 'c');
    t.wants('b', 12);
    t.leaves('b');
    t.pass(2_100, ['a']);
    t.wants('c', 12);
    expect(t.slotsOf('c')).toEqual({ a: 4, c: 4 });
  });

  it('whose demand is not renewed for five seconds let go of what they were granted', () => {
    const t = pool('a', 'b');
    t.wants('a', 8);
    t.pass(4_900);
    t.wants('b', 1);
    expect(t.total('b')).toBe(0);
    t.pass(1_000);
    t.wants('b', 8);
    expect(t.total('b')).toBe(8);
  });

  it('of one machine share one figure of CPU', () => {
    const t = new TestTracker();
    for (const peer of ['a', 'b']) t.joins(peer, { machine: { boot: 'm', net: 'n' } });
    t.joins('c', { machine: { boot: 'm', net: 'other' } });
    t.load('a', { cpu_load: 0.7 });
    expect(['a', 'b', 'c'].map((peer) => t.state.members.get(peer)?.info.cpu_load)).toEqual([0.7, 0.7, 0]);
  });

  it('are told to a new one completely, and to all as they change, not more often than five times a second', () => {
    const t = pool('a');
    const hello = t.joins('b').send.flatMap(({ message }) => (message.kind === 'peers' && message.all ? [message.peers.map(({ peer }) => peer)] : []));
    expect(hello).toEqual([['a', 'b']]);
    let told = 0;
    for (let at = 0; at < 100; at += 1) {
      t.ms += 10;
      told += t.load('a', { running: at % 4 }).send.filter(({ link, message }) => link === 1 && message.kind === 'peers').length;
    }
    expect(told).toBeGreaterThan(3);
    expect(told).toBeLessThanOrEqual(6);
  });

  it('of the same name as one that is up replace it, and that is news', () => {
    const t = pool('a');
    t.joins('a', { incarnation: 'a-2' });
    expect(t.news.map(({ what }) => what)).toContain('replaced');
    expect(t.state.peers()).toHaveLength(1);
  });
});
