/**
 * The home of a simulated peer: the production decider over a simulated disk.
 * Mirrors src/home/home.ts and what of client-link.ts a decider can notice.
 */
import type { HomeAfter, HomeEvent, HomeSend } from '../../src/home/home-events.ts';
import { HomeState } from '../../src/home/home-state.ts';
import { outcomeOf } from '../../src/home/past-state.ts';
import type { HomeRecord, Story } from '../../src/home/records.ts';
import type { Message, MessageOf, PeerInfo } from '../../src/wire/messages.ts';
import { Broken } from './ledger.ts';
import type { LinkEnd } from './network.ts';
import type { SimDisk } from './sim-disk.ts';
import { SimDriver } from './sim-driver.ts';
import { type Dial, SimRunnerLinks } from './sim-runner-links.ts';
import { printedBy } from './sim-workers.ts';
import type { Life, World } from './world.ts';

interface Core {
  state: HomeState;
  driver: SimDriver<HomeEvent, HomeSend, HomeRecord, HomeAfter>;
  links: SimRunnerLinks;
}

export interface SimHomeOptions {
  world: World;
  life: Life;
  disk: SimDisk;
  own: PeerInfo;
  dial: Dial;
  toTracker: (message: Message) => void;
}

const reopenMs = 500;

export class SimHome {
  readonly #o: SimHomeOptions;
  readonly #clients = new Map<number, LinkEnd>();
  readonly #stories = new Map<string, Story>();
  /** Ids of all tasks that its journal tells of. */
  readonly #told = new Set<string>();
  /** While a compaction is under way: what it will drop up to. */
  #dropUpTo = 0;
  #core: Core | undefined;
  #clientCount = 0;
  #known: PeerInfo[];
  #trackerUp = false;
  #grantSeen = 0;

  constructor(options: SimHomeOptions) {
    this.#o = options;
    this.#known = [options.own];
  }

  start(): void {
    this.#begin();
  }

