import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Following } from '../../src/cli/following.ts';
import type { ClientFlags } from '../../src/cli/context.ts';
import { fakeTerminal } from './fake-stream.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function follow({ columns, flags = {}, mark = true }: { columns?: number; flags?: ClientFlags; mark?: boolean } = {}) {
  const { terminal, err } = fakeTerminal(columns);
  const following = new Following({ terminal, flags, args: [], config: () => expect.fail('no settings are needed') }, { mark });
  following.start();
  const print = (data: string | Uint8Array, peer = 'p1', stream: 'stdout' | 'stderr' = 'stdout', dropped = 0) => following.onOutput({ id: 'a', peer, attempt: 1, stream, offset: 0, dropped, data: Buffer.from(data as string) });
  const state = (waitingFor?: string) => following.onState({ id: 'a', state: waitingFor === undefined ? 'running' : 'queued', attempt: 1, peer: 'p1', ...(waitingFor !== undefined && { waitingFor }) });
  return { following, err, print, state };
}

describe('what a task prints', () => {
  it('is marked line by line, also when lines come in pieces', () => {
    const { err, print, following } = follow();
    print('one\ntw');
    print('o\n');
    print('three');
    following.stop();
    expect(err.text).toBe('[p1] one\n[p1] two\n[p1] three\n');
  });

  it('never shares a line with another stream or peer', () => {
    const { err, print } = follow();
    print('a');
    print('b', 'p2');
    print('c\n', 'p2', 'stderr');
    expect(err.text).toBe('[p1] a\n[p2] b\n[p2] c\n');
  });

  it('of a later attempt says so: it begins again', () => {
    const { err, following } = follow();
    for (const attempt of [1, 2]) following.onOutput({ id: 'a', peer: 'p1', attempt, stream: 'stdout', offset: 0, dropped: 0, data: Buffer.from('one\n') });
    expect(err.text).toBe('[p1] one\n[p1, attempt 2] one\n');
  });

  it('that was dropped is told on a line of its own', () => {
    for (const mark of [true, false]) {
      const { err, print } = follow({ mark });
      print('half a li');
      print('ne\n', 'p1', 'stdout', 4096);
      print('', 'p1', 'stdout', 5);
      expect(err.text.replaceAll('[p1] ', '')).toBe('half a li\n… 4096 bytes dropped …\nne\n… 5 bytes dropped …\n');
    }
  });

  it('goes into a pipe byte for byte, and unmarked if so asked', () => {
    const bytes = Buffer.from([0xff, 0x1b, 0x5b, 0x0a, 0xc3]);
    const { print, following, err } = follow({ mark: false });
    print(bytes);
    following.stop();
    expect(err.text).toBe(bytes.toString());
  });

  it('leaves a terminal at the start of a line, also unmarked: the result is not its continuation', () => {
    const { print, following, err } = follow({ columns: 80, mark: false });
    print('5');
    following.stop();
    expect(err.text).toBe('5\n');
  });

  it('cannot control a terminal, even with a code cut in two, and characters cut in two are whole', () => {
    const { err, print } = follow({ columns: 80 });
    print('a\u001b[3');
    print('1mb');
    print(Buffer.from('é').subarray(0, 1));
    print(Buffer.concat([Buffer.from('é').subarray(1), Buffer.from('\n')]));
    expect(err.text).toBe('[p1] abé\n');
  });
});

describe('the reason of the wait', () => {
  it('is not shown within the first second, then once for every change in a pipe', () => {
    const { err, state, following } = follow();
    state('no slot is free');
    vi.advanceTimersByTime(900);
    expect(err.text).toBe('');
    vi.advanceTimersByTime(5_000);
    state('no slot is free');
    state();
    following.stop();
    expect(err.text).toBe('waiting: no slot is free\nrunning on p1\n');
  });

  it('is painted over on a terminal, within its width, and gone at the end', () => {
    const { err, state, following } = follow({ columns: 40 });
    state(`no slot is free${' and so on'.repeat(10)}`);
    vi.advanceTimersByTime(3_000);
    following.stop();
    const painted = err.text.split('\r').filter((line) => line.trim() !== '');
    expect(painted.length).toBeGreaterThan(1);
    for (const line of painted) expect(line.length).toBeLessThan(40);
    expect(err.text).not.toContain('\n');
    expect(err.text.endsWith('\r')).toBe(true);
    expect(err.text).not.toContain('\u001b');
  });

  it('leaves a line that the task has begun alone', () => {
    const { err, print, state } = follow({ columns: 80 });
    print('working... ');
    state();
    vi.advanceTimersByTime(3_000);
    expect(err.text).toBe('[p1] working... ');
  });

  it('is not shown with --quiet or --no-progress', () => {
    for (const flags of [{ quiet: true }, { progress: false }]) {
      const { err, state } = follow({ flags });
      state('no slot is free');
      vi.advanceTimersByTime(3_000);
      expect(err.text).toBe('');
    }
  });

  it('tells at once that the link was lost, and what is waited for when it is back', () => {
    const { err, state, following } = follow();
    state();
    following.onLink({ up: false, why: 'the peer closed the link' });
    following.onLink({ up: true });
    following.stop();
    expect(err.text).toBe('the link to the peer was lost (the peer closed the link); reconnecting, what it accepted goes on\nrunning on p1\n');
  });
});
