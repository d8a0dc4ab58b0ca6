/**
 * A disk with one journal on it: what was flushed is there after a crash; what was being flushed may be.
 * Records are kept as the bytes that the real journal gets, so that a replay also proves their shape.
 */
import { decodeGroup, encodeGroup } from '../../src/home/record-codec.ts';
import type { HomeRecord } from '../../src/home/records.ts';
import type { SimRecorder } from './sim-driver.ts';
import type { Life, World } from './world.ts';

interface Group {
  bytes: Uint8Array;
  lastSeq: number;
}

export class SimDisk {
  readonly #world: World;
  readonly #groups: Group[] = [];
  #written: HomeRecord[] = [];
  #flushing: Group | undefined;
  /** While full, flushes fail. */
  full = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** The number of the last record that is on disk. */
  get durable(): number {
    return this.#groups.at(-1)?.lastSeq ?? 0;
  }

  /** The journal as a process opens it; `life` is that process. */
  open(life: Life): SimRecorder<HomeRecord> {
    let shut = false;
    let seq = this.durable;
    return {
      append: (record) => {
        this.#written.push(record);
        return (seq += 1);
      },
      flush: (flushed) => {
        if (shut) throw new Error('a journal that failed was flushed again');
        const world = this.#world;
        const group = { bytes: Uint8Array.from(encodeGroup(this.#written, this.durable + 1)), lastSeq: seq };
        this.#written = [];
        this.#flushing = group;
        world.later(world.chance(0.03) ? world.between(5, 200) : world.between(0.2, 1), life, () => {
          if (this.full) {
            shut = true;
            return flushed({ error: new Error('no space left on the disk') });
          }
          this.#flushing = undefined;
          this.#groups.push(group);
          flushed({ durable: group.lastSeq });
        });
      },
    };
  }

  /** Takes away what was flushed up to this record; the last flush stays. */
  drop(upTo: number): void {
    while (this.#groups.length > 1 && this.#groups[0]!.lastSeq <= upTo) this.#groups.shift();
  }

  /** The process is gone, or has given the handle up. */
  lose(): void {
    if (this.#flushing !== undefined && this.#world.chance(0.5)) this.#groups.push(this.#flushing);
    this.#flushing = undefined;
    this.#written = [];
  }

  replay(relive: (record: HomeRecord, seq: number) => void): void {
    for (const { bytes } of this.#groups) decodeGroup(bytes, relive);
  }
}