  get state(): HomeState {
    if (this.#core === undefined) throw new Error('the home was not started');
    return this.#core.state;
  }

  dispatch(event: HomeEvent): void {
    this.#core?.driver.dispatch(event);
  }

  #begin(): void {
    const { world, life, disk, own } = this.#o;
    const word = () => world.prng.uint32();
    const state = new HomeState({ self: own.peer, key: own.key, seed: [word(), word(), word(), word() | 1] });
    let lastAt = 0;
    this.#stories.clear();
    this.#told.clear();
    this.#dropUpTo = 0;
    disk.replay((record, seq) => {
      if ('id' in record) this.#told.add(record.id);
      lastAt = Math.max(lastAt, record.at);
      const story = state.replay(record, seq);
      if (story !== undefined) this.#stories.set(story.accepted.id, story);
    });
    const driver: Core['driver'] = new SimDriver<HomeEvent, HomeSend, HomeRecord, HomeAfter>({
      world,
      life,
      decider: state,
      clock: world.clock(lastAt),
      recorder: disk.open(life),
      tick: { type: 'tick' },
      commitFailed: (error, lost) => this.#commitFailed(driver, error, lost),
      send: (effect) => this.#send(effect),
      release: (effect) => this.#release(effect),
    });
    const links = new SimRunnerLinks({
      world,
      life,
      dial: this.#o.dial,
      hello: () => ({ kind: 'hello', version: '0', incarnation: own.incarnation, as: 'home', name: own.peer }),
      wanted: (peer) => (state.runners.get(peer)?.attempts.size ?? 0) > 0 || (state.runners.get(peer)?.granted ?? 0) > 0,
      onLinked: (peer, hello, roundTripMs) => driver.dispatch({ type: 'runner_linked', peer, key: state.runners.get(peer)?.info?.key ?? '', incarnation: hello.incarnation, held: hello.held ?? [], roundTripMs }),
      onUnlinked: (peer) => driver.dispatch({ type: 'runner_unlinked', peer }),
      onMessage: (peer, message) => driver.dispatch(eventOf(peer, message)),
    });
    this.#core = { state, driver, links };
    driver.dispatch({ type: 'peers_told', all: false, peers: this.#known });
    if (this.#trackerUp) driver.dispatch({ type: 'tracker_up', seen: this.#grantSeen });
    driver.dispatch({ type: 'started' });
  }

  #commitFailed(failed: Core['driver'], error: unknown, lost: readonly HomeAfter[]): HomeEvent {
    const { world, life, disk } = this.#o;
    const { durable } = disk;
    const reopen = () => {
      if (disk.full) return void world.later(reopenMs, life, reopen);
      this.#core?.links.closeAll();
      failed.stop();
      for (const client of this.#clients.values()) client.close();
      disk.lose();
      this.#begin();
    };
    world.later(reopenMs, life, reopen);
    return { type: 'commit_failed', durable, lost, problem: { code: 'store_full', message: String(error) } };
  }

  /** As compaction.ts does it, for all that is on disk now. */
  compact(): void {
    const { durable } = this.#o.disk;
    if (this.#core === undefined || this.#dropUpTo > 0 || durable === 0) return;
    this.#dropUpTo = durable;
    this.dispatch({ type: 'compacting', restate: [...this.#told], retell: [], prune: [] });
  }

  /** Ids of the ended tasks that a process would find which started now. */
  endedOnDisk(): Set<string> {
    const state = new HomeState({ self: this.#o.own.peer, key: this.#o.own.key, seed: [1, 2, 3, 4] });
    const ids = new Set<string>();
    this.#o.disk.replay((record, seq) => {
      const story = state.replay(record, seq);
      if (story !== undefined) ids.add(story.accepted.id);
    });
    return ids;
  }

  /** First what waits is on disk again, then what has ended. */
  #compacted(ended: readonly string[]): void {
    if (ended.length > 0) {
      const stories = ended.map((id) => this.#stories.get(id)!);
      return this.dispatch({ type: 'compacting', restate: [], retell: stories, prune: [] });
    }
    this.#o.disk.drop(this.#dropUpTo);
    this.#dropUpTo = 0;
  }

  // --- links -------------------------------------------------------------------------------

  /** A link on which a client said hello. */
  acceptClient(end: LinkEnd): void {
    const client = (this.#clientCount += 1);
    this.#clients.set(client, end);
    end.onClose = () => {
      this.#clients.delete(client);
      this.dispatch({ type: 'client_gone', client });
    };
    end.onMessage = (message) => this.#heard(client, end.peer.key, message);
    end.send({ kind: 'hello', version: '0', incarnation: '', as: 'home', name: this.#o.own.peer });
  }

  #heard(client: number, by: string, message: Message): void {
    switch (message.kind) {
      case 'submit': {
        const { kind: _kind, follow = false, ...spec } = message;
        const digest = JSON.stringify([spec.program, spec.options, new TextDecoder().decode(spec.args as Uint8Array)]);
        const prior = this.state.recent.has(spec.id) ? undefined : this.#stories.get(spec.id);
        return this.dispatch({ type: 'submitted', client, follow, submission: { ...spec, digest, submitter: by }, prior });
      }
      case 'watch':
        return this.dispatch({ type: 'watched', client, by, id: message.id, follow: message.follow });
      case 'cancel':
        return this.dispatch({ type: 'cancelled', client, by, id: message.id });
      default:
        throw new Error(`a client does not send "${message.kind}"`);
    }
  }

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
      return this.dispatch({ type: 'granted', grant: message });
    }
    const told = new Map(message.peers.map((info) => [info.peer, info]));
    this.#known = [...this.#known.filter(({ peer }) => !told.has(peer) && (!message.all || peer === this.#o.own.peer)), ...told.values()];
    this.dispatch({ type: 'peers_told', all: message.all, peers: message.peers });
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
        return this.#clients.get(effect.client)?.send(effect.message);
      case 'accepted':
        this.#told.add(effect.id);
        return this.#clients.get(effect.client)?.send({ kind: 'accepted', ids: [effect.id] });
      case 'output':
        // Reading it goes at its own pace, see output-feed.ts; what is recorded is checked below.
        return;
      case 'runner':
        if (this.#core?.state.mayGo(effect.peer, effect.message) === true) this.#core.links.get(effect.peer)?.send(effect.message);
        return;
      case 'stored':
        return this.#core?.links.get(effect.peer)?.send({ kind: 'stored', attempts: [effect.ref] });
      case 'compacted':
        return this.#compacted(effect.ended);
      case 'history':
        checkOutput(effect.story);
        this.#stories.set(effect.story.accepted.id, effect.story);
        return;
      case 'lookup': {
        const story = this.#stories.get(effect.id);
        const error = { code: 'unknown_task', message: 'no such task' };
        return this.#clients.get(effect.client)?.send(story === undefined ? { kind: 'no_task', id: effect.id, error } : { ...outcomeOf(story), kind: 'outcome' });
      }
    }
  }
}

/** Whatever became of links and homes on the way: a task that is done has printed what its last attempt printed. */
function checkOutput({ accepted, attempts, ended }: Story): void {
  if (ended.state !== 'done') return;
  const recorded = Buffer.from(ended.stdout?.head ?? []).toString();
  const printed = printedBy(attempts.at(-1)?.key ?? '').join('');
  if (recorded !== printed) throw new Broken(`the record of ${accepted.id} has the output ${JSON.stringify(recorded)} in place of ${JSON.stringify(printed)}`);
}

function eventOf(peer: string, message: Message): HomeEvent {
  switch (message.kind) {
    case 'attempt_ended':
      return { type: 'attempt_ended', peer, end: message };
    case 'started':
      return { type: 'attempts_started', peer, attempts: message.attempts };
    case 'turned_away':
      return { type: 'turned_away', peer, ref: message, reason: message.reason, detail: message.detail };
    case 'attempt_output':
      return { type: 'attempt_output', peer, ref: message, stream: message.stream, offset: message.offset, data: message.data };
    case 'runner_load':
      return { type: 'runner_load', peer, running: message.running, others: message.others, slots: message.slots, cpuLoad: message.cpu_load, draining: message.draining };
    default:
      throw new Error(`a runner does not send "${message.kind}" to a home`);
  }
}
