import { describe, expect, test } from 'vitest';
import { FRAME_BYTES_MAX, FrameError, FrameReader } from '../../src/sandbox/frames.ts';
import type { GuestFrame } from '../../src/sandbox/frames.ts';
import { OutputStream } from '../../src/sandbox/output.ts';
import { HeldPrograms } from '../../src/sandbox/programs.ts';

function answer(job: number, body: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(26);
  head.writeUInt32BE(22 + body.length, 0);
  head.write('R', 4);
  head.writeUInt32BE(job, 5);
  head.writeBigUInt64BE(5_000_000_000n, 9);
  head.writeBigUInt64BE(77n, 17);
  head[25] = flags;
  return Buffer.concat([head, body]);
}

function failed(text: string): Buffer {
  const frame = answer(1, Buffer.from(text));
  frame.write('F', 4);
  return frame;
}

describe('frames', () => {
  test.each([1, 2, 3, 7, 100, 70_000])('arrive whole in pieces of %i bytes', (size) => {
    const bodies = [Buffer.from('1'), Buffer.alloc(0), Buffer.alloc(size < 7 ? 20_000 : 200_000, 'x'), Buffer.from('"last"')];
    const all = Buffer.concat(bodies.map((body, index) => answer(index + 1, body, index)));
    const seen: GuestFrame[] = [];
    const reader = new FrameReader((frame) => seen.push(frame));
    for (let at = 0; at < all.length; at += size) reader.push(all.subarray(at, at + size));
    expect(seen).toEqual(
      bodies.map((body, index) => ({
        kind: 'result',
        job: index + 1,
        runUs: 5_000_000_000,
        drainedNs: 77n,
        marked: { stdout: (index & 1) !== 0, stderr: (index & 2) !== 0 },
        leftovers: false,
        result: body,
      })),
    );
  });

  test('that are too long, empty, cut short or of no kind are errors', () => {
    const tooLong = Buffer.alloc(4);
    tooLong.writeUInt32BE(FRAME_BYTES_MAX + 1, 0);
    for (const bytes of [tooLong, Buffer.alloc(4), Buffer.from([0, 0, 0, 2, 0x52, 1]), Buffer.from([0, 0, 0, 2, 0x7a, 1]), failed('{'), failed('[]'), failed('{"code":"odd","type":"a","message":"b"}')]) {
      expect(() => new FrameReader(() => undefined).push(bytes)).toThrow(FrameError);
    }
  });
});

describe('one stream of output', () => {
  const mark = Buffer.from('\0mark-of-sixteen-and-more', 'latin1');

  function stream(current: { job: number; outstanding: number }): { out: OutputStream; seen: [number, string][]; marks: number[] } {
    const seen: [number, string][] = [];
    const marks: number[] = [];
    let now = 0n;
    const out = new OutputStream({
      mark,
      current: () => current,
      emit: (job, data) => seen.push([job, Buffer.from(data).toString()]),
      onMark: (job) => marks.push(job),
      monotonicNs: () => (now += 1_000_000n),
    });
    return { out, seen, marks };
  }

  test.each([1, 2, 5, 1000])('a mark in pieces of %i bytes never shows', (size) => {
    const current = { job: 3, outstanding: 1 };
    const { out, seen, marks } = stream(current);
    const text = Buffer.concat([Buffer.from('a\0b\0mark-of-six'), mark, Buffer.from('00000003'), Buffer.from('late')]);
    for (let at = 0; at < text.length; at += size) out.push(text.subarray(at, at + size));
    expect(marks).toEqual([3]);
    expect(out.marked).toBe(3);
    expect(seen.map(([, each]) => each).join('')).toBe('a\0b\0mark-of-sixlate');
  });

  test('what looks like the beginning of a mark is passed on when the job ends', () => {
    const { out, seen } = stream({ job: 3, outstanding: 1 });
    out.push(Buffer.from('text\0mark'));
    expect(seen).toEqual([[3, 'text']]);
    out.releaseAll(3);
    expect(seen).toEqual([[3, 'text'], [3, '\0mark']]);
  });

  test('bytes before a mark are not the next job’s, and bytes behind it are', () => {
    const current = { job: 3, outstanding: 3 };
    const { out, seen } = stream(current);
    out.push(Buffer.concat([Buffer.from('three'), mark, Buffer.from('00000003four'), mark, Buffer.from('00000004'), Buffer.from('five')]));
    out.release(3, 0n, true);
    out.release(4, 0n, true);
    out.release(5, 10_000_000n, false);
    expect(seen).toEqual([[3, 'three'], [4, 'four'], [5, 'five']]);
  });

  test('without a mark, what was read before the guest found the stream drained is that job’s', () => {
    const { out, seen } = stream({ job: 3, outstanding: 2 });
    out.push(Buffer.from('early'));
    out.push(Buffer.from('late'));
    out.release(3, 1_500_000n, false);
    expect(seen).toEqual([[3, 'early']]);
    out.release(4, 3_000_000n, false);
    expect(seen).toEqual([[3, 'early'], [4, 'late']]);
  });
});

function job(hash: string, bytes = 10): Parameters<HeldPrograms['framesFor']>[0] {
  return { job: 1, programHash: hash, source: new Uint8Array(bytes), function: 'main', args: new Uint8Array(), kwargs: null };
}

test('a program is sent once, and again only after the guest was told to forget it', () => {
  const held = new HeldPrograms();
  expect(held.framesFor(job('a'))).toHaveLength(1);
  expect(held.framesFor(job('a'))).toHaveLength(0);
  for (let i = 0; i < 63; i++) expect(held.framesFor(job(`b${i}`))).toHaveLength(1);
  expect(held.framesFor(job('a'))).toHaveLength(0);
  const [drop] = held.framesFor(job('one more'));
  expect(Buffer.from(drop ?? []).toString('latin1')).toContain('Db0');
  expect(held.framesFor(job('large', 17 * 1024 * 1024)).length).toBeGreaterThan(60);
});
