/** The one shell around all deciders: order, group commit, what waits for the disk, one timer. */
import { describe, expect, it } from 'vitest';
import { TickClock } from '../../src/lib/clock.ts';
import { type Decision, Driver, type DriverOptions } from '../../src/lib/driver.ts';

type Options = DriverOptions<string, string, string, string>;
type Decided = Partial<Decision<string, string, string>>;

/** A recorder whose flushes end when the test says so. */
class SlowDisk {
  appended: string[] = [];
  readonly flushes: string[][] = [];
  #flushed = 0;
  #finish: ((error?: Error) => void) | undefined;

  append(entry: string): number {
    return this.appended.push(entry);
  }

  flush(): Promise<number> {
    const upTo = this.appended.length;
    this.flushes.push(this.appended.slice(this.#flushed, upTo));
    return new Promise((resolve, reject) => {
      this.#finish = (error) => {
        if (error !== undefined) return reject(error);
        this.#flushed = upTo;
        resolve(upTo);
      };
    });
  }

  async finish(error?: Error): Promise<void> {
    this.#finish?.(error);
    await turn();
  }
}

const turn = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
};

async function until(done: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!done() && performance.now() < deadline) await turn();
}

function setUp(decide: (event: string) => Decided, more: Partial<Options> & { together?: boolean } = {}) {
  const done: string[] = [];
  const disk = new SlowDisk();
  const full = (decided: Decided): Decision<string, string, string> => ({ send: [], journal: [], after: [], wakeAt: undefined, ...decided });
  const { together, ...options } = more;
  const driver = new Driver<string, string, string, string>({
    decider: {
      decide: (event) => full(decide(event)),
      ...(together === true ? { decideAll: (events) => full(decide(events.join('+'))) } : {}),
    },
    clock: new TickClock(1_000),
    recorder: disk,
    tick: 'tick',
    send: (effect) => done.push(`send ${effect}`),
    release: (effect) => done.push(`release ${effect}`),
    broken: (error) => done.push(`broken ${String(error)}`),
    ...options,
  });
  return { driver, disk, done };
}

/** Each event is journaled, sends at once and shows something after. */
const all = (event: string): Decided => ({ send: [event], journal: [event], after: [event] });

describe('the driver', () => {
  it('sends at once and shows only what is on disk', async () => {
    const { driver, disk, done } = setUp(all);
    driver.dispatch('a');
    await turn();
    expect(done).toEqual(['send a']);
    await disk.finish();
    expect(done).toEqual(['send a', 'release a']);
    driver.stop();
  });

  it('puts records that come during a flush into the next one, all together', async () => {
    const { driver, disk, done } = setUp(all);
    driver.dispatch('a');
    await turn();
    for (const event of ['b', 'c', 'd']) driver.dispatch(event);
    await turn();
    expect(disk.flushes).toEqual([['a']]);
    await disk.finish();
    expect(done.filter((line) => line.startsWith('release'))).toEqual(['release a']);
    await turn();
    expect(disk.flushes).toEqual([['a'], ['b', 'c', 'd']]);
    await disk.finish();
    expect(done.filter((line) => line.startsWith('release'))).toEqual(['release a', 'release b', 'release c', 'release d']);
    driver.stop();
  });

  it('holds back what has no record of its own behind the records before it', async () => {
    const { driver, disk, done } = setUp((event) => (event === 'asks' ? { after: ['answer'] } : all(event)));
    driver.dispatch('a');
    await turn();
    driver.dispatch('asks');
    await turn();
    expect(done).toEqual(['send a']);
    await disk.finish();
    expect(done).toEqual(['send a', 'release a', 'release answer']);
    driver.stop();
  });

  it('shows at once what depends on no record', async () => {
    const { driver, disk, done } = setUp(() => ({ after: ['answer'] }));
    driver.dispatch('asks');
    await turn();
    expect([done, disk.flushes]).toEqual([['release answer'], []]);
    driver.stop();
  });

  it('decides events that come while it carries out effects after them, in order', async () => {
    const seen: string[] = [];
    const { driver } = setUp((event) => {
      seen.push(event);
      return event === 'a' ? { send: ['x', 'y'] } : {};
    }, { send: (effect) => driver.dispatch(`from ${effect}`) });
    driver.dispatch('a');
    driver.dispatch('b');
    await turn();
    expect(seen).toEqual(['a', 'b', 'from x', 'from y']);
    driver.stop();
  });

  it('catches up when asked, so that the state can be read', async () => {
    const seen: string[] = [];
    const { driver } = setUp((event) => {
      seen.push(event);
      return {};
    });
    driver.dispatch('a');
    expect(seen).toEqual([]);
    driver.catchUp();
    expect(seen).toEqual(['a']);
    driver.dispatch('b');
    await turn();
    expect(seen).toEqual(['a', 'b']);
    driver.stop();
  });

  it('decides together what came together', async () => {
    const { driver, done } = setUp((event) => ({ send: [event] }), { together: true });
    for (const event of ['a', 'b']) driver.dispatch(event);
    await turn();
    driver.dispatch('c');
    await turn();
    expect(done).toEqual(['send a+b', 'send c']);
    driver.stop();
  });
});

