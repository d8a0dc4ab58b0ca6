import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PotluckError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { wireCounters } from '../../src/wire/counters.ts';
import { Decoder, encode, encodeInto, MalformedFrame, OversizedMessage } from '../../src/wire/framing.ts';
import type { Message } from '../../src/wire/messages.ts';
import { Writer } from '../../src/wire/msgpack.ts';
import { protocolVersion } from '../../src/wire/version.ts';
import { examples } from './messages.ts';

const decode = (...chunks: Uint8Array[]): Message[] => {
  const got: Message[] = [];
  const decoder = new Decoder();
  for (const chunk of chunks) decoder.push(Buffer.from(chunk), (message) => got.push(message));
  return got;
};
const frame = (body: unknown): Buffer => {
  const writer = new Writer();
  writer.value(body);
  const bytes = writer.take();
  const header = Buffer.alloc(4);
  header.writeUInt32BE(bytes.length);
  return Buffer.concat([header, bytes]);
};
const stream = Buffer.concat(examples.map((message) => encode(message)));

describe('frames', () => {
  it('give back every message as it was', () => {
    expect(decode(stream)).toEqual(examples);
  });

  it('give back every message when they come one byte at a time', () => {
    expect(decode(...Array.from(stream, (byte) => Uint8Array.of(byte)))).toEqual(examples);
  });

  it('give back every message however they are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const chunks = edges.slice(1).map((end, i) => stream.subarray(edges[i], end));
        expect(decode(...chunks)).toEqual(examples);
      }),
      { numRuns: 500 },
    );
  });

  it('of any length are refused from their header alone', () => {
    for (const size of [limits.frameBytesMax + 1, 0xffffffff, 0]) {
      const header = Buffer.alloc(4);
      header.writeUInt32BE(size);
      expect(() => decode(header)).toThrow(MalformedFrame);
      expect(() => decode(header.subarray(0, 3), header.subarray(3))).toThrow(MalformedFrame);
    }
  });

  it('too large to send are refused by the sender, and leave nothing behind', () => {
    const writer = new Writer();
    encodeInto(writer, examples[1]!);
    const before = writer.length;
    const tooLarge: Message = { kind: 'output', id: 'a', attempt: 1, peer: 'p', stream: 'stdout', data: new Uint8Array(limits.frameBytesMax) };
    expect(() => encodeInto(writer, tooLarge)).toThrow(OversizedMessage);
    expect(writer.length).toBe(before);
    expect(decode(writer.take())).toEqual([examples[1]]);
  });

  it('of a kind that only a newer version knows are counted and skipped', () => {
    const before = wireCounters.unknownKinds;
    expect(decode(frame([protocolVersion + 1, 'teleport', { to: 'mars' }]), encode({ kind: 'ping', t: 1 }))).toEqual([{ kind: 'ping', t: 1 }]);
    expect(wireCounters.unknownKinds).toBe(before + 1);
  });

  it('lose fields that only a newer version knows', () => {
    expect(decode(frame([protocolVersion + 1, 'ping', { t: 1, mood: 'good' }]))).toEqual([{ kind: 'ping', t: 1 }]);
  });

  it.each([protocolVersion + 2, protocolVersion + 100, protocolVersion - 100])('of version %i name the gap and the side to update', (version) => {
    let thrown: unknown;
    try {
      decode(frame([version, 'ping', { t: 1 }]));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PotluckError);
    expect(thrown).toMatchObject({ code: 'version_gap', fix: version < protocolVersion ? 'update potluck on the other side' : 'update potluck on this side' });
  });

  it.each([
    ['no array', { kind: 'ping' }],
    ['too short an array', [protocolVersion, 'ping']],
    ['no version', ['1.0', 'ping', { t: 1 }]],
    ['a broken version', [1.5, 'ping', { t: 1 }]],
    ['no kind', [protocolVersion, 7, { t: 1 }]],
    ['an unknown kind of our own version', [protocolVersion, 'teleport', {}]],
    ['a kind from the prototype', [protocolVersion, 'constructor', {}]],
    ['no fields', [protocolVersion, 'ping', null]],
    ['a field missing', [protocolVersion, 'ping', {}]],
    ['a field of the wrong type', [protocolVersion, 'ping', { t: '1' }]],
    ['an id with a path in it', [protocolVersion, 'cancel', { id: '../../etc' }]],
    ['an unknown option', [protocolVersion, 'submit', { ...examples[5], options: { sudo: true } }]],
  ])('that hold %s are refused', (_, body) => {
    expect(() => decode(frame(body))).toThrow(MalformedFrame);
  });

  it('survive any damage: a message of the right shape, or MalformedFrame or version_gap', () => {
    const mutation = fc.record({ at: fc.nat(stream.length - 1), byte: fc.nat(255), how: fc.constantFrom('set', 'insert', 'remove') });
    fc.assert(
      fc.property(fc.nat(examples.length - 1), fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.boolean(), (which, mutations, keepLength) => {
        let bytes = [...encode(examples[which]!)];
        for (const { at, byte, how } of mutations) {
          const place = 4 + (at % (bytes.length - 4));
          if (how === 'set') bytes[place] = byte;
          else if (how === 'insert') bytes.splice(place, 0, byte);
          else if (bytes.length > 6) bytes.splice(place, 1);
        }
        if (!keepLength) bytes = [0, 0, (bytes.length - 4) >> 8, (bytes.length - 4) & 0xff, ...bytes.slice(4)];
        try {
          for (const message of decode(Buffer.from(bytes))) encode(message);
        } catch (error) {
          if (!(error instanceof MalformedFrame) && !(error instanceof PotluckError && error.code === 'version_gap')) throw error;
        }
      }),
      { numRuns: 20_000 },
    );
  });

  it('of pure noise are refused or skipped', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (noise) => {
        const header = Buffer.alloc(4);
        header.writeUInt32BE(noise.length);
        expect(() => decode(header, noise)).toThrow();
      }),
      { numRuns: 2_000 },
    );
  });
});
