/** A tracker's decider and homes that answer its grants as src/home does: they hold what they were granted. */
import type { Decision } from '../../src/lib/driver.ts';
import { type PoolNews, type TrackerEvent, type TrackerSend, TrackerState } from '../../src/tracker/tracker-state.ts';
import type { Role } from '../../src/identity/roster.ts';
import type { MessageOf, Need, PeerSelf } from '../../src/wire/messages.ts';

export const python: Need = { language: 'python' };

export const self = (peer: string, more: Partial<PeerSelf> = {}): PeerSelf => ({
  peer,
  incarnation: `${peer}-1`,
  addresses: [{ host: peer, port: 9000 }],
  machine: { boot: peer, net: '' },
  slots: 4,
  languages: { python: '3' },
  memoryMb: 1000,
  isolation: 1,
  version: '0',
  ...more,
});

export class TestTracker {
  readonly state: TrackerState;
  ms = 0;
  readonly news: PoolNews[] = [];
  /** By home: what it may use of each runner. */
  readonly granted = new Map<string, Map<string, number>>();
  readonly #links = new Map<string, number>();
  readonly #seen = new Map<string, number>();
  #linkCount = 0;

  constructor(options: { listens?: boolean } = {}) {
    this.state = new TrackerState({ pool: 'pool', name: 'tracker', startedAtMs: 0 });
    if (options.listens !== true) this.ms = 1_000;
  }

  tell(event: TrackerEvent): Decision<TrackerSend, never, PoolNews> {
    const decided = this.state.decide(event, { ms: this.ms, wall: this.ms });
    this.news.push(...decided.after);
    for (const { link, message } of decided.send) if (message.kind === 'grant') this.#take(link, message);
    return decided;
  }

  /** Registers a peer over a new link. */
  joins(peer: string, more: Partial<PeerSelf> = {}, key = 'k', role: Role = 'member'): Decision<TrackerSend, never, PoolNews> {
    this.#links.set(peer, (this.#linkCount += 1));
    this.#seen.set(peer, 0);
    return this.tell({ type: 'registered', link: this.#linkCount, key, role, self: self(peer, more) });
  }

  leaves(peer: string): Decision<TrackerSend, never, PoolNews> {
    return this.tell({ type: 'link_closed', link: this.#link(peer) });
  }

  load(peer: string, load: Partial<MessageOf<'load'>> = {}): Decision<TrackerSend, never, PoolNews> {
    return this.tell({ type: 'load_told', link: this.#link(peer), load: { kind: 'load', cpu_load: 0, running: 0, slots: 4, queued: 0, draining: false, ...load } });
  }

  /**
   * A home says what waits there; it uses `used` of what it holds at each runner, all of it if not said.
   * Recalled slots that nothing uses are no longer held.
   */
  wants(home: string, waiting: number | MessageOf<'demand'>['waiting'], used: Record<string, number> | 'all' | 'none' = 'all'): Decision<TrackerSend, never, PoolNews> {
    const held = [...(this.granted.get(home) ?? [])].map(([peer, slots]) => ({ peer, slots, used: used === 'all' ? slots : used === 'none' ? 0 : Math.min(slots, used[peer] ?? 0) }));
    const demand: MessageOf<'demand'> = {
      kind: 'demand',
      seen: this.#seen.get(home) ?? 0,
      waiting: typeof waiting === 'number' ? (waiting === 0 ? [] : [{ need: python, count: waiting }]) : waiting,
      held: held.filter(({ slots }) => slots > 0),
    };
    return this.tell({ type: 'demand_told', link: this.#link(home), demand });
  }

  /** Gives back everything that is idle. */
  givesBack(home: string, keep: Record<string, number> = {}): Decision<TrackerSend, never, PoolNews> {
    this.granted.set(home, new Map(Object.entries(keep)));
    return this.wants(home, 0);
  }

  slotsOf(home: string): Record<string, number> {
    return Object.fromEntries([...(this.granted.get(home) ?? [])].filter(([, slots]) => slots > 0).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  total(home: string): number {
    return Object.values(this.slotsOf(home)).reduce((one, two) => one + two, 0);
  }

  pass(ms: number, homes: readonly string[] = []): void {
    const end = this.ms + ms;
    while (this.ms < end) {
      this.ms = Math.min(end, this.ms + 100);
      this.tell({ type: 'tick' });
      for (const home of homes) this.wants(home, 0);
    }
  }

  #link(peer: string): number {
    const link = this.#links.get(peer);
    if (link === undefined) throw new Error(`${peer} never joined`);
    return link;
  }

  #take(link: number, grant: MessageOf<'grant'>): void {
    for (const [home, of] of this.#links) {
      if (of !== link) continue;
      const slots = this.granted.get(home) ?? new Map<string, number>();
      this.granted.set(home, slots.set(grant.peer, grant.slots));
      this.#seen.set(home, grant.seq);
    }
  }
}
