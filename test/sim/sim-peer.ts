/** A simulated peer: the production home, runner and link to the tracker. Mirrors src/main/peer.ts. */
import { PotluckError } from '../../src/errors.ts';
import { Home } from '../../src/home/home.ts';
import type { HomeState } from '../../src/home/home-state.ts';
import type { Retention } from '../../src/home/retention-state.ts';
import { TickClock } from '../../src/lib/clock.ts';
import { limits } from '../../src/limits.ts';
import { whenGreeted } from '../../src/main/incoming.ts';
import { TrackerLink } from '../../src/main/tracker-link.ts';
import { Runner } from '../../src/runner/runner.ts';
import type { RunnerState } from '../../src/runner/runner-state.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { connectInMemory } from '../../src/wire/memory-connection.ts';
import type { Accepts, MessageOf, PeerInfo, PeerSelf } from '../../src/wire/messages.ts';
import type { Ledger } from './ledger.ts';
import type { Dialler, Network } from './network.ts';
import type { SimDisk } from './sim-disk.ts';
import { IndexFile, SimIndex } from './sim-index.ts';
import { type Folder, SimRoster } from './sim-roster.ts';
import { SimWorkers } from './sim-workers.ts';
import { type Life, lifeOf, type Machine, type World } from './world.ts';

export interface SimPeerOptions {
  world: World;
  network: Network;
  ledger: Ledger;
  disk: SimDisk;
  machine: Machine;
  folder: Folder;
  trackerKey: string;
  accepts: Accepts;
  /** Peers with the same one measure the same CPU. */
  boot: string;
  slots: number;
  cpuLoad: () => number;
  /** Some of its interpreters do not come up. */
  isFlaky?: boolean;
  segmentBytesMax?: number;
  retention?: Partial<Retention>;
}

interface Running {
  readonly life: Life;
  readonly dialler: Dialler;
  readonly home: Home;
  readonly runner: Runner;
  readonly workers: SimWorkers;
  readonly tracker: TrackerLink;
  up: boolean;
}

/** Who cannot start for lack of a disk is started again after this. */
const startAgainMs = 700;
const drainMs = 2_000;

/** What of a process that is up can be seen. */
export interface Seen<State> {
  readonly state: State;
}

export class SimPeer {
  readonly name: string;
  readonly slots: number;
  readonly disk: SimDisk;
  readonly index = new IndexFile();
  readonly #o: SimPeerOptions;
  #running: Running | undefined;
  #starts = 0;
  #isLost = false;
  /** Told of a journal that did not open; whether that is as it should be. */
  onDamage: ((error: PotluckError) => boolean) | undefined;

