/**
 * The runners that a home knows: what it was told of them, what it holds there, and the standing demand.
 *
 * Owns: the table, grants and what becomes of them, links that are wanted. What is lost with a link is
 * decided in home-state.ts; who gets a task, in choosing-state.ts.
 *
 * Invariants
 * 1. `holding` is at least `granted`, and above it only what still runs: a recall is under way then.
 * 2. No message per task: the demand is told when it starts, changes or ends, and renewed.
 */
import { limits } from '../limits.ts';
import type { Message, MessageOf, Need, PeerInfo } from '../wire/messages.ts';
import type { HomeEvent } from './home-events.ts';
import { isUp, misfit, newRunner, type Runner } from './placement-state.ts';
import type { Waiting } from './waiting-state.ts';

const demandGapMs = 10;
const blockMsMin = 20;
const blockMsMax = 1_000;

export class Runners {
  readonly map = new Map<string, Runner>();
  trackerUp = false;
  /** The tracker has told everybody that it knows: who is not in the table is not in the pool. */
  isListed = false;
  /** Links to open. */
  dials: string[] = [];
  readonly #self: string;
  #uses = 0;
  #grantSeen = 0;
  #demandDirty = false;
  /** What it holds is used by more or fewer attempts than the tracker was told. */
  #usesChanged = false;
  #demandAt = -Infinity;
  #demanded = 0;
  #holdsNothing = true;

  constructor(self: string) {
    this.#self = self;
  }

  find(peer: string): Runner | undefined {
    return this.map.get(peer);
  }

  /** The runner of that name, known or not. */
  get(peer: string): Runner {
    let runner = this.map.get(peer);
    if (runner === undefined) this.map.set(peer, (runner = newRunner(peer)));
    return runner;
  }

  dial(runner: Runner): void {
    if (runner.link !== 'none' || runner.info === undefined) return;
    runner.link = 'dialling';
    this.dials.push(runner.peer);
  }

  // --- what is told ------------------------------------------------------------------------

  /** @param seen the grants that are answered already: 0 with a new tracker */
  trackerCame(seen: number): void {
    this.trackerUp = true;
    this.#demandDirty = true;
    this.#grantSeen = seen;
    this.isListed = false;
  }

  peersTold(all: boolean, peers: readonly PeerInfo[]): void {
    const told = new Set<string>();
    for (const info of peers) {
      told.add(info.peer);
      const runner = this.get(info.peer);
      runner.info = info;
      runner.unlisted = false;
      this.#shareCpuLoad(info);
      if (info.state === 'up' && (runner.granted > 0 || runner.attempts.size > 0)) this.dial(runner);
    }
    if (!all) return;
    this.isListed = true;
    for (const [peer, runner] of this.map) {
      if (told.has(peer) || peer === this.#self) continue;
      // A tracker that was started again does not know everybody yet.
      runner.unlisted = true;
      this.#forgetUnlisted(runner);
    }
  }

  loadTold({ peer, running, others, slots, cpuLoad, draining }: Extract<HomeEvent, { type: 'runner_load' }>): void {
    const runner = this.get(peer);
    if (runner.info === undefined) return;
    const state = draining ? 'draining' : runner.info.state === 'draining' ? 'up' : runner.info.state;
    runner.info = { ...runner.info, running, slots, cpu_load: cpuLoad, state };
    if (others !== undefined) runner.others = others;
    this.#shareCpuLoad(runner.info);
    if (running < slots) runner.blockedUntil = 0;
  }

  /** Peers on one machine share one figure, or two readings of it would rank equals. */
  #shareCpuLoad({ machine, cpu_load }: PeerInfo): void {
    for (const other of this.map.values()) {
      const { info } = other;
      if (info === undefined || info.cpu_load === cpu_load) continue;
      if (info.machine.boot === machine.boot && info.machine.net === machine.net) other.info = { ...info, cpu_load };
    }
  }

  granted(grant: MessageOf<'grant'>, nowMs: number): void {
    this.#grantSeen = Math.max(this.#grantSeen, grant.seq);
    const runner = this.get(grant.peer);
    runner.granted = grant.slots;
    runner.others = grant.others;
    runner.holding = Math.max(grant.slots, Math.min(runner.holding, runner.attempts.size));
    // Answered in any case: a tracker that recalls waits to hear what is still held.
    this.#demandDirty = true;
    runner.usedAt = nowMs;
    if (grant.slots > 0) this.dial(runner);
  }

  /** Its holder is no member any more: nothing goes there, and nothing that comes from there counts. Returns its attempts. */
  revoked(runner: Runner): [key: string, id: string][] {
    const attempts = [...runner.attempts];
    if (runner.info !== undefined) runner.info = { ...runner.info, state: 'revoked' };
    runner.attempts.clear();
    runner.granted = 0;
    runner.holding = 0;
    runner.lostAt = undefined;
    this.#demandDirty = true;
    return attempts;
  }

