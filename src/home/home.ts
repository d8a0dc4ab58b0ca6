/**
 * The shell of a home: clients, runners, the tracker's word and the disk; all decisions are home-state.ts's.
 *
 * Neighbours: home-store.ts is the disk, runner-links.ts the links to runners, client-link.ts one client.
 * main/peer.ts joins it to the tracker's link and, in memory, to the runner of the same peer.
 *
 * Invariant: when the journal fails, nothing of what was decided since the last flush is told to anybody;
 * the home starts again from what is on disk, in this process, as soon as the disk takes writes.
 */
import { randomBytes } from 'node:crypto';
import { TickClock } from '../lib/clock.ts';
import { Driver } from '../lib/driver.ts';
import { causeText, PotluckError } from '../errors.ts';
import type { Roster } from '../identity/roster.ts';
import { inParts } from '../lib/parts.ts';
import { limits } from '../limits.ts';
import { type Connection, type Machine, type Message, type MessageBody, type MessageOf, type PeerInfo, type Problem, type Value } from '../wire/index.ts';
import { ClientLink } from './client-link.ts';
import { Compaction } from './compaction.ts';
import { isHeldBy, needsContent } from './held-state.ts';
import type { HomeAfter, HomeEvent, HomeSend } from './home-events.ts';
import { HomeState } from './home-state.ts';
import { HomeStore, type HomeStoreOptions } from './home-store.ts';
import { ProgramCache } from './program-cache.ts';
import type { HomeRecord, Past } from './records.ts';
import { RunnerLinks } from './runner-links.ts';
import { Tally } from './tally.ts';
import { peerRows } from './views.ts';

export interface HomeOptions {
  peer: string;
  /** The key that this process proves on its links. */
  key: string;
  incarnation: string;
  version: string;
  roster: Roster;
  machine: Machine;
  /** Folder of the store. */
  folder: string;
  indexWorker: URL;
  /** What only tests choose. */
  store?: Pick<HomeStoreOptions, 'files' | 'index' | 'segmentBytesMax' | 'retention'>;
  connect: (info: PeerInfo) => Promise<Connection>;
  /** Facts for `status` that are not the home's own. */
  about: () => Record<string, unknown>;
  toTracker: (message: Message) => void;
  log: (line: string) => void;
  broken: (error: unknown) => void;
}

interface Core {
  state: HomeState;
  driver: Driver<HomeEvent, HomeSend, HomeRecord, HomeAfter>;
  links: RunnerLinks;
  compaction: Compaction;
}

const reopenMs = 500;
/** That a result is stored only lets its runner forget it: not worth waking it for every task. */
const storedGapMs = 20;
/** What is past the retention by its age alone is looked for this often. */
const compactMs = 3_600_000;

export class Home {
  readonly store: HomeStore;
  readonly programs: ProgramCache;
  readonly roster: Roster;
  /** Since this process started. */
  readonly tally = new Tally();
  readonly #o: HomeOptions;
  readonly #clients = new Map<number, ClientLink>();
  #clock = new TickClock(limits.tickMsMax);
  #core: Core | undefined;
  #clientCount = 0;
  #silence: NodeJS.Timeout | undefined;
  #hourly: NodeJS.Timeout | undefined;
  #known: PeerInfo[] = [];
  #trackerUp = false;
  #grantSeen = 0;
  #stopped = false;
  #forgetRoster: (() => void) | undefined;
  /** By runner: what is on disk and what it was not told of yet. */
  readonly #stored = new Map<string, MessageOf<'stored'>['attempts']>();
  #storedTimer: NodeJS.Timeout | undefined;

  constructor(options: HomeOptions) {
    this.#o = options;
    this.roster = options.roster;
    this.store = new HomeStore({ folder: options.folder, key: options.key, indexWorker: options.indexWorker, ...options.store });
    this.programs = new ProgramCache(this.store.blobs);
  }