  constructor(options: SimPeerOptions) {
    this.#o = options;
    this.name = options.machine.name;
    this.slots = options.slots;
    this.disk = options.disk;
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  /** The machine whose clocks it has. */
  get machine(): Machine {
    return this.#o.machine;
  }

  get key(): string {
    return this.#o.folder.member.key;
  }

  get accepts(): Accepts {
    return this.#o.accepts;
  }

  /** Once it has read its journal. */
  get home(): Home | undefined {
    return this.#running?.up === true ? this.#running.home : undefined;
  }

  get homeState(): HomeState | undefined {
    return this.home?.state;
  }

  get runner(): Seen<RunnerState> | undefined {
    return this.#running?.up === true ? this.#running.runner : undefined;
  }

  get workers(): SimWorkers | undefined {
    return this.#running?.workers;
  }

  /** Its machine dies and does not come back. */
  lose(): void {
    this.#isLost = true;
    this.crash(true);
  }

  start(): void {
    if (this.#running !== undefined || this.#isLost) return;
    const { world, network, ledger, machine, folder, trackerKey, accepts, boot, slots, cpuLoad } = this.#o;
    const { name, key } = this;
    const life = lifeOf(`${name}-${(this.#starts += 1)}`, machine);
    const incarnation = life.name;
    const own: PeerSelf = {
      peer: name,
      incarnation,
      addresses: [{ host: name, port: 9000 }],
      machine: { boot, net: '' },
      slots,
      languages: { python: '3' },
      memoryMb: 1000,
      isolation: 2,
      accepts,
      version: '0',
    };
    const roster = new SimRoster(folder, trackerKey);
    const dialler: Dialler = { life, key, members: roster };
    const onWorkerEvent: { tell: Runner['onWorkerEvent'] } = { tell: () => {} };
    const workers = new SimWorkers({ world, life, ledger, runner: name, slots, isFlaky: this.#o.isFlaky === true, tell: (event) => onWorkerEvent.tell(event) });
    const broken = (error: unknown) => world.fail(error);
    world.later(0, life, () => {
      const runner = new Runner({
        peer: name,
        incarnation,
        version: '0',
        slots,
        languages: ['python'],
        memoryMb: 1000,
        clock: new TickClock(limits.tickMsMax),
        aheadInPipe: () => 16,
        confine: () => ({ isolation: 2, memoryMb: null }),
        workers,
        acceptance: { key, accept: accepts, trustMembers: false, level: 2, confirmedAgoMs: 0 },
        roster,
        report: () => {},
        broken,
        meter: { sample: cpuLoad },
      });
      onWorkerEvent.tell = (event) => runner.onWorkerEvent(event);
      const home: Home = new Home({
        peer: name,
        key,
        incarnation,
        version: '0',
        roster,
        machine: own.machine,
        folder: `/${name}`,
        indexWorker: new URL('file:///none'),
        store: {
          files: this.disk.for(life),
          index: new SimIndex(this.index, world, life),
          ...(this.#o.segmentBytesMax === undefined ? {} : { segmentBytesMax: this.#o.segmentBytesMax }),
          ...(this.#o.retention === undefined ? {} : { retention: this.#o.retention }),
        },
        connect: (info) => this.#connect(dialler, runner, info),
        about: () => ({}),
        toTracker: (message) => tracker.send(message),
        log: (line) => world.history.add(world.ms, life.name, line),
        broken,
      });
      const tracker: TrackerLink = new TrackerLink({
        addresses: () => [{ host: 'tracker', port: 8888 }],
        refresh: async () => {},
        connect: () => network.dial(dialler, 'tracker', 'tracker_unreachable'),
        onConfirmed: () => {},
        hello: () => ({ version: '0', incarnation, as: 'peer', name, self: { ...own, ...runner.state.acceptance.standingOnceLinked() } }),
        load: () => ({ cpu_load: runner.state.cpuLoad, running: runner.state.running, slots, queued: home.state.waiting.count, draining: runner.state.draining, isolation: 2, ...runner.standing() }),
        onUp: () => {
          runner.trackerUp();
          home.trackerUp();
        },
        onAway: () => {
          runner.trackerAway();
          home.trackerAway();
        },
        onMessage: (message) => home.fromTracker(message),
        onWelcome: () => {},
        onNameTaken: () => this.#nameTaken(life),
        log: () => {},
      });
      this.#running = { life, dialler, home, runner, workers, tracker, up: false };
      this.#begin(this.#running, { ...own, key, state: 'up', cpu_load: 0, running: 0, granted: 0, queued: 0 }).catch((error: unknown) => this.#cannotStart(life, error));
    });
    this.#running = { life, workers, up: false } as Running;
  }

  async #begin(running: Running, own: PeerInfo): Promise<void> {
    const { dialler, home, runner, tracker } = running;
    const { network } = this.#o;
    runner.start();
    await home.start(own);
    runner.warm('python');
    running.up = true;
    network.listen(this.name, {
      ...dialler,
      accept: (connection) => whenGreeted(connection, (hello) => this.#greeted(running, connection, hello)),
    });
    tracker.start();
  }

  #greeted({ home, runner }: Running, connection: Connection, hello: MessageOf<'hello'>): void {
    if (hello.as === 'client') home.accept(connection);
    else if (hello.as === 'home') runner.accept(connection, hello.name);
    else connection.close({ code: 'tracker_unreachable', message: 'this is a peer' });
  }

  /** The own runner by a link in memory, every other one by the network. */
  async #connect(dialler: Dialler, runner: Runner, info: PeerInfo): Promise<Connection> {
    if (info.peer !== this.name) return this.#o.network.dial(dialler, info.peer);
    const [ours, theirs] = connectInMemory(this.key, this.name);
    whenGreeted(theirs, (hello) => runner.accept(theirs, hello.name));
    return ours;
  }

  /** Its process before this one has not been noticed to be gone: it is started again, as by a person who reads that. */
  #nameTaken(life: Life): void {
    const { world } = this.#o;
    if (!life.alive) return;
    world.history.add(world.ms, life.name, 'name taken');
    world.later(0, undefined, () => {
      if (life.alive) this.crash(false);
      world.later(startAgainMs, undefined, () => this.start());
    });
  }

  #cannotStart(life: Life, error: unknown): void {
    const { world } = this.#o;
    if (!life.alive) return;
    if (!(error instanceof PotluckError)) return world.fail(error);
    world.history.add(world.ms, life.name, `does not start: ${error.code}`);
    if (error.code === 'store_damaged') {
      if (this.onDamage?.(error) !== true) return world.fail(error);
    } else if (error.code !== 'store_full' && error.code !== 'store_failed') return world.fail(error);
    this.crash(false);
    if (error.code !== 'store_damaged') world.later(startAgainMs, undefined, () => this.start());
  }

  /** @returns the life that ended */
  crash(withMachine: boolean): Life | undefined {
    const life = this.#running?.life;
    if (life === undefined) return undefined;
    life.alive = false;
    this.#running = undefined;
    if (withMachine) this.disk.crash();
    this.#o.ledger.runnerDied(this.name);
    this.#o.network.died(life, withMachine);
    return life;
  }

  /** Stops in order, as by a signal; `stopped` is called when it is over. */
  stop(stopped: () => void): void {
    const running = this.#running;
    if (running === undefined || !running.up) return;
    this.#o.world.later(0, running.life, () => {
      this.#stop(running).then(
        () => {
          if (!running.life.alive) return;
          this.crash(false);
          stopped();
        },
        (error: unknown) => this.#o.world.fail(error),
      );
    });
  }

  async #stop({ home, runner, tracker }: Running): Promise<void> {
    home.drain();
    const drained = runner.drain(drainMs);
    tracker.tellLoad();
    await drained;
    tracker.stop();
    await home.stop();
    runner.stop();
  }

  /** Drops what its journal does not have to keep. */
  compact(): void {
    const running = this.#running;
    if (running?.up === true) this.#o.world.later(0, running.life, () => void running.home.compact());
  }
}
