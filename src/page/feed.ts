/**
 * What is told to open pages as it changes: one stream of events for each browser.
 *
 * Owns: gathering. A topic is told whole when it has changed, at most every limits.pageGatherMs, however many
 * tasks came and went meanwhile; samples are told one by one.
 *
 * Invariants
 * 1. Every event has a number. Who comes back with the last one that it saw gets what changed since then: no
 *    gap, nothing twice. Who comes with one of another process gets `reset` and everything.
 * 2. A reader that does not read costs nothing: there is no queue, it is told the newest when it reads again.
 * 3. While nobody listens only the samples are taken, one each second.
 */
import { randomBytes } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { ApiPeer, ApiSample } from '../wire/api.ts';
import type { PageHome } from './page-home.ts';

type Topic = 'status' | 'peers' | 'counts' | 'failures';

interface Told {
  number: number;
  json: string;
}

const sampleMs = 1_000;
/** Outcomes that count as failures in the plots. */
const failures = ['failed', 'timed_out', 'out_of_memory', 'quarantined', 'unknown', 'expired'] as const;

export class Feed {
  readonly #home: PageHome;
  readonly #epoch = randomBytes(6).toString('hex');
  readonly #topics = new Map<Topic, Told>();
  readonly #samples: { number: number; sample: ApiSample }[] = [];
  #number = 0;
  #streams = 0;
  #waiting: (() => void)[] = [];
  #sampler: NodeJS.Timeout | undefined;
  #gatherer: NodeJS.Timeout | undefined;
  #last = { at: 0, ended: 0, failed: 0 };
  #failuresSeen = -1;

  constructor(home: PageHome) {
    this.#home = home;
  }

  start(): void {
    this.#last = this.#totals();
    this.#sampler = setInterval(() => this.#sample(), sampleMs);
    this.#sampler.unref();
  }

  stop(): void {
    clearInterval(this.#sampler);
    clearInterval(this.#gatherer);
    this.#gatherer = undefined;
    this.#sampler = undefined;
    this.#wake();
  }

  get samples(): ApiSample[] {
    return this.#samples.map(({ sample }) => sample);
  }

  /**
   * @param lastId the id of the last event that the reader saw
   * @param isValid asked again and again: the stream ends with its login
   * @throws PotluckError `too_many_streams`
   */
  stream(lastId: string | undefined, isValid: () => boolean): ReadableStream<Uint8Array> {
    if (this.#streams >= limits.pageStreamsMax) throw new PotluckError('too_many_streams', `the page has ${limits.pageStreamsMax} event streams open, its limit`, { fix: 'close some of its tabs and scripts' });
    this.#streams += 1;
    this.#gatherer ??= setInterval(() => this.#gather(), limits.pageGatherMs);
    this.#gather();
    let seen = this.#placeOf(lastId);
    let open = true;
    const end = () => {
      if (open) this.#closed();
      open = false;
    };
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const text = await this.#next(seen, () => open);
          if (!open) return;
          if (this.#sampler === undefined || !isValid()) {
            end();
            controller.enqueue(Buffer.from(this.#sampler === undefined ? '' : 'event: logged_out\ndata: {}\n\n'));
            controller.close();
            return;
          }
          seen = this.#number;
          controller.enqueue(Buffer.from(text));
        },
        cancel: end,
      },
      { highWaterMark: 0 },
    );
  }

  #closed(): void {
    this.#streams -= 1;
    if (this.#streams > 0) return;
    clearInterval(this.#gatherer);
    this.#gatherer = undefined;
  }

  /** -1: everything must be told. */
  #placeOf(lastId: string | undefined): number {
    const [, epoch, number] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(lastId ?? '') ?? [];
    if (epoch !== this.#epoch || Number(number) > this.#number) return -1;
    const first = this.#samples[0]?.number ?? 0;
    // Samples that were dropped since then would be a gap.
    return Number(number) + 1 < first && this.#samples.length >= limits.pageSamplesMax ? -1 : Number(number);
  }

  async #next(seen: number, isOpen: () => boolean): Promise<string> {
    if (seen === -1) return this.#everything();
    const text = this.#since(seen);
    if (text !== '') return text;
    await new Promise<void>((resolve) => {
      const beat = setTimeout(resolve, limits.pageBeatMs);
      beat.unref();
      this.#waiting.push(() => {
        clearTimeout(beat);
        resolve();
      });
    });
    return (isOpen() ? this.#since(seen) : '') || ': nothing new\n\n';
  }

  #everything(): string {
    return this.#event('reset', this.#number, JSON.stringify({ samples: this.samples })) + [...this.#topics].map(([topic, { json }]) => this.#event(topic, this.#number, json)).join('');
  }

  #since(seen: number): string {
    const events: { number: number; text: string }[] = [];
    for (const [topic, { number, json }] of this.#topics) if (number > seen) events.push({ number, text: this.#event(topic, number, json) });
    for (let at = this.#samples.length - 1; at >= 0; at -= 1) {
      const { number, sample } = this.#samples[at]!;
      if (number <= seen) break;
      events.push({ number, text: this.#event('sample', number, JSON.stringify(sample)) });
    }
    return events.sort((a, b) => a.number - b.number).map(({ text }) => text).join('');
  }

  #event(name: string, number: number, data: string): string {
    return `id: ${this.#epoch}-${number}\nevent: ${name}\ndata: ${data}\n\n`;
  }

  // --- gathering ---------------------------------------------------------------------------

  #gather(): void {
    const counts = this.#home.counts();
    const { uptime_ms: _uptime, ...status } = this.#home.status();
    let changed = this.#tell('status', status);
    changed = this.#tell('peers', this.#home.peers()) || changed;
    changed = this.#tell('counts', counts) || changed;
    const failed = failures.reduce((sum, state) => sum + (counts.ended[state] ?? 0), 0);
    if (failed !== this.#failuresSeen) changed = this.#tell('failures', this.#home.failures()) || changed;
    this.#failuresSeen = failed;
    if (changed) this.#wake();
  }

  #tell(topic: Topic, document: unknown): boolean {
    const json = JSON.stringify(document);
    if (this.#topics.get(topic)?.json === json) return false;
    this.#topics.set(topic, { number: (this.#number += 1), json });
    return true;
  }

  #sample(): void {
    const totals = this.#totals();
    const seconds = Math.max(0.001, (totals.at - this.#last.at) / 1000);
    const peers = this.#home.peers().filter(({ state }) => state === 'up' || state === 'draining');
    const sum = (of: (peer: ApiPeer) => number) => peers.reduce((total, peer) => total + of(peer), 0);
    const { cpu_load: cpu, queue_size: waiting } = this.#home.status();
    const rate = (more: number) => Math.round((more / seconds) * 10) / 10;
    const sample: ApiSample = [Math.round(Date.now() / 1000), sum(({ running }) => running), sum(({ slots }) => slots), cpu, waiting, rate(totals.ended - this.#last.ended), rate(totals.failed - this.#last.failed)];
    this.#last = totals;
    this.#samples.push({ number: (this.#number += 1), sample });
    if (this.#samples.length > limits.pageSamplesMax) this.#samples.shift();
    this.#wake();
  }

  #totals(): { at: number; ended: number; failed: number } {
    const { ended } = this.#home.counts();
    const all = Object.values(ended).reduce((sum, count) => sum + count, 0);
    return { at: performance.now(), ended: all, failed: failures.reduce((sum, state) => sum + (ended[state] ?? 0), 0) };
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
