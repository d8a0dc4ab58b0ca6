/** Which runner, and the receipt that says why. */
import { describe, expect, it } from 'vitest';
import { attemptsIn, demandsIn, ended, granted, info, linked, submitted, started, TestHome, theAttempt, tick, turnedAway, unlinked, up } from '../helpers/home.ts';

const receiptOf = (h: TestHome, id: string) => h.state.tasks.get(id)?.receipt;

describe('the order of runners', () => {
  it('gives each of three equals the same, one task after another', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4, c: 4 });
    const counts: Record<string, number> = {};
    for (let at = 0; at < 30; at += 1) {
      const attempt = theAttempt(h.tell(submitted(`t${at}`)));
      counts[attempt.peer] = (counts[attempt.peer] ?? 0) + 1;
      h.ms += 10;
      h.tell(ended(attempt));
    }
    expect(counts).toEqual({ a: 10, b: 10, c: 10 });
  });

  it('spreads twelve tasks at once as four on each of three', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4, c: 4 });
    const peers = Array.from({ length: 12 }, (_, at) => theAttempt(h.tell(submitted(`t${at}`))).peer);
    expect(['a', 'b', 'c'].map((peer) => peers.filter((each) => each === peer).length)).toEqual([4, 4, 4]);
  });

  it('says load when load decided', () => {
    const h = new TestHome().withRunners({ a: 2, b: 2 });
    h.tell(submitted('t1'));
    h.tell(submitted('t2'));
    expect(receiptOf(h, 't2')).toEqual({ peer: 'b', decided: 'load', candidates: [{ peer: 'b', load: 0, cpu_load: 0 }, { peer: 'a', load: 0.5, cpu_load: 0 }] });
  });

  it('puts a machine busy with other work last, and says so', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 });
    h.tell(up('a', { cpu_load: 0.9 }));
    const peers = Array.from({ length: 5 }, (_, at) => theAttempt(h.tell(submitted(`t${at}`))).peer);
    expect(peers).toEqual(['b', 'b', 'b', 'b', 'a']);
    expect(receiptOf(h, 't0')?.decided).toBe('cpu_load');
  });

  it('does not tell equals apart by CPU within one step of an eighth', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 });
    h.tell(up('a', { cpu_load: 0.124 }), up('b', { cpu_load: 0.01 }));
    theAttempt(h.tell(submitted('t')));
    expect(receiptOf(h, 't')?.decided).toBe('rotation');
    h.tell(up('a', { cpu_load: 0.126 }));
    theAttempt(h.tell(submitted('u')));
    expect(receiptOf(h, 'u')?.peer).toBe('b');
  });

  it('gives peers of one machine one figure, so that they are told apart by their slots', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 }, { machine: { boot: 'm', net: '' } });
    h.tell({ type: 'runner_load', peer: 'a', running: 0, slots: 4, cpuLoad: 0.9, draining: false });
    h.tell(submitted('t'));
    expect(receiptOf(h, 't')?.candidates.map(({ cpu_load }) => cpu_load)).toEqual([0.9, 0.9]);
    expect(receiptOf(h, 't')?.decided).toBe('rotation');
  });

  it('counts what other homes use there', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 });
    h.tell(granted('a', 2, 2));
    expect(theAttempt(h.tell(submitted('t'))).peer).toBe('b');
  });

  it('counts it as the runner tells it, not as it was when a slot was granted', () => {
    const h = new TestHome().withRunners({ a: 4, b: 4 });
    const load = (others: number) => ({ type: 'runner_load', peer: 'a', running: others, others, slots: 4, cpuLoad: 0, draining: false }) as const;
    h.tell(load(3));
    expect(theAttempt(h.tell(submitted('t'))).peer).toBe('b');
    h.tell(load(0));
    expect(theAttempt(h.tell(submitted('u'))).peer).toBe('a');
  });

  it('says who was passed over for want of an interpreter', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(up('b', { languages: { javascript: '20' } }));
    h.tell(submitted('t'));
    expect(receiptOf(h, 't')).toMatchObject({ decided: 'only_one', passed_over: { 'no python': 1 } });
  });
});

