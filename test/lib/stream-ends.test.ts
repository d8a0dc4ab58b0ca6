import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sourceOf, StreamEnds, type Piece } from '../../src/lib/stream-ends.ts';

const options = { headBytes: 10, tailBytes: 8, windowBytes: 20 };
const whole = fc.uint8Array({ maxLength: 150 });
const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 30 });

const endsOf = (stream: Uint8Array) => {
  const head = stream.slice(0, options.headBytes);
  const tail = stream.slice(Math.max(head.length, stream.length - options.tailBytes));
  return { head, tail, dropped: stream.length - head.length - tail.length };
};

function inPieces(stream: Uint8Array, sizes: readonly number[]): Piece[] {
  const pieces: Piece[] = [];
  let offset = 0;
  for (const size of [...sizes, stream.length]) {
    pieces.push({ offset, data: stream.subarray(offset, offset + size) });
    offset = Math.min(stream.length, offset + size);
  }
  return pieces;
}

describe('the ends of a stream', () => {
  it('do not depend on how it was cut', () => {
    fc.assert(
      fc.property(whole, cuts, (stream, sizes) => {
        const ends = new StreamEnds(options);
        for (const { data } of inPieces(stream, sizes)) ends.add(data);
        expect(ends.kept()).toEqual(endsOf(stream));
        expect(ends.size).toBe(stream.length);
      }),
    );
  });

  it('are the same when any of it comes again, at any time', () => {
    fc.assert(
      fc.property(whole, cuts, fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat())), (stream, sizes, repeats) => {
        const ends = new StreamEnds(options);
        for (const [at, { offset, data }] of inPieces(stream, sizes).entries()) {
          ends.add(data, offset);
          for (const [when, from, size] of repeats) {
            const start = from % (ends.size + 1);
            if (when % (sizes.length + 1) === at) ends.add(stream.subarray(start, Math.min(ends.size, start + size)), start);
          }
        }
        expect(ends.kept()).toEqual(endsOf(stream));
      }),
    );
  });

  it('come out whole at the end of a chain that skips, is cut and says all of it again', () => {
    fc.assert(
      fc.property(whole, cuts, fc.infiniteStream(fc.constantFrom('take', 'skip', 'again', 'lost')), (stream, sizes, fates) => {
        const near = new StreamEnds(options);
        let far = new StreamEnds(options);
        let cursor = 0;
        const tell = () => {
          for (const { offset, data } of near.from(cursor)) {
            far.add(data, offset);
            cursor = offset + data.length;
          }
        };
        for (const { offset, data } of inPieces(stream, sizes)) {
          near.add(data, offset);
          const fate = fates.next().value;
          if (fate === 'lost') far = new StreamEnds(options);
          if (fate === 'lost' || fate === 'again') cursor = 0;
          if (fate !== 'skip') tell();
        }
        tell();
        expect(far.kept()).toEqual(endsOf(stream));
      }),
    );
  });

  it('keep and count every byte though pieces are missing, and join nothing over a gap', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 40 })), { maxLength: 30 }), (parts) => {
        const ends = new StreamEnds(options);
        let size = 0;
        let gap = 0;
        let firstGap = Infinity;
        for (const [missing, length] of parts) {
          if (!missing && length > 0) ends.add(Uint8Array.from({ length }, (_, at) => size + at), size);
          if (missing && length > 0) gap = size + length;
          if (missing && length > 0) firstGap = Math.min(firstGap, size);
          size += length;
        }
        const { head, tail, dropped } = ends.kept();
        expect(head.length + dropped + tail.length).toBe(ends.size);
        expect([...head]).toEqual(Array.from({ length: head.length }, (_, at) => at % 256));
        expect(head.length).toBeLessThanOrEqual(firstGap);
        expect([...tail]).toEqual(Array.from({ length: tail.length }, (_, at) => (ends.size - tail.length + at) % 256));
        if (gap < ends.size) expect(ends.size - tail.length).toBeGreaterThanOrEqual(Math.min(gap, ends.size));
      }),
    );
  });

  it('serve a reader from any place on, with the place of what they serve', () => {
    fc.assert(
      fc.property(whole, cuts, fc.nat({ max: 160 }), (stream, sizes, from) => {
        const ends = new StreamEnds(options);
        for (const { data } of inPieces(stream, sizes)) ends.add(data);
        const offset = Math.min(from, stream.length);
        const places = (pieces: Piece[]) => pieces.flatMap(({ offset: at, data }) => [...data].map((byte, n) => [at + n, byte]));
        const served = places(ends.from(offset));
        expect(served).toEqual(served.map(([at]) => [at, stream[at!]]));
        const must = [...stream.keys()].filter((at) => at >= offset && (at < options.headBytes || at >= stream.length - options.windowBytes));
        expect(served.map(([at]) => at)).toEqual(expect.arrayContaining(must));
        ends.trim();
        expect(places(ends.from(offset))).toEqual(places(sourceOf(ends.kept()).from(offset)));
        expect(ends.kept()).toEqual(endsOf(stream));
      }),
    );
  });

  it('take memory of their own, and little of it', () => {
    const small = new StreamEnds({ headBytes: 65_536, tailBytes: 65_536, windowBytes: 524_288 });
    small.add(Buffer.from('hello\n'));
    expect(small.weight).toBeLessThanOrEqual(256);
    for (let n = 0; n < 100; n++) small.add(new Uint8Array(100_000));
    expect(small.weight).toBeLessThanOrEqual(65_536 + 1.5 * 524_288);
    small.trim();
    expect(small.weight).toBe(2 * 65_536);
  });

  it('hand out copies', () => {
    const ends = new StreamEnds(options);
    ends.add(Buffer.from('x'.repeat(40)));
    const before = ends.from(0).map(({ data }) => Buffer.from(data).toString());
    const pieces = ends.from(0);
    ends.add(Buffer.from('y'.repeat(40)));
    expect(pieces.map(({ data }) => Buffer.from(data).toString())).toEqual(before);
  });
});
