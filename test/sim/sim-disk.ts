/**
 * A disk with one journal on it: what was flushed is there after a crash, of the rest some first part.
 * Records are kept as the bytes that the real journal would get, so that a replay also proves their shape.
 */
import { decodeRecord, encodeRecord } from '../../src/home/record-codec.ts';
import { type HomeRecord } from '../../src/home/records.ts';
import type { SimRecorder } from './sim-driver.ts';
import type { Life, World } from './world.ts';

export class SimDisk {
  readonly #world: World;
  readonly #records: Uint8Array[] = [];
  #written: Uint8Array[] = [];
  /** While full, flushes fail. */
  full = false;

  constructor(world: World) {
    this.#world = world;
  }

  get durable(): number {
    return this.#records.length;
  }

  /** The journal as a process opens it; `life` is that process. */
  open(life: Life): SimRecorder<HomeRecord> {
    let shut = false;
    return {
      append: (record) => {
        this.#written.push(Uint8Array.from(Uint8Array.from(encodeRecord(record))));
        return this.#records.length + this.#written.length;
      },
      flush: (flushed) => {
        const world = this.#world;
        const count = this.#written.length;
        world.later(world.chance(0.03) ? world.between(5, 200) : world.between(0.2, 1), life, () => {
          if (shut) throw new Error('a journal that failed was flushed again');
          if (this.full) {
            shut = true;
            return flushed({ error: new Error('no space left on the disk') });
          }
          this.#records.push(...this.#written.splice(0, count));
          flushed({ durable: this.#records.length });
        });
      },
    };
  }

  /** The process is gone, or has given the handle up: of what was not flushed, a first part may be there. */
  lose(): void {
    const survive = this.#world.prng.below(this.#written.length + 1);
    this.#records.push(...this.#written.slice(0, survive));
    this.#written = [];
  }

  *replay(): Generator<{ record: HomeRecord; seq: number }> {
    for (const [at, bytes] of this.#records.entries()) yield { record: decodeRecord(bytes), seq: at + 1 };
  }
}