  unlinked(runner: Runner, nowMs: number): void {
    // Nobody answered: not tried again at once.
    if (runner.link === 'dialling') runner.blockedUntil = nowMs + blockMsMax;
    runner.link = 'none';
    if (runner.attempts.size > 0) runner.lostAt ??= nowMs + limits.linkGraceMs;
    if (runner.attempts.size > 0 || (runner.granted > 0 && !runner.unlisted)) this.dial(runner);
    else this.#forgetUnlisted(runner);
  }

  // --- use ---------------------------------------------------------------------------------

  /** An attempt was sent there. */
  use(runner: Runner, key: string, id: string, nowMs: number): void {
    runner.attempts.set(key, id);
    this.#usesChanged = true;
    runner.lastUsed = this.#uses += 1;
    runner.usedAt = nowMs;
  }

  /** The attempt no longer occupies its runner. */
  release(runner: Runner, key: string, nowMs: number): void {
    if (!runner.attempts.delete(key)) return;
    this.#usesChanged = true;
    runner.usedAt = nowMs;
    this.giveBackRecalled(runner);
  }

  /** Above what is granted it holds only what still runs. */
  giveBackRecalled(runner: Runner): void {
    const holding = Math.max(runner.granted, Math.min(runner.holding, runner.attempts.size));
    if (holding !== runner.holding) this.#demandDirty = true;
    runner.holding = holding;
  }

  /** It turned something away: left alone for a while, longer each time if it is only busy. */
  block(runner: Runner, busy: boolean, nowMs: number): void {
    if (busy) runner.blockMs = Math.min(blockMsMax, Math.max(blockMsMin, runner.blockMs * 2));
    runner.blockedUntil = nowMs + (busy ? runner.blockMs : blockMsMax);
    this.#demandDirty = true;
  }

  unblock(runner: Runner): void {
    runner.blockedUntil = 0;
    runner.blockMs = 0;
  }

  /** Once in a while: who is gone is forgotten, what lies idle goes back. */
  tidy(runner: Runner, nowMs: number): void {
    this.#forgetUnlisted(runner);
    if (runner.granted <= runner.attempts.size || nowMs - runner.usedAt < limits.grantIdleMs || !this.trackerUp) return;
    runner.granted = runner.attempts.size;
    runner.holding = runner.granted;
    this.#demandDirty = true;
  }

  #forgetUnlisted(runner: Runner): void {
    if (runner.unlisted && runner.link === 'none' && runner.attempts.size === 0) this.map.delete(runner.peer);
  }

  // --- the standing demand -----------------------------------------------------------------

  /** What the tracker is to be told now, if anything. @param homeKey the home's own */
  demand(waiting: Waiting, homeKey: string, nowMs: number): Message | undefined {
    if (!this.trackerUp || nowMs < this.demandDue(waiting.count)) return undefined;
    const held = [...this.map.values()]
      .filter((runner) => runner.holding > 0)
      .map((runner) => ({ peer: runner.peer, slots: runner.holding, used: usedSlots(runner, nowMs) }));
    this.#demandDirty = false;
    this.#usesChanged = false;
    this.#demandAt = nowMs;
    this.#demanded = waiting.count;
    this.#holdsNothing = held.length === 0;
    return { kind: 'demand', seen: this.#grantSeen, waiting: waiting.demand((need) => this.#isServed(need, homeKey)), held };
  }

  #isServed(need: Need, homeKey: string): boolean {
    return [...this.map.values()].some((runner) => isUp(runner) && misfit(runner.info!, need, homeKey) === undefined);
  }

  demandDue(waiting: number): number {
    if (!this.trackerUp) return Infinity;
    if (this.#demandDirty || (waiting !== this.#demanded && (waiting === 0 || waiting > this.#demanded))) return this.#demandAt + demandGapMs;
    if (waiting === 0 && this.#holdsNothing) return Infinity;
    return this.#demandAt + (waiting === this.#demanded && !this.#usesChanged ? limits.demandRenewMs : 10 * demandGapMs);
  }

  /** When a runner must be looked at next. */
  wakeAt(waiting: number, nowMs: number): number {
    let at = this.demandDue(waiting);
    for (const runner of this.map.values()) {
      if (runner.lostAt !== undefined && runner.link !== 'up') at = Math.min(at, Math.max(runner.lostAt, nowMs + 250));
      if (runner.blockedUntil > nowMs && waiting > 0) at = Math.min(at, runner.blockedUntil);
      if (runner.granted > runner.attempts.size) at = Math.min(at, Math.max(runner.usedAt + limits.grantIdleMs, nowMs + 50));
    }
    return at;
  }
}

/** Idle slots of a runner that turns tasks away count as used, or the tracker would wait for them to be. */
const usedSlots = (runner: Runner, nowMs: number): number => (runner.blockedUntil > nowMs ? runner.holding : Math.min(runner.holding, runner.attempts.size));