  /** Opens the store and takes up where it stopped. Throws what HomeStore.open throws. */
  async start(own: PeerInfo): Promise<void> {
    this.#known = [own];
    const state = this.#newState();
    const opened = await this.store.open((record, seq) => state.replay(record, seq));
    if (opened.cutBytes > 0) this.#o.log(`the journal's last ${opened.cutBytes} bytes, of an interrupted write, were cut`);
    this.#begin(state, opened.lastAtMs);
    this.#forgetRoster = this.roster.onChange(() => this.#tellRevoked());
    this.store.onRotated = () => void this.compact();
    this.#hourly = setInterval(() => void this.compact(), compactMs);
    this.#silence = setInterval(() => setImmediate(() => this.#core?.links.checkSilence()), limits.tickMsMax);
  }

  #newState(): HomeState {
    const seed = new Uint32Array(randomBytes(16).buffer.slice(0, 16));
    return new HomeState({ self: this.#o.peer, key: this.#o.key, seed: [seed[0]!, seed[1]!, seed[2]!, seed[3]!] });
  }

  #begin(state: HomeState, atMs: number): void {
    this.#clock = new TickClock(limits.tickMsMax, atMs);
    const driver: Core['driver'] = new Driver<HomeEvent, HomeSend, HomeRecord, HomeAfter>({
      decider: state,
      clock: this.#clock,
      recorder: this.store,
      tick: { type: 'tick' },
      commitFailed: (error, lost) => this.#commitFailed(driver, error, lost),
      send: (effect) => this.#send(effect),
      release: (effect) => this.#release(effect),
      broken: this.#o.broken,
    });
    const links = new RunnerLinks({
      hello: () => this.#hello('home'),
      connect: this.#o.connect,
      infoOf: (peer) => state.runners.get(peer)?.info,
      wanted: (peer) => (state.runners.get(peer)?.attempts.size ?? 0) > 0 || (state.runners.get(peer)?.granted ?? 0) > 0,
      provide: async (peer, hash) => (needsContent(state, peer, hash) ? this.provide(hash) : undefined),
      onLinked: (peer, key, hello, roundTripMs) => driver.dispatch({ type: 'runner_linked', peer, key, incarnation: hello.incarnation, held: hello.held ?? [], roundTripMs }),
      onUnlinked: (peer) => driver.dispatch({ type: 'runner_unlinked', peer }),
      onMessage: (peer, connection, message) => this.#fromRunner({ driver, state }, peer, connection, message),
      log: this.#o.log,
    });
    const compaction = new Compaction({
      store: this.store,
      dispatch: (step) => driver.dispatch(step),
      nowMs: () => this.now(),
      isKept: (hash) => this.programs.get(hash) !== undefined,
      log: this.#o.log,
      broken: this.#o.broken,
    });
    this.#core = { state, driver, links, compaction };
    driver.dispatch({ type: 'peers_told', all: false, peers: this.#known });
    if (this.#trackerUp) driver.dispatch({ type: 'tracker_up', seen: this.#grantSeen });
    driver.dispatch({ type: 'started' });
    this.#tellRevoked();
    void compaction.run();
  }

  /** Tells the decider which of those that it has to do with are members no more. */
  #tellRevoked(): void {
    if (this.#core === undefined) return;
    const { runners, tasks } = this.#core.state;
    const keys = new Set<string>();
    for (const { info } of runners.values()) if (info !== undefined && this.roster.isRevoked(info.key)) keys.add(info.key);
    for (const { accepted } of tasks.values()) if (this.roster.isRevoked(accepted.submitter)) keys.add(accepted.submitter);
    if (keys.size > 0) this.dispatch({ type: 'revoked', keys: [...keys] });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#forgetRoster?.();
    clearInterval(this.#silence);
    clearInterval(this.#hourly);
    for (const client of this.#clients.values()) client.close();
    const core = this.#core;
    await core?.compaction.stop();
    await core?.driver.settled();
    core?.driver.stop();
    this.#tellStored();
    core?.links.closeAll();
    await this.store.close();
  }

  /** Resolves when nothing is past the retention any more, or a disk in trouble keeps it. */
  async compact(): Promise<void> {
    await this.#core?.compaction.run();
  }

  drain(): void {
    this.dispatch({ type: 'draining' });
  }

  get state(): HomeState {
    if (this.#core === undefined) throw new Error('the home was not started');
    return this.#core.state;
  }

  /** What is known of the peers of the pool, as rows. */
  peerRows(): ReturnType<typeof peerRows> {
    return peerRows(this.state, this.#o.machine);
  }

  now(): number {
    return this.#clock.now().ms;
  }

  dispatch(event: HomeEvent): void {
    this.#core?.driver.dispatch(event);
  }

  #hello(as: 'home'): MessageBody<'hello'> {
    return { version: this.#o.version, incarnation: this.#o.incarnation, as, name: this.#o.peer };
  }

  // --- clients -----------------------------------------------------------------------------

  /** A link on which a client said hello. */
  accept(connection: Connection): void {
    if (this.roster.roleOf(connection.peerKey) === 'runner') {
      connection.close({ code: 'not_allowed', message: 'this machine may only run tasks: its key has the role runner, which can neither submit nor read any', hint: 'submit on the machine of a member, or ask an admin for a new invitation: potluck invite --role member' });
      return;
    }
    const number = (this.#clientCount += 1);
    const client = new ClientLink(number, connection, this, this.#o.about);
    this.#clients.set(number, client);
    connection.onClose = () => {
      this.#clients.delete(number);
      this.dispatch({ type: 'client_gone', client: number });
    };
    client.start(this.#hello('home'));
  }

  /** Content that others may ask of this home by its hash. */
  async provide(hash: string): Promise<Uint8Array | undefined> {
    const program = this.programs.get(hash);
    if (program !== undefined) return program;
    return (await this.store.blobs.has(hash)) ? this.store.blobs.read(hash) : undefined;
  }

  /** Resolves when what is decided now is on disk. Throws PotluckError when the disk does not take it. */
  async onDisk(): Promise<void> {
    const seq = this.store.appendedSeq;
    while (this.store.durableSeq < seq) {
      const problem = this.state.storeProblem;
      if (problem !== undefined) throw new PotluckError('store_failed', problem.message, { fix: problem.hint });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** The bytes of a value. */
  async bytesOf(value: Value): Promise<Uint8Array> {
    return value instanceof Uint8Array ? value : this.store.blobs.read(value.hash);
  }

  /** An ended task, from memory or from the index; undefined when there is none of that id. */
  async ended(id: string): Promise<Past | undefined> {
    return this.state.recent.get(id) ?? this.store.past(id);
  }

  // --- tracker -----------------------------------------------------------------------------

  trackerUp(): void {
    this.#trackerUp = true;
    this.#grantSeen = 0;
    this.dispatch({ type: 'tracker_up' });
  }

  trackerAway(): void {
    this.#trackerUp = false;
    this.dispatch({ type: 'tracker_away' });
  }

  fromTracker(message: MessageOf<'grant'> | MessageOf<'peers'>): void {
    if (message.kind === 'grant') {
      this.#grantSeen = message.seq;
      this.dispatch({ type: 'granted', grant: message });
      return;
    }
    // Whoever took this peer's name while it was away: its own runner is the one in this process.
    const peers = message.peers.filter(({ peer, key }) => peer !== this.#o.peer || key === this.#o.key);
    const told = new Map(peers.map((info) => [info.peer, info]));
    this.#known = [...this.#known.filter(({ peer }) => !told.has(peer) && (!message.all || peer === this.#o.peer)), ...told.values()];
    this.dispatch({ type: 'peers_told', all: message.all, peers });
  }

  // --- effects -----------------------------------------------------------------------------

  #send(effect: HomeSend): void {
    if (effect.to === 'tracker') this.#o.toTracker(effect.message);
    else if (effect.to === 'dial') this.#core?.links.dial(effect.peer);
    else this.#core?.links.get(effect.peer)?.send(effect.message);
  }

  #release(effect: HomeAfter): void {
    switch (effect.to) {
      case 'client':
        this.#clients.get(effect.client)?.send(effect.message);
        return;
      case 'accepted':
        if (effect.seq !== undefined) this.tally.accepted += 1;
        this.#clients.get(effect.client)?.accepted(effect.id);
        return;
      case 'output':
        this.#clients.get(effect.client)?.output(effect.news);
        return;
      case 'runner':
        if (this.#core?.state.mayGo(effect.peer, effect.message) === true) this.#core.links.get(effect.peer)?.send(effect.message);
        return;
      case 'stored':
        this.#gatherStored(effect.peer, effect.ref);
        return;
      case 'history':
        this.tally.end(effect.story);
        this.store.addToHistory(effect.story, effect.seq);
        return;
      case 'pruned':
        this.store.addPruned(effect.tasks, effect.seq);
        return;
      case 'compacted':
        this.#core?.compaction.stepDone(effect.ended);
        return;
      case 'lookup':
        void this.#clients.get(effect.client)?.lookUp(effect.id, effect.follow);
    }
  }

  #gatherStored(peer: string, ref: MessageOf<'stored'>['attempts'][number]): void {
    const gathered = this.#stored.get(peer);
    if (gathered === undefined) this.#stored.set(peer, [ref]);
    else gathered.push(ref);
    this.#storedTimer ??= setTimeout(() => this.#tellStored(), storedGapMs);
  }

  #tellStored(): void {
    clearTimeout(this.#storedTimer);
    this.#storedTimer = undefined;
    for (const [peer, attempts] of this.#stored) {
      for (const part of inParts(attempts, limits.listPartMax)) this.#core?.links.get(peer)?.send({ kind: 'stored', attempts: part });
    }
    this.#stored.clear();
  }

  #fromRunner({ driver, state }: Pick<Core, 'driver' | 'state'>, peer: string, connection: Connection, message: Message): void {
    switch (message.kind) {
      case 'attempt_ended':
        // What is stale brings nothing onto our disk.
        if (message.result === undefined || message.result instanceof Uint8Array || !isHeldBy(state, peer, message)) driver.dispatch({ type: 'attempt_ended', peer, end: message });
        else void this.#fetchResult(driver, peer, connection, message, message.result.hash);
        return;
      case 'started':
        driver.dispatch({ type: 'attempts_started', peer, attempts: message.attempts });
        return;
      case 'turned_away':
        driver.dispatch({ type: 'turned_away', peer, ref: message, reason: message.reason, detail: message.detail });
        return;
      case 'attempt_output':
        driver.dispatch({ type: 'attempt_output', peer, ref: message, stream: message.stream, offset: message.offset, data: message.data });
        return;
      case 'runner_load':
        driver.dispatch({ type: 'runner_load', peer, running: message.running, others: message.others, slots: message.slots, cpuLoad: message.cpu_load, draining: message.draining });
        return;
      case 'bye':
        this.#o.log(`${peer}: ${message.error.message}`);
        return;
      default:
        connection.close({ code: 'internal', message: `a runner does not send "${message.kind}" to a home` });
    }
  }

  /** A large result is on our disk before its outcome is decided. If that fails, the runner still has it. */
  async #fetchResult(driver: Core['driver'], peer: string, connection: Connection, end: MessageOf<'attempt_ended'>, hash: string): Promise<void> {
    const release = this.store.holdBlobs([hash]);
    try {
      await this.store.blobs.put(await connection.fetch(hash, limits.valueBytesMax));
      driver.dispatch({ type: 'attempt_ended', peer, end });
    } catch (error) {
      this.#o.log(`result of ${end.id}: ${causeText(error)}`);
      connection.close();
    } finally {
      // When it has been decided, its record names the result.
      setImmediate(release);
    }
  }

  // --- a failed disk -----------------------------------------------------------------------

  #commitFailed(driver: Core['driver'], error: unknown, lost: readonly HomeAfter[]): HomeEvent {
    const problem: Problem = error instanceof PotluckError ? error.toProblem() : { code: 'store_failed', message: String(error) };
    this.#o.log(`the journal failed: ${problem.message}`);
    void this.#recover(driver).catch(this.#o.broken);
    return { type: 'commit_failed', durable: this.store.durableSeq, problem, lost };
  }

  async #recover(failed: Core['driver']): Promise<void> {
    await this.#core?.compaction.stop();
    await this.store.abandonLog();
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, reopenMs));
      const state = this.#newState();
      try {
        const opened = await this.store.replay((record, seq) => state.replay(record, seq));
        await this.store.probe();
        this.#core?.links.closeAll();
        failed.stop();
        for (const client of this.#clients.values()) client.close();
        this.#begin(state, Math.max(opened.lastAtMs, this.now()));
        this.#o.log('the journal takes writes again');
        return;
      } catch (error) {
        if (!(error instanceof PotluckError) || (error.code !== 'store_full' && error.code !== 'store_failed')) throw error;
        await this.store.abandonLog();
      }
    }
  }
}