describe('priority and lines', () => {
  it('orders by accepted minus sixty seconds for each step of priority', () => {
    const h = new TestHome();
    h.tell(submitted('first'));
    h.ms += 59_000;
    h.tell(submitted('urgent', { priority: 1 }), submitted('last'));
    h.withRunners({ a: 3 });
    expect(h.records.flatMap((record) => (record.kind === 'assigned' ? [record.id] : []))).toEqual(['urgent', 'first', 'last']);
  });

  it('lets nobody starve: an urgent task that came over a minute later goes behind', () => {
    const h = new TestHome();
    h.tell(submitted('first'));
    h.ms += 61_000;
    h.tell(submitted('urgent', { priority: 1 }));
    h.withRunners({ a: 2 });
    expect(h.records.flatMap((record) => (record.kind === 'assigned' ? [record.id] : []))).toEqual(['first', 'urgent']);
  });

  it('does not let a task that nothing can run now stand before others', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(up('b', { languages: { javascript: '20' } }));
    h.tell(submitted('js', {}, { language: 'javascript' }));
    expect(theAttempt(h.tell(submitted('py'))).id).toBe('py');
  });

  it('asks for each need by itself, without the confidential ones', () => {
    const h = new TestHome();
    h.tell({ type: 'tracker_up' });
    h.ms += 20;
    h.tell(up('own'), submitted('a'), submitted('b', { memoryMb: 5 }), submitted('c', { confidential: true }), submitted('d', { memoryMb: 5 }));
    expect(demandsIn(h.pass(20)).at(-1)?.waiting).toEqual([
      { need: { language: 'python' }, count: 1 },
      { need: { language: 'python', memoryMb: 5 }, count: 2 },
    ]);
  });
});

describe('a confidential task', () => {
  it('runs only on its home, without a grant, and opens the link to it', () => {
    const h = new TestHome().withRunners({ b: 4 });
    h.tell(up('own', { slots: 1 }));
    const asked = h.tell(submitted('t', { confidential: true }));
    expect(attemptsIn(asked)).toEqual([]);
    expect(asked.send).toContainEqual({ to: 'dial', peer: 'own' });
    expect(theAttempt(h.tell(linked('own'))).peer).toBe('own');
    expect(receiptOf(h, 't')?.decided).toBe('confidential');
    expect(attemptsIn(h.tell(submitted('u', { confidential: true })))).toEqual([]);
  });

  it('is refused at once when its home could never run it', () => {
    const h = new TestHome().withRunners({ b: 4 });
    h.tell(up('own', { languages: {} }));
    expect(h.tell(submitted('t', { confidential: true })).after).toMatchObject([{ message: { kind: 'refused', error: { code: 'impossible' } } }]);
  });
});

describe('while the tracker is away', () => {
  const away = () => {
    const h = new TestHome();
    h.tell(up('a', { slots: 2 }), up('b', { slots: 2 }));
    return h;
  };

  it('links are opened and slots used as they are remembered, and the receipt says so', () => {
    const h = away();
    expect(h.tell(submitted('t')).send).toEqual(expect.arrayContaining([{ to: 'dial', peer: 'a' }, { to: 'dial', peer: 'b' }]));
    theAttempt(h.tell(linked('a')));
    expect(receiptOf(h, 't')?.decided).toBe('from_memory');
  });

  it('no more is sent to a runner than it has slots', () => {
    const h = away();
    h.tell(linked('a'));
    expect(attemptsIn(h.tell(submitted('t1'), submitted('t2'), submitted('t3')))).toHaveLength(2);
  });

  it('a runner that does not answer is dialled again after a pause, not at once', () => {
    const h = away();
    h.tell(submitted('t'));
    expect(h.tell(unlinked('a')).send).toEqual([]);
    expect(h.pass(1_100).send).toContainEqual({ to: 'dial', peer: 'a' });
  });
});

