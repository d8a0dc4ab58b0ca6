/**
 * What a home feeds to the index of history, in the journal's order.
 *
 * The index follows by a second, or by a few while outcomes keep coming, in large batches: a burst of tasks
 * need not pay for history while it lasts. Whoever asks for history calls `settle` first.
 */
import type { HistoryIndex, HistoryRow, PrunedEntry } from '../store/index.ts';
import { HistoryUnavailable } from '../store/store-errors.ts';
import { encodeStory } from './record-codec.ts';
import type { PrunedTask, Story } from './records.ts';

/** What history is searched in. */
export type History = Pick<HistoryIndex, 'start' | 'apply' | 'settled' | 'get' | 'getPruned' | 'query' | 'count' | 'dropBefore' | 'stop'>;

const gapMs = 1_000;
const quietMs = 200;
const lagMsMax = 5_000;
/** As many as the index has room for. */
const gatheredMax = 20_000;
/** Made into rows at once: some milliseconds of work. */
const offerMax = 500;

type Gathered = { story: Story; seq: number } | { pruned: readonly PrunedTask[]; seq: number };

export class HistoryFeed {
  readonly index: History;
  readonly #homeKey: string;
  #gathered: Gathered[] = [];
  #gatheredCount = 0;
  readonly #offers: Gathered[][] = [];
  #isOffering = false;
  #offered: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #gatheredAt = 0;
  #handedSeq = 0;

  /** @param homeKey the home's own: its user's tasks are not marked with it */
  constructor(index: History, homeKey: string) {
    this.index = index;
    this.#homeKey = homeKey;
  }

  async start(): Promise<void> {
    this.#handedSeq = (await this.index.start()).appliedSeq;
  }

  /** The index knows what came from records up to this one, or has it in hand. */
  get handedSeq(): number {
    return this.#handedSeq;
  }

  add(story: Story, seq: number): void {
    this.#gather({ story, seq }, 1);
  }

  addPruned(pruned: readonly PrunedTask[], seq: number): void {
    this.#gather({ pruned, seq }, pruned.length);
  }

  /** Resolves when the index knows everything that was added. Throws HistoryUnavailable. */
  async settle(): Promise<void> {
    this.#handOver();
    await this.#offered;
    await this.index.settled();
  }

  /** Hands over what there is and waits until the index has taken it; its failures are its own. */
  async stop(): Promise<void> {
    this.#handOver();
    await this.#offered;
    await this.index.stop();
  }

  #gather(gathered: Gathered, count: number): void {
    this.#gathered.push(gathered);
    this.#gatheredCount += count;
    this.#gatheredAt = performance.now();
    if (this.#gatheredCount >= gatheredMax) this.#handOver();
    else this.#timer ??= setTimeout(() => this.#handOverWhenQuiet(performance.now()), gapMs);
  }

  #handOverWhenQuiet(since: number): void {
    const now = performance.now();
    if (now - this.#gatheredAt >= quietMs || now - since >= lagMsMax) this.#handOver();
    else this.#timer = setTimeout(() => this.#handOverWhenQuiet(since), quietMs);
  }

  #handOver(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const last = this.#gathered.at(-1);
    if (last === undefined) return;
    this.#offers.push(...offersOf(this.#gathered));
    this.#gathered = [];
    this.#gatheredCount = 0;
    this.#handedSeq = Math.max(this.#handedSeq, last.seq);
    if (this.#isOffering) return;
    this.#isOffering = true;
    this.#offered = this.#offer();
  }

  /** Hands over in order, giving way to others in between; while the index's queue is full, the rest waits here. */
  async #offer(): Promise<void> {
    try {
      for (let next = this.#offers.shift(); next !== undefined; next = this.#offers.shift()) {
        const { rows, pruned, seq } = additionsOf(next, this.#homeKey);
        while (!this.index.apply(rows, seq, pruned)) await this.index.settled();
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      // History is unavailable; its callers are told so, and the next start makes up for it.
      if (!(error instanceof HistoryUnavailable)) throw error;
      this.#offers.length = 0;
    } finally {
      this.#isOffering = false;
    }
  }
}

/** Parts that are made into rows at once. */
function* offersOf(gathered: readonly Gathered[]): Generator<Gathered[]> {
  let offer: Gathered[] = [];
  let size = 0;
  for (const one of gathered) {
    const more = 'story' in one ? 1 : one.pruned.length;
    if (offer.length > 0 && size + more > offerMax) {
      yield offer;
      offer = [];
      size = 0;
    }
    offer.push(one);
    size += more;
  }
  if (offer.length > 0) yield offer;
}

function additionsOf(gathered: readonly Gathered[], homeKey: string): { rows: HistoryRow[]; pruned: PrunedEntry[]; seq: number } {
  const rows: HistoryRow[] = [];
  const pruned: PrunedEntry[] = [];
  for (const one of gathered) {
    if ('story' in one) rows.push(rowOf(one.story, one.seq, homeKey));
    else for (const { id, digest, state, endedWall } of one.pruned) pruned.push({ id, digest, state, endedAt: endedWall, seq: one.seq });
  }
  return { rows, pruned, seq: gathered.at(-1)?.seq ?? 0 };
}

function rowOf(story: Story, seq: number, homeKey: string): HistoryRow {
  const { accepted, ended, queuedMs } = story;
  return {
    id: accepted.id,
    state: ended.state,
    peer: ended.peer,
    attempt: ended.attempt,
    language: accepted.language,
    function: accepted.function,
    program: accepted.program,
    submitter: accepted.submitter === homeKey ? null : accepted.submitter,
    acceptedAt: accepted.wall,
    endedAt: ended.wall,
    queuedMs,
    runMs: ended.runMs,
    error: ended.error === undefined ? null : `${ended.error.code}: ${ended.error.message}`,
    seq,
    record: encodeStory(story),
  };
}