describe('a failed flush', () => {
  it('shows nothing of what waited for it, hands that over, and writes no more', async () => {
    let lost: readonly string[] = [];
    const { driver, disk, done } = setUp((event) => (event === 'failed' ? { after: ['refused'] } : all(event)), {
      commitFailed: (_error, effects) => {
        lost = effects;
        return 'failed';
      },
    });
    driver.dispatch('a');
    await turn();
    driver.dispatch('b');
    await turn();
    await disk.finish(new Error('full'));
    expect(lost).toEqual(['a', 'b']);
    expect(done).toEqual(['send a', 'send b', 'release refused']);
    driver.dispatch('c');
    await turn();
    expect(disk.flushes).toHaveLength(1);
    driver.stop();
  });

  it('is decided before what had come in the same turn, so that nothing is shown as if it were recorded', async () => {
    const seen: string[] = [];
    const { driver, disk } = setUp((event) => {
      seen.push(event);
      return all(event);
    }, { commitFailed: () => 'failed' });
    driver.dispatch('a');
    await turn();
    const finished = disk.finish(new Error('full'));
    driver.dispatch('b');
    await finished;
    expect(seen).toEqual(['a', 'failed', 'b']);
    driver.stop();
  });

  it('does not show what was decided after it by a decider that journals on', async () => {
    const { driver, disk, done } = setUp((event) => (event === 'failed' ? {} : all(event)), { commitFailed: () => 'failed' });
    driver.dispatch('a');
    await turn();
    await disk.finish(new Error('full'));
    expect(done.filter((line) => line.startsWith('release'))).toEqual([]);
    driver.stop();
  });
});

describe('the timer', () => {
  it('rings when the decider wants it, and not before', async () => {
    let at = 0;
    const started = performance.now();
    const { driver } = setUp((event) => {
      if (event === 'tick') at = performance.now();
      return { wakeAt: event === 'tick' ? undefined : 40 };
    }, { clock: new TickClock(1_000, 0) });
    driver.dispatch('a');
    await until(() => at > 0);
    expect(at - started).toBeGreaterThanOrEqual(38);
    driver.stop();
  });

  it('is one: an earlier wish replaces a later one', async () => {
    let ticks = 0;
    const wishes = [1_000_000, 10];
    const { driver } = setUp((event) => {
      if (event === 'tick') ticks += 1;
      return { wakeAt: event === 'tick' ? undefined : wishes.shift() };
    });
    driver.dispatch('a');
    await turn();
    driver.dispatch('b');
    await until(() => ticks > 0);
    expect(ticks).toBe(1);
    driver.stop();
  });

  it('does not ring after the stop', async () => {
    let ticks = 0;
    const { driver } = setUp((event) => {
      if (event === 'tick') ticks += 1;
      return { wakeAt: 1 };
    });
    driver.dispatch('a');
    await turn();
    driver.stop();
    ticks = 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ticks).toBe(0);
  });
});

describe('a decider that throws', () => {
  it('is reported and decides no more', async () => {
    const { driver, done } = setUp((event) => {
      if (event === 'bad') throw new Error('a bug');
      return { send: [event] };
    });
    driver.dispatch('bad');
    driver.dispatch('a');
    await turn();
    driver.dispatch('b');
    await turn();
    expect(done).toEqual(['broken Error: a bug']);
  });
});
