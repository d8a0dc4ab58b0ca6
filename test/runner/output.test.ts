/** What a runner tells of the output of its attempts, and when. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamEnds } from '../../src/lib/stream-ends.ts';
import { limits } from '../../src/limits.ts';
import type { RunnerEvent, RunnerSend } from '../../src/runner/runner-events.ts';
import { RunnerState } from '../../src/runner/runner-state.ts';
import type { Message, MessageOf } from '../../src/wire/messages.ts';

const home = 'k/home';
const ends = { headBytes: limits.outputHeadBytes, tailBytes: limits.outputTailBytes, windowBytes: limits.outputTailBytes };
const ref = { id: 'a', attempt: 1, key: '0'.repeat(16) };
const offered: MessageOf<'attempt'> = { kind: 'attempt', ...ref, program: '0'.repeat(64), language: 'python', function: 'main', args: Buffer.from('[]'), submitter: 's' };

/** A runner with one attempt under way, and what a home that merges by offset has of it. */
class Running {
  readonly runner = new RunnerState({ peer: 'r', slots: 1, languages: ['python'], memoryMb: 1000, aheadInPipe: () => 1, acceptance: { key: 's', accept: 'members', trustMembers: false, level: 2, confirmedAgoMs: 0 } });
  ms = 1_000;
  merged = { stdout: new StreamEnds(ends), stderr: new StreamEnds(ends) };
  told: Message[] = [];
  wakeAt: number | undefined;
  #worker = '';

