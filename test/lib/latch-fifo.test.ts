import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fifo } from '../../src/lib/fifo.ts';
import { Latch } from '../../src/lib/latch.ts';

describe('a latch', () => {
  it('gives its first value to whoever asks, before or after', async () => {
    const latch = new Latch<number>();
    const early = latch.promise();
    latch.set(1);
    latch.set(2);
    latch.fail(new Error('late'));
    expect(await Promise.all([early, latch.promise()])).toEqual([1, 1]);
  });

  it('that failed is silent until somebody asks', async () => {
    const latch = new Latch<number>();
    void latch.promise();
    latch.fail(new Error('no'));
    await new Promise((resolve) => setImmediate(resolve));
    await expect(latch.promise()).rejects.toThrow('no');
  });
});

it('a fifo gives back what was put in, in order', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat()), { size: 'max', maxLength: 5_000 }), (steps) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const step of steps) {
        if (step !== null) {
          fifo.push(step);
          model.push(step);
        } else {
          expect(fifo.peek()).toBe(model[0]);
          expect(fifo.shift()).toBe(model.shift());
        }
        expect(fifo.length).toBe(model.length);
      }
    }),
    { numRuns: 20 },
  );
  const long = new Fifo<number>();
  for (let item = 0; item < 5_000; item += 1) long.push(item);
  for (let item = 0; item < 5_000; item += 1) expect(long.shift()).toBe(item);
  expect(long.shift()).toBeUndefined();
});
