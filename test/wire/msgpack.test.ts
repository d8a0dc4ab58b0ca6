import fc from 'fast-check';
import { Packr, Unpackr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { MalformedData, Reader, Writer } from '../../src/wire/msgpack.ts';

const write = (value: unknown): Buffer => {
  const writer = new Writer();
  writer.value(value);
  return writer.take();
};
const read = (bytes: Buffer): unknown => new Reader().read(bytes, 0, bytes.length);
const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])]);
const readHex = (hex: string): unknown => read(Buffer.from(hex, 'hex'));

/** Plain data as it occurs in messages. */
const anyData = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, true, false, 0, -1, -32, -33, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32, -(2 ** 31), -(2 ** 31) - 1, 2 ** 53),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).map((number) => (number === 0 ? 0 : number)),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ maxLength: 400 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Uint8Array.from(bytes)),
  ),
  data: fc.oneof(
    { depthSize: 'small' },
    tie('leaf'),
    fc.array(tie('data'), { maxLength: 40 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 60 }).filter((key) => !['__proto__', 'constructor', 'prototype'].includes(key)), tie('data'), {
      maxKeys: 20,
      noNullPrototype: true,
    }),
  ),
})).data;

describe('MessagePack', () => {
  it('gives back what was written', () => {
    fc.assert(
      fc.property(anyData, (data) => {
        expect(read(write(data))).toEqual(data);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is understood by another implementation, and understands it', () => {
    const packr = new Packr({ useRecords: false, variableMapSize: true });
    const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });
    fc.assert(
      fc.property(anyData, (data) => {
        expect(normal(unpackr.unpack(write(data)))).toEqual(data);
        expect(read(Buffer.from(packr.pack(data)))).toEqual(data);
      }),
      { numRuns: 1_000 },
    );
  });

  it('leaves out what is undefined', () => {
    expect(read(write({ a: 1, b: undefined }))).toEqual({ a: 1 });
  });

  it('refuses to write what is no data', () => {
    for (const value of [10n, () => 1, Symbol('s'), undefined]) expect(() => write(value)).toThrow(TypeError);
  });

  it('hands out bytes that share no memory with what was read', () => {
    const bytes = write([new Uint8Array(100).fill(7), new Uint8Array(3).fill(7)]);
    const [large, small] = read(bytes) as [Uint8Array, Uint8Array];
    bytes.fill(0);
    expect([large.every((byte) => byte === 7), small.every((byte) => byte === 7)]).toEqual([true, true]);
    for (const value of [large, small]) expect([value.buffer === bytes.buffer, value.buffer.byteLength <= 8192]).toEqual([false, true]);
  });

  it.each([
    ['an extension type', 'd40000'],
    ['an extension of any length', 'c7010100'],
    ['a timestamp', 'd6ff00000000'],
    ['the byte that is never used', 'c1'],
    ['a key that is a number', '810101'],
    ['a key that is bytes', '81c4016101'],
    ['the key __proto__', `81a9${Buffer.from('__proto__').toString('hex')}80`],
    ['the key constructor', `81ab${Buffer.from('constructor').toString('hex')}80`],
    ['the key prototype', `81d909${Buffer.from('prototype').toString('hex')}80`],
    ['an integer that no double holds', 'cfffffffffffffffff'],
    ['an array of 4 billion in 5 bytes', 'ddffffffff'],
    ['a map of 4 billion in 5 bytes', 'dfffffffff'],
    ['bytes longer than what is there', 'c6ffffffff00'],
    ['a string longer than what is there', 'a561'],
    ['a number cut off', 'cb0000'],
    ['nothing', ''],
    ['more than one value', '0101'],
  ])('refuses %s', (_, hex) => {
    expect(() => readHex(hex)).toThrow(MalformedData);
  });

  it('refuses nesting beyond the limit, and takes what is at the limit', () => {
    expect(() => read(nested(limits.depthMax))).not.toThrow();
    expect(() => read(nested(limits.depthMax + 1))).toThrow(MalformedData);
    expect(() => read(nested(200_000))).toThrow(MalformedData);
  });
});

/** The other implementation gives Buffers for bytes. */
function normal(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normal(item)]));
  return value;
}
