/**
 * A whole pool in one process from one seed: a tracker, peers and clients, each with its production
 * decider, on simulated time, links, disks and workers; and the checks that look at all of them at once.
 *
 * Owns: who there is, faults, checks of the whole. What single parts do: their own files here.
 */
import { limits } from '../../src/limits.ts';
import { takes } from '../../src/identity/acceptance.ts';
import type { Accepts } from '../../src/wire/messages.ts';
import { Broken, Ledger } from './ledger.ts';
import { areStrangers, everybody, type Member } from './members.ts';
import { Network } from './network.ts';
import { SimClient } from './sim-client.ts';
import { SimDisk } from './sim-disk.ts';
import { SimPeer } from './sim-peer.ts';
import type { Dial } from './sim-runner-links.ts';
import { SimTracker } from './sim-tracker.ts';
import { type Life, wallOf, World } from './world.ts';

/** Nobody there: refused at once. No way there: silence until the dialler gives up. */
const refusedMs = 1;
const lookEveryMs = 20;
/** Connected peers have the newer roster by then. */
export const revokedWithinMs = 5_000;
/** Two leases, silence, and grants given back after that. */
const restAfterMs = 45_000;
/** A home may be down, frozen (its own clock stands still then) or without a disk when the time comes. */
const expiredWithinMs = 45_000;
/** With the tracker up, a task waits beside a free slot at most this long: demand, grant, link, attempt. */
export const idleSlotMsMax = 250;

export class SimPool {
  readonly world: World;
  readonly ledger = new Ledger();
  readonly network: Network;
  readonly tracker: SimTracker;
  readonly peers = new Map<string, SimPeer>();
  readonly clients: SimClient[] = [];
  /** Since when a task of that home has waited beside a slot that is free. */
  readonly #idleSince = new Map<string, number>();
  /** The check for idle slots begins then: faults need their time to be noticed. */
  calmAt = 2_000;

  constructor(seed: number) {
    this.world = new World(seed);
    this.network = new Network(this.world);
    this.tracker = new SimTracker(this.world);
  }

  // --- who there is ------------------------------------------------------------------------

  addPeer(name: string, slots: number, more: { machine?: string; cpuLoad?: () => number; late?: boolean; member?: Member; accepts?: Accepts } = {}): SimPeer {
    const { world, network, ledger } = this;
    const peer = new SimPeer({ world, network, ledger, disk: new SimDisk(world), name, machine: more.machine ?? name, slots, cpuLoad: more.cpuLoad ?? (() => 0), member: more.member ?? everybody, accepts: more.accepts ?? 'members', dial: this.dial });
    this.peers.set(name, peer);
    if (more.late !== true) peer.start();
    return peer;
  }

  addClient(home: string, onEnd?: (id: string) => void, member: Member = everybody): SimClient {
    const client = new SimClient({ world: this.world, ledger: this.ledger, home, member, dial: this.dial, ...(onEnd === undefined ? {} : { onEnd }) });
    this.clients.push(client);
    client.start();
    return client;
  }

  peer(name: string): SimPeer {
    const peer = this.peers.get(name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  /** Starts the checks that go on while the pool runs. */
  watch(): void {
    this.world.every(lookEveryMs, undefined, () => this.#look());
  }

  readonly dial: Dial = (from, name, hello, found) => {
    const { world } = this;
    world.later(refusedMs, from, () => {
      const to = name === 'tracker' ? this.tracker : this.peers.get(name);
      const life = to?.life;
      if (to === undefined || life === undefined || areStrangers(from, life)) return found(undefined);
      const [ours, theirs] = this.network.connect(from, life);
      theirs.onMessage = (message) => {
        if (message.kind === 'hello') to.accept(theirs, message);
      };
      found(ours);
      ours.send(hello);
    });
  };

  // --- faults ------------------------------------------------------------------------------

  crashPeer(name: string, withMachine: boolean): void {
    const life = this.peer(name).crash();
    if (life !== undefined) this.network.died(life, withMachine);
  }

  /** The process stands still, as under SIGSTOP or in a machine that sleeps. */
  freeze(life: Life | undefined, forMs: number): void {
    if (life === undefined) return;
    life.frozenUntil = Math.max(life.frozenUntil ?? 0, this.world.ms + forMs);
    this.network.frozen(life, forMs);
  }

  crashTracker(withMachine: boolean): void {
    const life = this.tracker.crash();
    if (life !== undefined) this.network.died(life, withMachine);
  }

  /** The tracker knows at once, others when the roster reaches them. */
  revoke(key: string): void {
    this.tracker.revoke(key);
    if (this.tracker.life !== undefined) this.network.endStrangers(this.tracker.life);
    this.ledger.abandon(key);
    for (const peer of this.peers.values()) {
      if (peer.key !== key) this.world.later(this.world.between(0, revokedWithinMs), undefined, () => peer.learn(key));
    }
  }

  /** Everything that is down is up again, every disk takes writes. */
  heal(): void {
    if (this.tracker.life === undefined) this.tracker.start();
    for (const peer of this.peers.values()) {
      peer.disk.full = false;
      peer.start();
    }
  }

  // --- checks ------------------------------------------------------------------------------

  #look(): void {
    for (const { name, home } of this.peers.values()) {
      if (home === undefined) continue;
      for (const task of home.state.tasks.values()) {
        if (task.state === 'queued' && home.state.why(task) === '') throw new Broken(`${task.id} waits at ${name} and nobody says what for`);
      }
      this.#checkIdle(name);
      this.#checkExpired(name);
    }
    if (this.world.ms >= this.calmAt) this.ledger.checkKilled(this.world.ms, () => true);
  }

  /** A task that had to start within a time does not wait on after it. */
  #checkExpired(name: string): void {
    const { ms } = this.world;
    for (const task of this.peers.get(name)?.home?.state.tasks.values() ?? []) {
      const { waitMs } = task.accepted.options;
      const overdue = waitMs !== undefined && task.state === 'queued' && task.attempts.length === 0 && task.accepted.wall + waitMs + expiredWithinMs < wallOf(ms);
      if (overdue) throw new Broken(`${task.id} of ${name} should have expired`);
    }
  }

  #checkIdle(name: string): void {
    const { ms } = this.world;
    const beside = ms < this.calmAt ? undefined : this.#waitsBeside(name);
    if (beside === undefined) {
      this.#idleSince.delete(name);
      return;
    }
    const since = this.#idleSince.get(name) ?? ms;
    this.#idleSince.set(name, since);
    if (ms - since > idleSlotMsMax) throw new Broken(`at ${ms} ms a task of ${name} has waited ${ms - since} ms while ${beside}`);
  }

