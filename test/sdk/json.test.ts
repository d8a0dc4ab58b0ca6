import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkJson, parseExact, writeExact } from '../../src/sdk/json.ts';

/** JSON values with whole numbers of any size. */
const exactValue = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, tie('leaf'), fc.array(tie('value')), fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), tie('value'))),
  leaf: fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.constant(null),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((number) => !Object.is(number, -0) && !(Number.isInteger(number) && !Number.isSafeInteger(number) && Math.abs(number) < 1e21)),
    fc.bigInt().filter((number) => number > 2n ** 53n || number < -(2n ** 53n)),
  ),
})).value;

describe('exact JSON', () => {
  it('comes back as it was written, whole numbers of any size included', () => {
    fc.assert(fc.property(exactValue, (value) => {
        expect(parseExact(writeExact(value, 'value'))).toEqual(value);
      }), { numRuns: 1000 });
  });

  it('agrees with JSON.parse wherever no number is large, also on the slow path', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        fc.pre(!/\d{16}/.test(text));
        expect((parseExact(`[9007199254740993, ${text}]`) as unknown[])[1]).toEqual(JSON.parse(text));
      }),
    );
    expect(parseExact('{"a\\"\\\\": ["\\\\", "1234567890123456"], "b": -0.12345678901234567e-3, "c": {}}')).toEqual({ 'a"\\': ['\\', '1234567890123456'], b: -0.12345678901234567e-3, c: {} });
  });

  it('refuses what JSON.parse refuses', () => {
    for (const text of ['', '1 2', '[12345678901234567890,]', '{"a":12345678901234567890', '01234567890123456789', 'NaN']) expect(() => parseExact(text)).toThrow(SyntaxError);
  });

  it('turns whole numbers into bigint only where a double would lose digits', () => {
    expect(parseExact('[9007199254740991, 9007199254740992, -9007199254740993, 1e400, 1152921504606846976.0]')).toEqual([9007199254740991, 9007199254740992n, -9007199254740993n, Infinity, 1152921504606846976]);
    const factorial = Array.from({ length: 1000 }, (_, index) => BigInt(index + 1)).reduce((product, factor) => product * factor, 1n);
    expect(parseExact(String(factorial))).toBe(factorial);
  });

  it('sets no prototype from data', () => {
    const value = parseExact('{"__proto__": {"x": 12345678901234567890}}') as { x?: unknown };
    expect(value.x).toBeUndefined();
    expect(Object.hasOwn(value, '__proto__')).toBe(true);
  });

  it('survives deep nesting', () => {
    const depth = 100_000;
    const text = `${'['.repeat(depth)}12345678901234567890${']'.repeat(depth)}`;
    expect(Array.isArray(parseExact(text))).toBe(true);
  });
});

describe('writing arguments', () => {
  it.each([
    [[1, { a: [NaN] }], 'args[1].a[0]', 'NaN'],
    [[() => 1], 'args[0]', 'function'],
    [[new Set([1])], 'args[0]', 'Set'],
    [[new Uint8Array(2)], 'args[0]', 'Uint8Array'],
  ])('refuses what JSON cannot hold, with its place: %j', (value, path, what) => {
    expect(() => writeExact(value, 'args')).toThrowError(expect.objectContaining({ code: 'bad_json', message: expect.stringContaining(path) as string, why: expect.stringContaining(what) as string }));
  });

  it('refuses a value that contains itself', () => {
    const loop: unknown[] = [];
    loop.push(loop);
    expect(() => writeExact(loop, 'args')).toThrowError(expect.objectContaining({ code: 'bad_json' }));
  });

  it('writes dates and other objects as JSON.stringify does', () => {
    const value = { at: new Date(0), skip: undefined, list: [undefined, 1] };
    expect(writeExact(value, 'args')).toBe(JSON.stringify({ at: new Date(0), list: [undefined, 1] }));
  });
});

describe('checking JSON that a person typed', () => {
  it('gives the place with a caret', () => {
    expect(() => checkJson('[1, 2', 'array', '--args')).toThrowError(expect.objectContaining({ code: 'bad_json', message: '--args is not JSON', why: expect.stringMatching(/^line 1, column 6: .*\n\[1, 2\n {5}\^$/) as string }));
  });

  it('names the shape that came instead of an array', () => {
    expect(() => checkJson('5', 'array', '--args')).toThrowError(expect.objectContaining({ message: '--args is not a JSON array', why: 'it is a number', fix: expect.stringContaining('[5]') as string }));
    expect(() => checkJson('[1]', 'object', '--kwargs')).toThrowError(expect.objectContaining({ why: 'it is an array' }));
    expect(() => checkJson('{"a": 1}', 'object', '--kwargs')).not.toThrow();
  });
});
