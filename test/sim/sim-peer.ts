/** A simulated peer: home, runner and the link to the tracker. Mirrors src/main/peer.ts and tracker-link.ts. */
import { Backoff } from '../../src/lib/backoff.ts';
import { limits } from '../../src/limits.ts';
import type { Accepts, Message, MessageOf, PeerInfo, PeerSelf } from '../../src/wire/messages.ts';
import type { Ledger } from './ledger.ts';
import { type Member, type Membership, membershipOf } from './members.ts';
import type { LinkEnd, Network } from './network.ts';
import type { SimDisk } from './sim-disk.ts';
import { SimHome } from './sim-home.ts';
import type { Dial } from './sim-runner-links.ts';
import { SimRunner } from './sim-runner.ts';
import type { Life, World } from './world.ts';

export interface SimPeerOptions {
  world: World;
  network: Network;
  ledger: Ledger;
  disk: SimDisk;
  name: string;
  machine: string;
  slots: number;
  cpuLoad: () => number;
  member: Member;
  accepts: Accepts;
  /** Reaches the tracker or a peer of that name, from a process of that life. */
  dial: Dial;
}

interface Running {
  life: Life;
  home: SimHome;
  runner: SimRunner;
  self: PeerSelf;
}

const loadEveryMs = 250;

export class SimPeer {
  readonly name: string;
  readonly slots: number;
  readonly disk: SimDisk;
  readonly #o: SimPeerOptions;
  readonly #member: Membership;
  #running: Running | undefined;
  #trackerEnd: LinkEnd | undefined;
  #starts = 0;
  #told = '';
  #toldAt = 0;

  constructor(options: SimPeerOptions) {
    this.#o = options;
    this.name = options.name;
    this.slots = options.slots;
    this.disk = options.disk;
    this.#member = membershipOf(options.member);
  }

  get key(): string {
    return this.#member.key;
  }

  get accepts(): Accepts {
    return this.#o.accepts;
  }

  /** The newer roster is here. */
  learn(key: string): void {
    this.#member.revoked.add(key);
    this.#tellRevoked();
    if (this.life !== undefined) this.#o.network.endStrangers(this.life);
  }

  #tellRevoked(): void {
    const keys = [...this.#member.revoked];
    if (keys.length === 0) return;
    this.home?.dispatch({ type: 'revoked', keys });
    this.runner?.revoke(keys);
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  get home(): SimHome | undefined {
    return this.#running?.home;
  }

  get runner(): SimRunner | undefined {
    return this.#running?.runner;
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { world, ledger, disk, name, machine, slots, cpuLoad, accepts } = this.#o;
    const life: Life = { alive: true, member: this.#member };
    const incarnation = `${name}-${(this.#starts += 1)}`;
    const self: PeerSelf = {
      peer: name,
      incarnation,
      addresses: [{ host: name, port: 9000 }],
      machine: { boot: machine, net: '' },
      slots,
      languages: { python: '3' },
      memoryMb: 1000,
      isolation: 1,
      accepts,
      version: '0',
    };
    const own: PeerInfo = { ...self, key: this.#member.key, state: 'up', cpu_load: 0, running: 0, granted: 0, queued: 0 };
    const runner = new SimRunner({ world, life, ledger, peer: name, incarnation, slots, cpuLoad, member: this.#member, accepts });
    const dial: Dial = (from, peer, hello, found) => (peer === name ? this.#dialOwn(life, runner, hello, found) : this.#o.dial(from, peer, hello, found));
    const home = new SimHome({ world, life, disk, own, dial, toTracker: (message) => this.#trackerEnd?.send(message) });
    this.#running = { life, home, runner, self };
    home.start();
    this.#tellRevoked();
    runner.start();
    this.#dialTracker(new Backoff(limits.redialMsMin, limits.redialMsMax, () => world.between(0, 1)));
    world.every(loadEveryMs, life, () => this.#beat());
  }

  /** @returns the life that ended */
  crash(): Life | undefined {
    const running = this.#running;
    if (running === undefined) return undefined;
    running.life.alive = false;
    this.#running = undefined;
    this.#trackerEnd = undefined;
    this.disk.lose();
    this.#o.ledger.runnerDied(this.name);
    return running.life;
  }

  /** Takes nothing new from now on, neither as a home nor as a runner. */
  drain(): void {
    this.#running?.home.dispatch({ type: 'draining' });
    this.#running?.runner.drain();
    this.#told = '';
  }

  /** A link on which somebody said hello. */
  accept(end: LinkEnd, hello: MessageOf<'hello'>): void {
    if (this.#running === undefined) return end.close();
    if (hello.as === 'client') this.#running.home.acceptClient(end);
    else this.#running.runner.accept(end, hello.name);
  }

  #dialOwn(life: Life, runner: SimRunner, hello: MessageOf<'hello'>, found: (end: LinkEnd | undefined) => void): void {
    const [ours, theirs] = this.#o.network.connectInMemory(life);
    theirs.onMessage = (message) => {
      if (message.kind === 'hello') runner.accept(theirs, message.name);
    };
    found(ours);
    ours.send(hello);
  }

  // --- tracker -----------------------------------------------------------------------------

  #dialTracker(backoff: Backoff): void {
    const running = this.#running;
    if (running === undefined) return;
    const { world, dial } = this.#o;
    const { life, self } = running;
    const again = () => world.later(backoff.next(), life, () => this.#dialTracker(backoff));
    dial(life, 'tracker', { kind: 'hello', version: '0', incarnation: self.incarnation, as: 'peer', name: self.peer, self }, (end) => {
      if (end === undefined) return void again();
      end.onClose = again;
      end.onMessage = (message) => {
        if (message.kind !== 'hello') throw new Error(`a tracker opened with "${message.kind}"`);
        backoff.reset();
        this.#trackerUp(running, end, again);
      };
    });
  }

  #trackerUp({ home }: Running, end: LinkEnd, again: () => void): void {
    this.#trackerEnd = end;
    this.#told = '';
    end.onMessage = (message) => this.#fromTracker(home, message);
    end.onClose = () => {
      this.#trackerEnd = undefined;
      home.trackerAway();
      again();
    };
    home.trackerUp();
    this.#beat();
  }

  #fromTracker(home: SimHome, message: Message): void {
    if (message.kind === 'grant' || message.kind === 'peers') home.fromTracker(message);
    else if (message.kind !== 'welcome') throw new Error(`a tracker does not send "${message.kind}" to a peer`);
  }

  #beat(): void {
    const { world } = this.#o;
    if (this.#running === undefined || this.#trackerEnd === undefined) return;
    const { home, runner } = this.#running;
    const load = { cpu_load: runner.state.cpuLoad, running: runner.state.running, slots: this.slots, queued: home.state.waiting.count, draining: runner.state.draining };
    const text = JSON.stringify({ ...load, cpu_load: Math.round(load.cpu_load * 50) });
    if (text === this.#told && world.ms - this.#toldAt < limits.heartbeatMs) return;
    this.#told = text;
    this.#toldAt = world.ms;
    this.#trackerEnd.send({ kind: 'load', ...load });
  }
}
