/** Messages of one kind in one frame: what is left out as "the same" must come back as it was. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Decoder, FrameWriter, MalformedFrame } from '../../src/wire/framing.ts';
import type { Message } from '../../src/wire/messages.ts';
import { Writer } from '../../src/wire/msgpack.ts';
import { protocolVersion } from '../../src/wire/version.ts';

const hash = (digit: string) => digit.repeat(64);
const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const plain = (message: Message) => JSON.parse(JSON.stringify(message, (_, value) => (value instanceof Uint8Array ? [...value] : value)));

function roundTrip(messages: readonly Message[], cut = Infinity): Message[] {
  const writer = new FrameWriter();
  for (const message of messages) writer.add(message);
  const all = writer.take();
  const decoder = new Decoder();
  const got: Message[] = [];
  for (let at = 0; at < all.length; at += Math.min(cut, all.length)) decoder.push(all.subarray(at, at + cut), (message) => got.push(message));
  return got;
}

const submit = fc.record(
  {
    kind: fc.constant('submit' as const),
    id: fc.stringMatching(/^[a-z]{1,5}$/),
    program: fc.constantFrom(hash('a'), hash('b')),
    language: fc.constantFrom('python' as const, 'javascript' as const),
    function: fc.constantFrom('main', 'f'),
    args: fc.oneof(fc.constant(bytes('[]')), fc.uint8Array({ maxLength: 600 }), fc.constant({ hash: hash('c'), size: 70_000 })),
    kwargs: fc.constant(bytes('{}')),
    options: fc.constantFrom({}, { once: true }, { timeoutMs: 5 }),
    follow: fc.boolean(),
  },
  { requiredKeys: ['kind', 'id', 'program', 'language', 'function', 'args', 'options'] },
);
const other = fc.record({ kind: fc.constant('cancel' as const), id: fc.stringMatching(/^[a-z]{1,5}$/) });

describe('rows', () => {
  test('come back as they were, however they are mixed and cut', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 5, arbitrary: submit }, other), { maxLength: 40 }), fc.constantFrom(1, 7, 1000, Infinity), (messages, cut) => {
        expect(roundTrip(messages as Message[], cut).map(plain)).toEqual((messages as Message[]).map(plain));
      }),
      { numRuns: 200 },
    );
  });

  test('that stand for much are put into as many frames as it takes, and all come', () => {
    const message: Message = { kind: 'output', id: 't', attempt: 1, peer: 'p', stream: 'stdout', data: new Uint8Array(20_000) };
    const writer = new FrameWriter();
    for (let at = 0; at < 1_000; at += 1) writer.add(message);
    const all = writer.take();
    let count = 0;
    new Decoder().push(all, () => (count += 1));
    expect(count).toBe(1_000);
    expect(all.length).toBeLessThan(1_000 * 20_000 * 0.1);
  });

  test('make a burst of alike messages small: a name of a field travels once', () => {
    const writer = new FrameWriter();
    for (let i = 0; i < 1000; i += 1) writer.add({ kind: 'submit', id: `t${i}`, program: hash('a'), language: 'python', function: 'main', args: bytes('[1]'), options: {} });
    expect(writer.length / 1000).toBeLessThan(25);
  });

  test('of large values are cut into frames within the limit', () => {
    const messages: Message[] = Array.from({ length: 20 }, (_, i) => ({ kind: 'submit', id: `t${i}`, program: hash('a'), language: 'python', function: 'main', args: new Uint8Array(60_000).fill(i), options: {} }));
    expect(roundTrip(messages)).toHaveLength(20);
  });

  test.each([
    ['no rows', [protocolVersion, 'cancel', ['id'], 0]],
    ['more rows than a frame may have', [protocolVersion, 'cancel', ['id'], 1_000_000]],
    ['rows without fields', [protocolVersion, 'cancel', [], 4_000_000_000]],
    ['a name twice', [protocolVersion, 'cancel', ['id', 'id'], 1, 'a', 'a']],
    ['a name that reaches prototypes', [protocolVersion, 'cancel', ['constructor'], 1, 'a']],
    ['a row that lacks what it must have', [protocolVersion, 'cancel', ['x'], 1, 'a']],
    ['a later row of the wrong shape', [protocolVersion, 'cancel', ['id'], 2, 'a', 7]],
    ['fewer values than promised', [protocolVersion, 'cancel', ['id'], 2, 'a']],
    ['more values than promised', [protocolVersion, 'cancel', ['id'], 1, 'a', 'b']],
  ])('are refused: %s', (_, parts) => {
    const writer = new Writer();
    writer.byte(0x94);
    for (const part of parts) writer.value(part);
    const body = writer.take();
    const frame = Buffer.alloc(4 + body.length);
    frame.writeUInt32BE(body.length);
    body.copy(frame, 4);
    expect(() => new Decoder().push(frame, () => undefined)).toThrow(MalformedFrame);
  });
});