describe('grants', () => {
  it('are a bound, and a new one is used at once', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(submitted('t1'), submitted('t2'));
    expect(theAttempt(h.tell(granted('a', 2))).id).toBe('t2');
  });

  it('go back when they were idle for two seconds, and not before', () => {
    const h = new TestHome().withRunners({ a: 2 });
    h.pass(1_900);
    expect(h.state.runners.get('a')?.granted).toBe(2);
    expect(demandsIn(h.pass(300)).at(-1)?.held).toEqual([]);
  });

  it('that were recalled come back when the attempts in them end', () => {
    const h = new TestHome().withRunners({ a: 2 });
    const [one] = attemptsIn(h.tell(submitted('t1'), submitted('t2')));
    h.tell(granted('a', 1));
    expect(h.state.runners.get('a')).toMatchObject({ granted: 1, holding: 2 });
    h.tell(ended(one!));
    expect(h.state.runners.get('a')).toMatchObject({ granted: 1, holding: 1 });
    expect(attemptsIn(h.tell(submitted('t3')))).toEqual([]);
    expect(demandsIn(h.pass(20)).at(-1)?.held).toEqual([{ peer: 'a', slots: 1, used: 1 }]);
  });

  it('are not asked for with a message per task', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.pass(20);
    let demands = 0;
    for (let at = 0; at < 100; at += 1) demands += demandsIn(h.tell(submitted(`t${at}`))).length;
    expect(demands).toBeLessThanOrEqual(1);
    expect(demandsIn(h.pass(100)).length).toBeLessThanOrEqual(10);
  });

  it('of another link\'s time are not said to be seen; of this one\'s they are, also after a new start above it', () => {
    const h = new TestHome().withRunners({ a: 1 });
    const seen = demandsIn(h.pass(1_100)).at(-1)?.seen;
    expect(seen).toBeGreaterThan(0);
    h.pass(50);
    expect(demandsIn(h.tell({ type: 'tracker_away' }, { type: 'tracker_up' })).at(-1)?.seen).toBe(0);
    const next = new TestHome();
    expect(demandsIn(next.tell({ type: 'tracker_up', seen: 7 })).at(-1)?.seen).toBe(7);
  });

  it('on a runner that turns tasks away count as used, so that another is granted', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell(turnedAway(theAttempt(h.tell(submitted('t')))));
    expect(demandsIn(h.pass(15)).at(-1)).toMatchObject({ waiting: [{ count: 1 }], held: [{ peer: 'a', slots: 1, used: 1 }] });
  });
});

describe('a list of peers from a tracker that was started again', () => {
  it('does not make a home forget runners whose links are open', () => {
    const h = new TestHome().withRunners({ a: 1, b: 1 });
    h.tell({ type: 'peers_told', all: true, peers: [info('own')] });
    h.tell(up('a'), granted('a', 1));
    expect(theAttempt(h.tell(submitted('t'))).peer).toBe('a');
  });

  it('makes it forget those whose links are not, once nothing is there', () => {
    const h = new TestHome().withRunners({ a: 1 });
    h.tell({ type: 'peers_told', all: true, peers: [info('own')] }, unlinked('a'));
    h.tell(tick);
    expect([...h.state.runners.keys()]).toEqual(['own']);
  });
});

describe('work ahead of the slots', () => {
  const tiny = () => {
    const h = new TestHome().withRunners({ a: 1 });
    for (const id of ['x', 'y', 'z']) h.tell(ended(theAttempt(h.tell(submitted(id))), { runUs: 100 }));
    return h;
  };

  it('is sent for functions that are over in no time, marked, and only so much', () => {
    const h = tiny();
    h.tell(submitted('t'));
    expect(theAttempt(h.tell(submitted('u')))).toMatchObject({ id: 'u', ahead: true });
    let ahead = 1;
    for (let at = 0; at < 200; at += 1) ahead += attemptsIn(h.tell(submitted(`v${at}`))).length;
    expect(ahead).toBe(50);
  });

  it.each([{ once: true }, { fresh: true }])('is never sent for %o', (options) => {
    const h = tiny();
    h.tell(submitted('t'));
    expect(attemptsIn(h.tell(submitted('u', options)))).toEqual([]);
  });

  it('is not sent for functions that take their time', () => {
    const h = new TestHome().withRunners({ a: 1 });
    for (const id of ['x', 'y', 'z']) h.tell(ended(theAttempt(h.tell(submitted(id))), { runUs: 20_000 }));
    h.tell(started(theAttempt(h.tell(submitted('t')))));
    expect(attemptsIn(h.tell(submitted('u')))).toEqual([]);
  });
});
