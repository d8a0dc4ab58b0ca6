/**
 * The shell of a tracker: links of peers, one decider (tracker-state.ts), news for whoever shows them.
 *
 * Neighbour: main/tracker.ts listens and hands over each link on which a peer said hello.
 */
import type { Roster } from '../identity/roster.ts';
import { TickClock } from '../lib/clock.ts';
import { Driver } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import { type Connection, isSilent, type Message, type MessageOf, type PeerInfo } from '../wire/index.ts';
import { type PoolNews, type TrackerEvent, type TrackerSend, TrackerState } from './tracker-state.ts';

export interface TrackerShellOptions {
  pool: string;
  name: string;
  incarnation: string;
  version: string;
  roster: Roster;
  onNews: (news: PoolNews) => void;
  /** The holder of this key is linked now, or was until now. */
  onSeen: (key: string) => void;
  /** What the peer of that key and name reports for the audit. */
  onAudit: (message: MessageOf<'audit'>, key: string, peer: string) => void;
  /** A client, which has been greeted: what it wants is not about load. */
  onClient: (connection: Connection) => void;
  broken: (error: unknown) => void;
}

/** Of each kind the last one counts, however many come at once. */
interface Told {
  load?: MessageOf<'load'>;
  demand?: MessageOf<'demand'>;
}

export class Tracker {
  readonly #o: TrackerShellOptions;
  readonly #state: TrackerState;
  readonly #driver: Driver<TrackerEvent, TrackerSend, never, PoolNews>;
  readonly #links = new Map<number, Connection>();
  /** What came and is not decided, by link: deciding costs far more than saying. */
  readonly #told = new Map<number, Told>();
  /** By link: the time (performance.now) before which nothing is decided for it. */
  readonly #notBefore = new Map<number, number>();
  #linkCount = 0;
  #silence: NodeJS.Timeout | undefined;
  #forgetRoster: (() => void) | undefined;

  constructor(options: TrackerShellOptions) {
    this.#o = options;
    const clock = new TickClock(limits.tickMsMax);
    this.#state = new TrackerState({ pool: options.pool, name: options.name, startedAtMs: clock.now().ms });
    this.#driver = new Driver<TrackerEvent, TrackerSend, never, PoolNews>({
      decider: this.#state,
      clock,
      recorder: undefined,
      tick: { type: 'tick' },
      send: ({ link, message }) => this.#send(link, message),
      release: options.onNews,
      broken: options.broken,
    });
  }

  start(): void {
    this.#driver.dispatch({ type: 'tick' });
    this.#forgetRoster = this.#o.roster.onChange(() => this.#tellRevoked());
    this.#silence = setInterval(() => setImmediate(() => this.#checkSilence()), limits.tickMsMax);
  }

  #tellRevoked(): void {
    const keys = this.peers().filter(({ key, state }) => state !== 'revoked' && this.#o.roster.isRevoked(key));
    if (keys.length > 0) this.#driver.dispatch({ type: 'revoked', keys: keys.map(({ key }) => key) });
  }

  stop(): void {
    this.#forgetRoster?.();
    clearInterval(this.#silence);
    this.#driver.stop();
    for (const connection of this.#links.values()) connection.close();
  }

  peers(): PeerInfo[] {
    return this.#state.peers();
  }

  /** The keys of all peers that are linked. */
  keys(): Set<string> {
    return new Set([...this.#links.values()].map(({ peerKey }) => peerKey));
  }

  accept(connection: Connection, hello: MessageOf<'hello'>): void {
    this.#o.onSeen(connection.peerKey);
    if (hello.as === 'client') {
      this.#greet(connection);
      this.#o.onClient(connection);
      return;
    }
    if (hello.as !== 'peer' || hello.self === undefined) {
      connection.close({ code: 'peer_unreachable', message: `this is a tracker; a ${hello.as} talks to a peer`, hint: 'use the port of a peer, by default 9000' });
      return;
    }
    const link = (this.#linkCount += 1);
    this.#links.set(link, connection);
    this.#greet(connection);
    connection.onClose = () => {
      this.#links.delete(link);
      this.#told.delete(link);
      this.#notBefore.delete(link);
      this.#o.onSeen(connection.peerKey);
      this.#driver.dispatch({ type: 'link_closed', link });
    };
    this.#driver.dispatch({ type: 'registered', link, key: connection.peerKey, role: this.#o.roster.roleOf(connection.peerKey), self: hello.self });
    const { peer } = hello.self;
    connection.onMessage = (message) => this.#heard(link, connection, peer, message);
  }

  #greet(connection: Connection): void {
    const { version, incarnation, name } = this.#o;
    connection.send({ kind: 'hello', version, incarnation, as: 'tracker', name });
  }

  #send(link: number, message: Message): void {
    const connection = this.#links.get(link);
    if (message.kind === 'bye') connection?.close(message.error);
    else connection?.send(message);
  }

  #heard(link: number, connection: Connection, peer: string, message: Message): void {
    if (message.kind === 'load') this.#tell(link, { load: message });
    else if (message.kind === 'demand') this.#tell(link, { demand: message });
    else if (message.kind === 'audit') this.#o.onAudit(message, connection.peerKey, peer);
    else if (message.kind !== 'bye') connection.close({ code: 'internal', message: `a peer does not send "${message.kind}" to a tracker` });
  }

  #tell(link: number, told: Told): void {
    const before = this.#told.get(link);
    this.#told.set(link, { ...before, ...told });
    if (before !== undefined) return;
    const waitMs = (this.#notBefore.get(link) ?? 0) - performance.now();
    // At the end of this turn, so that what came in one piece is one.
    if (waitMs <= 0) queueMicrotask(() => this.#decide(link));
    else setTimeout(() => this.#decide(link), waitMs).unref();
  }

  #decide(link: number): void {
    const { load, demand } = this.#told.get(link) ?? {};
    this.#told.delete(link);
    const startedAt = performance.now();
    if (load !== undefined) this.#driver.dispatch({ type: 'load_told', link, load });
    if (demand !== undefined) this.#driver.dispatch({ type: 'demand_told', link, demand });
    const endedAt = performance.now();
    if (this.#links.has(link)) this.#notBefore.set(link, endedAt + (endedAt - startedAt) * (1 / limits.linkTimeShare - 1));
  }

  #checkSilence(): void {
    for (const connection of this.#links.values()) {
      if (isSilent(connection)) connection.close();
    }
  }
}