  constructor({ ready = true } = {}) {
    const sent = this.tell({ type: 'home_linked', home }, { type: 'attempt_offered', home, origin: { homeKey: 's', homeRole: 'member', submitter: 's', submitterRole: 'member' }, attempt: offered, ready: true });
    const spawn = sent.find((effect) => effect.to === 'spawn');
    this.#worker = spawn?.worker ?? '';
    if (ready) this.tell({ type: 'worker_ready', worker: this.#worker, pid: 1 });
    this.told = [];
  }

  tell(...events: RunnerEvent[]): RunnerSend[] {
    const { send, wakeAt } = this.runner.decideAll(events, { ms: this.ms, wall: this.ms });
    this.wakeAt = wakeAt;
    for (const effect of send) {
      if (effect.to !== 'home') continue;
      this.told.push(effect.message);
      if (effect.message.kind === 'attempt_output') this.merged[effect.message.stream].add(effect.message.data, effect.message.offset);
    }
    return send;
  }

  print(data: Uint8Array | string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    this.tell({ type: 'worker_output', worker: this.#worker, job: 1, stream, data: Buffer.from(data as string) });
  }

  answer(): void {
    this.tell({ type: 'worker_answered', worker: this.#worker, job: 1, runUs: 1, result: Buffer.from('1'), resultBytes: 1, leftovers: false });
  }

  pass(ms: number): void {
    this.ms += ms;
    this.tell({ type: 'tick' });
  }

  get outputs(): MessageOf<'attempt_output'>[] {
    return this.told.filter((message) => message.kind === 'attempt_output');
  }

  get bytesTold(): number {
    return this.outputs.reduce((sum, { data }) => sum + data.length, 0);
  }

  text(stream: 'stdout' | 'stderr' = 'stdout'): string {
    const { head, tail } = this.merged[stream].kept();
    return Buffer.concat([head, tail]).toString();
  }
}

describe('output on its way to the home', () => {
  it('goes at once when little is printed, and in one message for many prints of a moment', () => {
    const running = new Running();
    running.print('one\n');
    expect(running.outputs.map(({ offset, data }) => [offset, Buffer.from(data).toString()])).toEqual([[0, 'one\n']]);
    for (let n = 0; n < 1_000; n++) running.print('more\n');
    expect(running.outputs).toHaveLength(1);
    expect(running.wakeAt).toBeLessThanOrEqual(running.ms + 10);
    running.pass(10);
    expect(running.outputs).toHaveLength(2);
    expect(running.outputs[1]).toMatchObject({ offset: 4, stream: 'stdout' });
    expect(running.merged.stdout.size).toBe(4 + 5_000);
  });

  it('is all told before the end, both streams', () => {
    const running = new Running();
    for (let n = 0; n < 100; n++) running.print(`${n}\n`, n % 2 === 0 ? 'stdout' : 'stderr');
    running.answer();
    expect(running.told.at(-1)).toMatchObject({ kind: 'attempt_ended' });
    const lines = (odd: number) => Array.from({ length: 50 }, (_, at) => `${2 * at + odd}\n`).join('');
    expect([running.text(), running.text('stderr')]).toEqual([lines(0), lines(1)]);
  });

  it('of an interpreter that is not up yet is nobody\'s', () => {
    const running = new Running({ ready: false });
    running.print('a warning\n');
    running.pass(20);
    expect(running.outputs).toEqual([]);
  });

  it('printed while the home is away is told when it is back, all of it, before the end', () => {
    const running = new Running();
    running.print('before\n');
    running.tell({ type: 'home_unlinked', home });
    running.print('meanwhile\n');
    running.answer();
    running.merged.stdout = new StreamEnds(ends);
    running.told = [];
    running.tell({ type: 'home_linked', home });
    expect(running.text()).toBe('before\nmeanwhile\n');
    expect(running.told.map(({ kind }) => kind).filter((kind) => kind !== 'runner_load')).toEqual(['attempt_output', 'attempt_ended']);
  });

  it('of an attempt that ended is kept until the home says that it is stored', () => {
    const running = new Running();
    running.print('words\n');
    running.answer();
    for (const stored of [false, true]) {
      if (stored) running.tell({ type: 'stored_told', home, refs: [ref] });
      running.tell({ type: 'home_unlinked', home });
      running.told = [];
      running.tell({ type: 'home_linked', home });
      expect(running.bytesTold).toBe(stored ? 0 : 6);
    }
  });

  it('of a large print passes whole, of a flood at the rate, with the count of what was left out', () => {
    const running = new Running();
    running.print('x'.repeat(500_000));
    expect(running.bytesTold).toBe(500_000);
    for (let ms = 0; ms < 1_000; ms++) {
      running.print('y'.repeat(100_000));
      running.pass(1);
    }
    expect(running.bytesTold).toBeLessThan(10 * 1024 * 1024);
    running.print('the end');
    running.answer();
    const { head, tail, dropped } = running.merged.stdout.kept();
    expect([head.length, tail.length]).toEqual([limits.outputHeadBytes, limits.outputTailBytes]);
    expect(Buffer.from(tail).toString().endsWith('ythe end')).toBe(true);
    expect(head.length + dropped + tail.length).toBe(500_000 + 100_000_000 + 7);
  });

  it('waits while the link holds too much, and so does the end', () => {
    const running = new Running();
    running.tell({ type: 'home_full', home });
    for (let n = 0; n < 100; n++) running.print('z'.repeat(60_000));
    running.answer();
    expect(running.told).toEqual([]);
    expect(running.wakeAt).toBeGreaterThan(running.ms + 100);
    running.tell({ type: 'home_drained', home });
    expect(running.told.at(-1)).toMatchObject({ kind: 'attempt_ended' });
    expect(running.bytesTold).toBe(limits.outputHeadBytes + limits.outputTailBytes);
    expect(running.merged.stdout.size).toBe(6_000_000);
  });

  it('is whole at its ends whatever happens to the link', () => {
    const sizes = fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: 400_000 }));
    const steps = fc.array(fc.oneof(sizes, fc.constantFrom('home_unlinked', 'home_linked', 'restarted', 'home_full', 'home_drained', 'tick')), { maxLength: 40 });
    fc.assert(
      fc.property(steps, (all) => {
        const running = new Running();
        const whole = new StreamEnds(ends);
        for (const step of all) {
          if (typeof step === 'number') {
            const data = Uint8Array.from({ length: step }, (_, at) => (whole.size + at) % 251);
            whole.add(data);
            running.print(data);
          } else if (step === 'tick') running.pass(7);
          else if (step === 'restarted') {
            running.tell({ type: 'home_unlinked', home });
            running.merged.stdout = new StreamEnds(ends);
            running.tell({ type: 'home_linked', home });
          } else running.tell({ type: step, home });
        }
        running.answer();
        running.tell({ type: 'home_unlinked', home }, { type: 'home_linked', home });
        expect(running.told.at(-1)).toMatchObject({ kind: 'attempt_ended' });
        const [told, printed] = [running.merged.stdout.kept(), whole.kept()];
        expect(told.dropped).toBe(printed.dropped);
        expect(Buffer.compare(told.head, printed.head) + Buffer.compare(told.tail, printed.tail)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
