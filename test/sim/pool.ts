/**
 * A whole pool in one process from one seed: a tracker, peers and clients, each the production code, on simulated
 * time, network, disks and workers.
 *
 * Owns: who there is, and how a part dies and comes back. What must hold: checks.ts, ledger.ts. What happens
 * when: scenario.ts. What single parts stand on: their own files here.
 */
import type { Accepts } from '../../src/wire/messages.ts';
import type { Retention } from '../../src/home/retention-state.ts';
import { Checks } from './checks.ts';
import { lookInto } from './insight.ts';
import { Broken, Ledger } from './ledger.ts';
import { Network } from './network.ts';
import { SimClient } from './sim-client.ts';
import { SimDisk } from './sim-disk.ts';
import { SimPeer } from './sim-peer.ts';
import { Folder, type Member, owner, rosterOf } from './sim-roster.ts';
import { SimTracker } from './sim-tracker.ts';
import { type Life, type Machine, machineOf, World } from './world.ts';

export interface PeerOptions {
  /** Peers with the same one measure the same CPU. */
  machine?: string;
  cpuLoad?: () => number;
  /** Not started yet. */
  late?: boolean;
  /** Whose it is. */
  member?: Member;
  accepts?: Accepts;
  /** Of its clock. */
  rate?: number;
  /** Some of its interpreters do not come up. */
  isFlaky?: boolean;
  segmentBytesMax?: number;
  retention?: Partial<Retention>;
}

export class SimPool {
  readonly world: World;
  readonly ledger: Ledger;
  readonly network: Network;
  readonly tracker: SimTracker;
  readonly peers = new Map<string, SimPeer>();
  readonly clients: SimClient[] = [];
  readonly checks: Checks;
  /** Faults that struck, by kind. */
  readonly faults = new Map<string, number>();

  readonly #folders = new Map<string, Folder>();

  /** @param members its users, when there are several; the first one's is the tracker */
  constructor(seed: number, members: readonly Member[] = []) {
    this.world = new World(seed);
    this.ledger = new Ledger(() => this.world.ms);
    this.network = new Network(this.world);
    for (const member of members) this.#folders.set(member.key, new Folder(member, rosterOf(members)));
    this.tracker = new SimTracker(this.world, this.network, machineOf('tracker'), this.#folderOf(members[0] ?? owner));
    this.checks = new Checks(this);
    lookInto.begin(this.world, {
      onHome: (decision) => this.checks.onHome(decision),
      onTracker: (decision, state) => this.checks.onTracker(decision, state),
      onRunner: (life, send) => {
        const workers = this.#byLife(life)?.workers;
        for (const effect of send) if (effect.to === 'feed') workers?.fed(effect.worker, effect.jobs);
      },
    });
    this.network.watchers.push({ delivered: (_, to, message) => this.checks.onMessage(to, message) });
  }

  // --- who there is ------------------------------------------------------------------------

  addPeer(name: string, slots: number, { machine: boot = name, cpuLoad = () => 0, late = false, member = owner, accepts = 'members', rate = 1, ...store }: PeerOptions = {}): SimPeer {
    const { world, network, ledger } = this;
    const machine = machineOf(name, rate);
    const peer = new SimPeer({ world, network, ledger, disk: new SimDisk(world, name), machine, folder: this.#folderOf(member), trackerKey: this.tracker.key, accepts, boot, slots, cpuLoad, ...store });
    this.peers.set(name, peer);
    if (!late) peer.start();
    return peer;
  }

  addClient(home: string, onEnd?: (id: string) => void, member: Member = owner): SimClient {
    const machine = machineOf(`client${this.clients.length}`);
    const client = new SimClient({ world: this.world, ledger: this.ledger, network: this.network, machine, folder: this.#folderOf(member), trackerKey: this.tracker.key, home, ...(onEnd === undefined ? {} : { onEnd }) });
    this.clients.push(client);
    client.start();
    return client;
  }

  #folderOf(member: Member): Folder {
    let folder = this.#folders.get(member.key);
    if (folder === undefined) this.#folders.set(member.key, (folder = new Folder(member)));
    return folder;
  }

  peer(name: string): SimPeer {
    const peer = this.peers.get(name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  #byLife(name: string): SimPeer | undefined {
    const peer = this.peers.get(name.slice(0, name.lastIndexOf('-')));
    return peer?.life?.name === name ? peer : undefined;
  }

  /** Every machine of the pool by its name. */
  machines(): Machine[] {
    return [this.tracker.machine, ...[...this.peers.values()].map(({ machine }) => machine)];
  }

  // --- dying and coming back ---------------------------------------------------------------

  /** The process stands still, as under SIGSTOP or in a machine that sleeps. */
  freeze(life: Life | undefined, forMs: number): void {
    if (life !== undefined) life.frozenUntil = Math.max(life.frozenUntil, this.world.ms + forMs);
  }

  crashTracker(withMachine: boolean): void {
    const life = this.tracker.crash();
    if (life !== undefined) this.network.died(life, withMachine);
  }

  /** Somebody is a member no more. The tracker knows at once, others when the roster reaches them. */
  revoke(key: string): void {
    this.ledger.abandon(key);
    if (!this.tracker.revoke(key)) this.world.later(100, undefined, () => this.revoke(key));
  }

  /** Everything that is down is up again, every way is open, every disk takes writes. */
  heal(): void {
    this.network.heal();
    this.tracker.start();
    for (const peer of this.peers.values()) {
      peer.disk.heal();
      peer.start();
    }
    for (const client of this.clients) client.start();
  }

  // --- time --------------------------------------------------------------------------------

  /** Lets time pass until `ms`. */
  run(ms: number): Promise<void> {
    return this.world.run(ms);
  }

  /** Lets the pool run until every task has its outcome. */
  async runToEnd(withinMs: number): Promise<void> {
    const { world, ledger } = this;
    await world.run(world.ms + withinMs, () => ledger.openCount === 0);
    const open = ledger.open();
    if (open.length > 0) throw new Broken(`after ${withinMs} ms without faults ${open.length} tasks have no outcome: ${open.slice(0, 3).map((id) => this.checks.whereIs(id)).join('; ')}`);
  }

  struck(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
    this.world.history.add(this.world.ms, 'fault', fault);
  }
}
