/** What a runner takes, runs, kills and keeps. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { endsIn, fedIn, key, loadsIn, ordersIn, problemsIn, ref, startedIn, TestRunner, turnedAwayIn } from '../helpers/runner.ts';

describe('admission', () => {
  it('is by slots, whatever was granted', () => {
    const r = new TestRunner(2);
    expect([1, 2, 3].map((number) => turnedAwayIn(r.offer(number)))).toEqual([[], [], [['t3', 'busy']]]);
  });

  it.each([
    ['no_interpreter', { language: 'javascript' }],
    ['memory', { memoryMb: 1_001 }],
  ] as const)('says %s', (reason, more) => {
    expect(turnedAwayIn(new TestRunner(1).offer(1, more))).toEqual([['t1', reason]]);
  });

  it('counts an attempt whose content is on its way', () => {
    const r = new TestRunner(1);
    expect(r.offer(1, {}, 'h', false).send).toContainEqual(expect.objectContaining({ to: 'content', home: 'h' }));
    expect(turnedAwayIn(r.offer(2))).toEqual([['t2', 'busy']]);
    expect(fedIn(r.tell({ type: 'content_arrived', key: key(1) }))).toEqual(['t1']);
  });

  it('gives an attempt back whose content does not come, and its slot is free', () => {
    const r = new TestRunner(1);
    r.offer(1, {}, 'h', false);
    expect(turnedAwayIn(r.tell({ type: 'content_failed', key: key(1), why: 'gone' }))).toEqual([['t1', 'content_missing']]);
    expect(turnedAwayIn(r.offer(2))).toEqual([]);
  });

  it('takes an attempt that comes twice once', () => {
    const r = new TestRunner(2);
    r.offer(1);
    expect(r.offer(1).send).toEqual([]);
    expect(r.state.running).toBe(1);
  });

  it('ends when more results are kept than there is room for', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.fed.get(worker)?.shift();
    r.tell({ type: 'worker_answered', worker, job: 1, runUs: 1, result: { hash: 'a'.repeat(64), size: 1 }, resultBytes: limits.resultKeepBytes, leftovers: false });
    expect(turnedAwayIn(r.offer(2))).toEqual([['t2', 'busy']]);
    r.tell({ type: 'stored_told', home: 'h', refs: [ref(1)] });
    expect(turnedAwayIn(r.offer(3))).toEqual([]);
  });
});

describe('workers', () => {
  it('are kept: twenty attempts one after another are one worker', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    const spawned: string[] = [];
    for (let number = 2; number <= 20; number += 1) {
      r.answers(worker);
      spawned.push(...ordersIn(r.offer(number), 'spawn'));
      expect(r.workerOf(number)).toBe(worker);
    }
    expect(spawned).toEqual([]);
  });

  it('serve one submitter, one language and one memory limit each', () => {
    const r = new TestRunner(8, { languages: ['python', 'javascript'] });
    r.runs(1);
    r.answers(r.workerOf(1));
    const workers = [
      r.runs(2, { submitter: 'other' }),
      r.runs(3, { language: 'javascript' }),
      r.runs(4, { memoryMb: 100 }),
      r.runs(5, { memoryMb: 200 }),
    ];
    expect(new Set(workers).size).toBe(4);
    for (const worker of workers) r.answers(worker);
    expect(r.runs(6, { memoryMb: 100 })).toBe(workers[2]);
  });

  it('that are fresh run one attempt and are ended', () => {
    const r = new TestRunner(1);
    const idle = r.runs(1);
    r.answers(idle);
    const worker = r.runs(2, { fresh: true });
    expect(worker).not.toBe(idle);
    expect(ordersIn(r.answers(worker), 'kill')).toEqual([worker]);
    expect(r.runs(3)).toBe(idle);
  });

  it('in which a job left something behind are ended, and its result counts', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    const decided = r.answers(worker, undefined, { leftovers: true });
    expect(endsIn(decided)).toEqual([['t1', 'done']]);
    expect(ordersIn(decided, 'kill')).toEqual([worker]);
  });

  it('in which a job left something behind hold the slot of the next one, which may have begun, and give it back', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.offer(2, { ahead: true });
    expect(ordersIn(r.answers(worker, undefined, { leftovers: true }), 'take_back')).toEqual([worker]);
    expect(r.state.running).toBe(1);
    r.tell({ type: 'taken_back', worker, jobs: [] });
    expect(ordersIn(r.offer(3), 'spawn')).toEqual([]);
    const decided = r.tell({ type: 'worker_gone', worker });
    expect(endsIn(decided)).toEqual([['t2', 'killed']]);
    expect(ordersIn(decided, 'spawn')).toHaveLength(1);
  });

  it('that were ended in a job do not have the one behind it run a second time, had it begun', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    for (const number of [2, 3]) r.offer(number, { ahead: true });
    r.kill(1);
    r.tell({ type: 'taken_back', worker, jobs: [3] });
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t2', 'killed'], ['t1', 'killed']]);
    expect(fedIn(r.pass(1))).not.toContain('t2');
  });

  it('that are warm before the first task are used for it', () => {
    const r = new TestRunner(1);
    const [worker] = ordersIn(r.tell({ type: 'warmed', language: 'python' }), 'spawn');
    expect(ordersIn(r.offer(1), 'spawn')).toEqual([]);
    expect(r.workerOf(1)).toBe(worker);
  });

  it('that stay idle are ended in time, and of too many the one idle longest', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.answers(worker);
    expect(ordersIn(r.pass(limits.workerIdleMs - 1_000), 'kill')).toEqual([]);
    expect(ordersIn(r.pass(2_000), 'kill')).toEqual([worker]);

    const full = new TestRunner(1);
    const first = full.runs(1);
    full.answers(first);
    const killed: string[] = [];
    for (let number = 2; number <= 2 + limits.workersIdleMax; number += 1) {
      full.ms += 1;
      const decided = full.offer(number, { memoryMb: number });
      killed.push(...ordersIn(decided, 'kill'));
      full.ready(full.workerOf(number));
      full.answers(full.workerOf(number));
    }
    expect(killed).toEqual([first]);
  });
});

describe('a worker that dies', () => {
  it('fails the attempt that ran in it, and the slot is used until nothing of it is left', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    expect(endsIn(r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'killed by SIGSEGV' }))).toEqual([]);
    expect(turnedAwayIn(r.offer(2))).toEqual([['t2', 'busy']]);
    const gone = r.tell({ type: 'worker_gone', worker });
    expect([endsIn(gone), problemsIn(gone)]).toEqual([[['t1', 'failed']], ['worker_died']]);
    expect(fedIn(r.offer(3))).toEqual(['t3']);
  });

  it('of its memory limit ends out_of_memory with the limit named', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1, { memoryMb: 64 });
    const gone = r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: { limitMb: 64 }, why: '' }, { type: 'worker_gone', worker });
    expect(endsIn(gone)).toEqual([['t1', 'out_of_memory']]);
    expect(JSON.stringify(gone.send)).toContain('64 MB');
  });

  it('with jobs in its pipe fails the first and starts the others elsewhere', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    for (const number of [2, 3]) r.offer(number, { ahead: true });
    expect(r.fed.get(worker)?.length).toBeGreaterThan(1);
    const decided = r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'exit' }, { type: 'worker_gone', worker });
    expect(endsIn(decided)).toEqual([['t1', 'failed']]);
    expect(fedIn(decided)[0]).toBe('t2');
    expect([...r.state.attempts.keys()]).toEqual([key(2), key(3)]);
  });

  it('while idle costs nothing', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.answers(worker);
    const decided = r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'exit' }, { type: 'worker_gone', worker });
    expect(endsIn(decided)).toEqual([]);
    expect(ordersIn(r.offer(2), 'spawn')).toHaveLength(1);
  });
});

describe('a kill', () => {
  it('of what runs kills its worker and is confirmed when nothing of it is left', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    const kill = r.kill(1);
    expect([ordersIn(kill, 'kill'), endsIn(kill)]).toEqual([[worker], []]);
    expect(turnedAwayIn(r.offer(2))).toEqual([['t2', 'busy']]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t1', 'killed']]);
    expect(r.state.running).toBe(0);
    expect(r.state.heldFor('h')).toEqual([]);
  });

  it('of what still starts works the same', () => {
    const r = new TestRunner(1);
    r.offer(1);
    const worker = r.workerOf(1);
    expect(ordersIn(r.kill(1), 'kill')).toEqual([worker]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t1', 'killed']]);
  });

  it('of what waits for content is confirmed at once', () => {
    const r = new TestRunner(1);
    r.offer(1, {}, 'h', false);
    expect(endsIn(r.kill(1))).toEqual([['t1', 'killed']]);
    expect(fedIn(r.tell({ type: 'content_arrived', key: key(1) }))).toEqual([]);
    expect(turnedAwayIn(r.offer(2))).toEqual([]);
  });

  it('of what lies in a pipe takes it back, and leaves what runs before it alone', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.offer(2, { ahead: true });
    const kill = r.kill(2);
    expect([ordersIn(kill, 'take_back'), ordersIn(kill, 'kill')]).toEqual([[worker], []]);
    expect(endsIn(r.takenBack(worker))).toEqual([['t2', 'killed']]);
    expect(endsIn(r.answers(worker))).toEqual([['t1', 'done']]);
  });

  it('of what lay in a pipe and began before it could be taken back goes the hard way', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.offer(2, { ahead: true });
    r.kill(2);
    r.tell({ type: 'taken_back', worker, jobs: [] });
    expect(ordersIn(r.answers(worker), 'kill')).toEqual([worker]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t2', 'killed']]);
  });

  it('that meets the answer on its way lets the kill stand: the result does not count', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.kill(1);
    expect(endsIn(r.answers(worker))).toEqual([]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t1', 'killed']]);
  });

  it('of an attempt that has ended drops its result', () => {
    const r = new TestRunner(1);
    r.answers(r.runs(1));
    expect(r.state.heldFor('h')).toHaveLength(1);
    r.kill(1);
    expect(r.state.heldFor('h')).toEqual([]);
  });
});

describe('a timeout', () => {
  it('kills, and says so once nothing is left', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1, { timeoutMs: 500 });
    expect(ordersIn(r.pass(499), 'kill')).toEqual([]);
    expect(ordersIn(r.pass(2), 'kill')).toEqual([worker]);
    expect(endsIn(r.tell({ type: 'worker_gone', worker }))).toEqual([['t1', 'timed_out']]);
  });

  it('does not count the start of the interpreter', () => {
    const r = new TestRunner(1);
    r.offer(1, { timeoutMs: 500 });
    expect(ordersIn(r.pass(2_000), 'kill')).toEqual([]);
    r.ready(r.workerOf(1));
    expect(ordersIn(r.pass(499), 'kill')).toEqual([]);
    expect(ordersIn(r.pass(2), 'kill')).toHaveLength(1);
  });

  it('does not wake the runner every moment while an interpreter starts', () => {
    const r = new TestRunner(1);
    r.offer(1, { timeoutMs: 10 });
    r.ms = 1_000;
    expect(r.tell({ type: 'tick' }).wakeAt).toBeGreaterThan(1_100);
  });
});

describe('results', () => {
  it('are kept until the home says that they are stored, and told again on every new link', () => {
    const r = new TestRunner(1);
    r.answers(r.runs(1));
    expect(r.state.heldFor('h')).toEqual([{ ...ref(1), ended: true }]);
    expect(endsIn(r.tell({ type: 'home_unlinked', home: 'h' }, { type: 'home_linked', home: 'h' }))).toEqual([['t1', 'done']]);
    r.tell({ type: 'stored_told', home: 'h', refs: [ref(1)] });
    expect(endsIn(r.tell({ type: 'home_linked', home: 'h' }))).toEqual([]);
    expect(r.state.heldFor('h')).toEqual([]);
  });

  it('of a home that is away are kept, and running attempts go on', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.tell({ type: 'home_unlinked', home: 'h' });
    expect(endsIn(r.answers(worker))).toEqual([]);
    expect(endsIn(r.tell({ type: 'home_linked', home: 'h' }))).toEqual([['t1', 'done']]);
  });

  it('that nobody asks for are dropped after ten minutes', () => {
    const r = new TestRunner(1);
    r.answers(r.runs(1));
    r.pass(limits.resultKeepMs - 1_000);
    expect(r.state.heldFor('h')).toHaveLength(1);
    r.pass(2_000);
    expect(r.state.heldFor('h')).toEqual([]);
  });

  it('are told to their own home only', () => {
    const r = new TestRunner(1);
    r.answers(r.runs(1));
    expect(endsIn(r.tell({ type: 'home_linked', home: 'other' }))).toEqual([]);
    expect(r.state.heldFor('other')).toEqual([]);
  });
});

describe('work ahead', () => {
  it('lies behind the running one in its worker, and runs in turn', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    for (const number of [2, 3, 4]) r.offer(number, { ahead: true });
    expect(r.state.running).toBe(1);
    const ends = [r.answers(worker), r.answers(worker), r.answers(worker), r.answers(worker)].flatMap(endsIn);
    expect(ends.map(([id]) => id)).toEqual(['t1', 't2', 't3', 't4']);
    expect(r.state.running).toBe(0);
  });

  it('is started by a free slot before it waits in a pipe', () => {
    const r = new TestRunner(2);
    r.runs(1);
    r.offer(2, { ahead: true });
    expect(r.state.running).toBe(2);
    expect(r.workerOf(2)).not.toBe(r.workerOf(1));
  });

  it('does not start before an attempt that was promised a slot', () => {
    const r = new TestRunner(1, { aheadInPipe: 0 });
    const worker = r.runs(1);
    for (const number of [2, 3]) r.offer(number, { ahead: true, submitter: 'other' });
    r.answers(worker);
    r.offer(4);
    const running = [...r.state.attempts.values()].filter(({ state }) => state === 'running').map(({ message }) => message.id);
    expect(running).toEqual(['t2']);
    r.ready(r.workerOf(2));
    expect(fedIn(r.answers(r.workerOf(2)))).toContain('t4');
  });

  it('goes back unstarted when what is before it is slow', () => {
    const r = new TestRunner(1, { aheadInPipe: 2 });
    const worker = r.runs(1);
    for (const number of [2, 3, 4, 5]) r.offer(number, { ahead: true });
    const back: [string, string][] = [];
    for (let at = 0; at < 60; at += 1) {
      const decided = r.pass(1);
      back.push(...turnedAwayIn(decided));
      if (ordersIn(decided, 'take_back').length > 0) back.push(...turnedAwayIn(r.takenBack(worker)));
    }
    expect(back.toSorted()).toEqual([['t2', 'busy'], ['t3', 'busy'], ['t4', 'busy'], ['t5', 'busy']]);
    expect([...r.state.attempts.keys()]).toEqual([key(1)]);
  });

  it('is bounded', () => {
    const r = new TestRunner(1, { aheadInPipe: 0 });
    r.runs(1);
    let taken = 0;
    for (let number = 2; number < 200; number += 1) if (turnedAwayIn(r.offer(number, { ahead: true })).length === 0) taken += 1;
    expect(taken).toBe(limits.aheadTasksMax);
  });
});

describe('draining', () => {
  it('takes nothing new, gives back what has not started, and lets what runs end', () => {
    const r = new TestRunner(2);
    const worker = r.runs(1);
    r.offer(2, {}, 'h', false);
    const drain = r.tell({ type: 'draining' });
    expect(turnedAwayIn(drain)).toEqual([['t2', 'draining']]);
    expect(turnedAwayIn(r.offer(3))).toEqual([['t3', 'draining']]);
    expect(fedIn(r.tell({ type: 'content_arrived', key: key(2) }))).toEqual([]);
    expect(endsIn(r.answers(worker))).toEqual([['t1', 'done']]);
  });

  it('starts nothing that comes back out of a worker', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.offer(2, { ahead: true });
    r.tell({ type: 'draining' });
    const decided = r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'killed' }, { type: 'worker_gone', worker });
    expect(ordersIn(decided, 'spawn')).toEqual([]);
    expect(turnedAwayIn(decided)).toEqual([['t2', 'draining']]);
  });

  it('gives back what still runs when it is stopped, once its worker is gone', () => {
    const r = new TestRunner(1);
    const worker = r.runs(1);
    r.tell({ type: 'draining' });
    const stop = r.tell({ type: 'stopping' });
    expect([ordersIn(stop, 'kill'), endsIn(stop), r.state.isDone]).toEqual([[worker], [], false]);
    expect(endsIn(r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'killed' }, { type: 'worker_gone', worker }))).toEqual([['t1', 'killed']]);
    expect(r.state.isDone).toBe(true);
  });

  it('is not done before a home that can be reached has stored the results', () => {
    const r = new TestRunner(1);
    r.answers(r.runs(1));
    expect(r.state.isDone).toBe(false);
    r.tell({ type: 'stored_told', home: 'h', refs: [ref(1)] });
    expect(r.state.isDone).toBe(true);
    r.answers(r.runs(2));
    r.tell({ type: 'home_unlinked', home: 'h' });
    expect(r.state.isDone).toBe(true);
  });

  it('is told to its homes', () => {
    const r = new TestRunner(1);
    r.ms = 1_000;
    expect(loadsIn(r.tell({ type: 'draining' })).at(-1)).toMatchObject({ draining: true });
  });
});

describe('news', () => {
  it('says that an attempt has started, once', () => {
    const r = new TestRunner(1);
    const started = [r.offer(1), r.ready(r.workerOf(1)), r.pass(100)].flatMap(startedIn);
    expect(started).toEqual(['t1']);
  });

  it('tells each home what others run there', () => {
    const r = new TestRunner(3);
    r.tell({ type: 'home_linked', home: 'other' });
    r.offer(1);
    r.offer(2, {}, 'other');
    r.offer(3, {}, 'other');
    r.ms = 1_000;
    const loads = r.tell({ type: 'tick' }).send.flatMap((effect) => (effect.to === 'home' && effect.message.kind === 'runner_load' ? [[effect.home, effect.message.running, effect.message.others]] : []));
    expect(loads).toEqual([['h', 3, 2], ['other', 3, 1]]);
  });

  it('tells the load as it changes, not more often than four times a second', () => {
    const r = new TestRunner(1);
    let told = 0;
    for (let at = 0; at < 100; at += 1) {
      r.ms += 10;
      told += loadsIn(r.tell({ type: 'load_measured', cpuLoad: (at % 10) / 10 })).length;
    }
    expect(told).toBeGreaterThanOrEqual(3);
    expect(told).toBeLessThanOrEqual(5);
  });
});

describe('in any order of events', () => {
  interface Step {
    what: 'offer' | 'ahead' | 'answer' | 'fail' | 'die' | 'kill' | 'ready' | 'take_back' | 'stored' | 'pass';
    pick: number;
  }
  const steps = fc.array(
    fc.record<Step>({
      what: fc.constantFrom('offer', 'offer', 'offer', 'ahead', 'ahead', 'answer', 'answer', 'fail', 'die', 'kill', 'ready', 'ready', 'take_back', 'stored', 'pass'),
      pick: fc.nat(1_000),
    }),
    { maxLength: 120 },
  );

  it('no more runs than there are slots, and every attempt that was taken is answered once', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const r = new TestRunner(2);
        const answered = new Map<string, number>();
        const dying = new Set<string>();
        const taken = new Set<string>();
        let offers = 0;
        const note = (decided: ReturnType<TestRunner['tell']>) => {
          for (const [id] of [...endsIn(decided), ...turnedAwayIn(decided)]) answered.set(id, (answered.get(id) ?? 0) + 1);
          for (const worker of ordersIn(decided, 'kill')) dying.add(worker);
          for (const worker of ordersIn(decided, 'take_back')) note(r.takenBack(worker));
          expect(r.state.running).toBeLessThanOrEqual(2);
        };
        for (const { what, pick } of plan) {
          const workers = [...r.fed.keys()];
          const worker = workers[pick % Math.max(1, workers.length)];
          const live = worker !== undefined && !dying.has(worker);
          if (what === 'offer' || what === 'ahead') {
            offers += 1;
            taken.add(`t${offers}`);
            note(r.offer(offers, what === 'ahead' ? { ahead: true } : {}));
          } else if (what === 'kill') note(r.kill(pick % (offers + 1)));
          else if (what === 'stored') note(r.tell({ type: 'stored_told', home: 'h', refs: [ref(pick % (offers + 1))] }));
          else if (what === 'pass') note(r.pass(pick % 50));
          else if (!live || worker === undefined) continue;
          else if (what === 'ready') note(r.ready(worker));
          else if (what === 'take_back') note(r.takenBack(worker));
          else if (what === 'die') {
            dying.add(worker);
            note(r.tell({ type: 'worker_exited', worker, ready: true, outOfMemory: null, why: 'it died' }));
          } else if ((r.fed.get(worker)?.length ?? 0) > 0) {
            note(r.ready(worker));
            if (!dying.has(worker)) note(r.answers(worker, what === 'fail' ? { code: 'exception', message: 'x' } : undefined));
          }
        }
        // The end: what is dying goes, what runs is answered.
        for (let round = 0; round < 300 && r.state.attempts.size > 0; round += 1) {
          for (const worker of dying) {
            dying.delete(worker);
            r.fed.delete(worker);
            note(r.tell({ type: 'worker_gone', worker }));
          }
          for (const [worker, jobs] of r.fed) {
            if (dying.has(worker) || jobs.length === 0) continue;
            note(r.ready(worker));
            if (!dying.has(worker) && (r.fed.get(worker)?.length ?? 0) > 0) note(r.answers(worker));
          }
        }
        expect(r.state.attempts.size).toBe(0);
        expect(r.state.running).toBe(0);
        for (const id of taken) expect([id, answered.get(id)]).toEqual([id, 1]);
      }),
      { numRuns: 300 },
    );
  });
});
