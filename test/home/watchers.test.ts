/** Who watches which task: one client is kept as a number and several as a map, and nobody may see that. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Watchers } from '../../src/home/watchers-state.ts';

const client = fc.nat({ max: 2 });
const id = fc.constantFrom('a', 'b');
const step = fc.oneof(
  fc.record({ act: fc.constant('add' as const), client, id, follow: fc.boolean() }),
  fc.record({ act: fc.constant('remove' as const), client, id }),
  fc.record({ act: fc.constant('gone' as const), client }),
  fc.record({ act: fc.constant('take' as const), id }),
);

/** The same, said plainly: pairs of client and task, each with whether it follows. */
class Model {
  pairs: { client: number; id: string; follow: boolean }[] = [];

  of(of: string): { client: number; follow: boolean }[] {
    return this.pairs.filter((pair) => pair.id === of);
  }

  drop(where: (pair: { client: number; id: string }) => boolean): void {
    this.pairs = this.pairs.filter((pair) => !where(pair));
  }
}

describe('watchers', () => {
  it('are told to once, and only those that still watch', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const watchers = new Watchers();
        const model = new Model();
        for (const done of steps) {
          if (done.act === 'add') {
            const known = model.pairs.find((pair) => pair.client === done.client && pair.id === done.id);
            if (known === undefined) model.pairs.push({ client: done.client, id: done.id, follow: done.follow });
            else known.follow ||= done.follow;
            watchers.add(done.client, done.id, done.follow);
          } else if (done.act === 'remove') {
            model.drop((pair) => pair.client === done.client && pair.id === done.id);
            watchers.remove(done.client, done.id);
          } else if (done.act === 'gone') {
            model.drop((pair) => pair.client === done.client);
            watchers.gone(done.client);
          } else {
            expect(watchers.take(done.id)).toEqual(model.of(done.id).map((pair) => pair.client));
            model.drop((pair) => pair.id === done.id);
          }
          for (const task of ['a', 'b']) {
            expect(watchers.all(task)).toEqual(model.of(task).map((pair) => pair.client));
            expect(watchers.followers(task)).toEqual(model.of(task).filter(({ follow }) => follow).map((pair) => pair.client));
            expect(watchers.followed().has(task)).toBe(model.of(task).some(({ follow }) => follow));
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
