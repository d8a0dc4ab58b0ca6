import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { continuationBytes, cutCharacterBytes } from '../../src/lib/utf8.ts';

describe('UTF-8 that was cut', () => {
  it('is whole without the pieces of the character that was cut, wherever that was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(), (text, where) => {
        const bytes = Buffer.from(text);
        const at = where % (bytes.length + 1);
        const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
        const [head, tail] = [before.subarray(0, before.length - cutCharacterBytes(before)), after.subarray(continuationBytes(after))];
        const isWhole = (part: Uint8Array) => Buffer.from(Buffer.from(part).toString()).equals(part);
        expect([isWhole(head), isWhole(tail)]).toEqual([true, true]);
        expect(bytes.length - head.length - tail.length).toBeLessThanOrEqual(4);
      }),
    );
  });

  it('keeps bytes that are no UTF-8', () => {
    expect([continuationBytes(Buffer.alloc(9, 0x80)), cutCharacterBytes(Buffer.alloc(9, 0x80)), cutCharacterBytes(Buffer.from([0xff])), cutCharacterBytes(new Uint8Array(0))]).toEqual([0, 0, 0, 0]);
  });
});