  /** A free slot beside which a task of this home waits, in words. */
  #waitsBeside(name: string): string | undefined {
    const state = this.peers.get(name)?.home?.state;
    if (state === undefined || !state.trackerUp || this.tracker.state === undefined) return undefined;
    for (const line of state.waiting.lines()) {
      for (const { name: other, runner, slots } of this.peers.values()) {
        if (runner === undefined || runner.state.draining || runner.state.attempts.size >= slots) continue;
        if (line.confidential && other !== name) continue;
        if (!takes(this.peer(other), this.peer(name).key, line.need.foreign === true)) continue;
        if ((line.need.memoryMb ?? 0) > 1000 || (line.avoid === other && this.peers.size > 1)) continue;
        return `${other} had a free slot (line ${line.key})`;
      }
    }
    return undefined;
  }

  /** Lets the pool run until every task has its outcome. */
  runToEnd(withinMs: number): void {
    const end = this.world.ms + withinMs;
    while (this.world.ms < end && this.ledger.open().length > 0) this.world.run(Math.min(end, this.world.ms + 100));
    const open = this.ledger.open();
    if (open.length > 0) throw new Broken(`after ${withinMs} ms without faults ${open.length} tasks have no outcome: ${open.slice(0, 3).map((id) => this.#whereIs(id)).join('; ')}`);
  }

  #whereIs(id: string): string {
    for (const { name, home } of this.peers.values()) {
      const task = home?.state.tasks.get(id);
      if (task !== undefined && home !== undefined) return `${id} at ${name}: ${task.state}, ${task.state === 'queued' ? home.state.why(task) : `attempt on ${task.attempts.at(-1)?.peer}`}`;
    }
    return `${id}: known to no home`;
  }

  /** Nothing is held any more by anybody: no slot, no grant, no result. */
  checkRest(): void {
    this.world.run(this.world.ms + restAfterMs);
    // A home that lost its unflushed memory does not ask for results it knows nothing of: they expire.
    if (this.#keptResults() !== undefined) this.world.run(this.world.ms + limits.resultKeepMs + 1_000);
    const kept = this.#keptResults();
    if (kept !== undefined) throw new Broken(kept);
    for (const { name, home, runner } of this.peers.values()) {
      if (home === undefined || runner === undefined) continue;
      if (runner.state.running !== 0 || runner.state.attempts.size !== 0) throw new Broken(`the runner ${name} still has ${runner.state.attempts.size} attempts, ${runner.state.running} running`);
      for (const other of home.state.runners.values()) {
        if (other.attempts.size > 0) throw new Broken(`the home ${name} believes that ${other.attempts.size} attempts occupy ${other.peer}`);
        if (other.granted > 0 || other.holding > 0) throw new Broken(`the home ${name} keeps ${other.granted}/${other.holding} slots of ${other.peer}`);
      }
    }
    const recorded = [...this.peers.values()].map(({ home }) => home?.endedOnDisk());
    for (const id of this.ledger.outcomes().keys()) if (!this.ledger.entry(id).abandoned && !recorded.some((ids) => ids?.has(id) === true)) throw new Broken(`the outcome of ${id} was seen and is on no disk`);
    for (const info of this.tracker.state?.peers() ?? []) if (info.granted > 0) throw new Broken(`the tracker counts ${info.granted} slots of ${info.peer} as granted`);
  }

  #keptResults(): string | undefined {
    for (const { name, runner } of this.peers.values()) {
      for (const home of this.peers.keys()) if ((runner?.state.heldFor(home).length ?? 0) > 0) return `the runner ${name} still keeps results of ${home}`;
    }
    return undefined;
  }
}
