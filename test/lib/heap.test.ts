import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap } from '../../src/lib/heap.ts';

describe('a heap', () => {
  it('gives the least key first, equal keys as they came', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5)), (keys) => {
        const heap = new Heap<{ key: number; at: number }>();
        keys.forEach((key, at) => heap.push(key, { key, at }));
        const popped = keys.map(() => heap.pop());
        expect(popped).toEqual(keys.map((key, at) => ({ key, at })).toSorted((a, b) => a.key - b.key || a.at - b.at));
        expect([heap.size, heap.pop(), heap.peek()]).toEqual([0, undefined, undefined]);
      }),
    );
  });

  it('stays in order while things come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(20))), (steps) => {
        const heap = new Heap<number>();
        const model: number[] = [];
        for (const key of steps) {
          if (key !== null) {
            heap.push(key, key);
            model.push(key);
            model.sort((a, b) => a - b);
          } else {
            expect(heap.peek()?.key).toBe(model[0]);
            expect(heap.pop()).toBe(model.shift());
          }
          expect(heap.size).toBe(model.length);
        }
      }),
    );
  });
});
