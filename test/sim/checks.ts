/**
 * What must hold of a simulated pool, whatever happens to its parts: looked at with every decision, with every
 * message that a client gets, every few milliseconds, and at the end. What single tasks promise: ledger.ts.
 */
import type { HomeState } from '../../src/home/home-state.ts';
import { takes } from '../../src/identity/acceptance.ts';
import { limits } from '../../src/limits.ts';
import type { TrackerState } from '../../src/tracker/tracker-state.ts';
import type { Message } from '../../src/wire/messages.ts';
import type { HomeDecision, TrackerDecision } from './insight.ts';
import { Broken } from './ledger.ts';
import type { SimPool } from './pool.ts';
import type { Life } from './world.ts';

const lookEveryMs = 20;
/** Two leases, silence, and grants given back after that. */
const restAfterMs = 45_000;
/** A home may be down, frozen (its own clock stands still then) or without a disk when the time comes. */
const expiredWithinMs = 45_000;

export class Checks {
  readonly #pool: SimPool;
  /** Since when a task of that home has waited beside a slot that is free. */
  readonly #idleSince = new Map<string, number>();
  /** What asks that nothing is wrong begins then: faults need their time to be noticed. */
  calmAt = 2_000;
  /** With the tracker up, a task waits beside a free slot at most this long: demand, grant, link, attempt. */
  idleSlotMsMax = 250;

  constructor(pool: SimPool) {
    this.#pool = pool;
  }

  /** Starts the checks that go on while the pool runs. */
  watch(): void {
    this.#pool.world.every(lookEveryMs, undefined, () => this.#look());
  }

  // --- as it happens -----------------------------------------------------------------------

  onHome({ journal, after }: HomeDecision): void {
    const { ledger } = this.#pool;
    for (const record of journal) if (record.kind === 'assigned') ledger.assigned(record.id, record.key);
    for (const effect of after) if (effect.to === 'history' && ledger.knows(effect.story.accepted.id)) ledger.recorded(effect.story);
  }

  /** Slots that homes may use or still occupy are no more than there are, whenever one is given. */
  onTracker({ send }: TrackerDecision, state: TrackerState): void {
    for (const { message } of send) {
      if (message.kind !== 'grant' || message.slots === 0) continue;
      const member = state.members.get(message.peer);
      let allowed = 0;
      for (const home of state.members.values()) allowed += home.allowed.get(message.peer)?.slots ?? 0;
      if (member !== undefined && allowed > member.info.slots) throw new Broken(`homes may use ${allowed} slots of ${message.peer}, which has ${member.info.slots}`);
    }
  }

  onMessage(to: Life, message: Message): void {
    if (!to.name.startsWith('client')) return;
    const { ledger } = this.#pool;
    switch (message.kind) {
      case 'accepted':
        for (const id of message.ids) ledger.accepted(id);
        return;
      case 'refused':
        if (message.error.code !== 'id_conflict') ledger.refused(message.id, message.error.code, to.machine.name);
        return;
      case 'outcome':
        return ledger.ended(message);
      case 'no_task':
        return ledger.missing(message.id);
    }
  }

  // --- while it runs -----------------------------------------------------------------------

  #look(): void {
    const { peers, world, ledger } = this.#pool;
    for (const { name, homeState } of peers.values()) {
      if (homeState === undefined) continue;
      for (const task of homeState.tasks.values()) if (task.state === 'queued' && homeState.why(task) === '') throw new Broken(`${task.id} waits at ${name} and nobody says what for`);
      this.#checkIdle(name, homeState);
      this.#checkExpired(name, homeState);
    }
    if (world.ms >= this.calmAt) ledger.checkKilled();
  }

  /** A task that had to start within a time does not wait on after it. */
  #checkExpired(name: string, home: HomeState): void {
    const { ledger, world } = this.#pool;
    for (const task of home.tasks.values()) {
      const { waitMs } = task.accepted.options;
      if (waitMs === undefined || task.state !== 'queued' || task.attempts.length > 0) continue;
      const { submittedAt = 0 } = ledger.entry(task.id);
      if (submittedAt + waitMs + expiredWithinMs < world.ms) throw new Broken(`${task.id} of ${name} should have expired`);
    }
  }

  #checkIdle(name: string, home: HomeState): void {
    const { ms } = this.#pool.world;
    const beside = ms < this.calmAt ? undefined : this.#waitsBeside(name, home);
    if (beside === undefined) {
      this.#idleSince.delete(name);
      return;
    }
    const since = this.#idleSince.get(name) ?? ms;
    this.#idleSince.set(name, since);
    if (ms - since > this.idleSlotMsMax) throw new Broken(`at ${ms} ms a task of ${name} has waited ${ms - since} ms while ${beside}`);
  }

  /** A free slot beside which a task of this home waits, in words. */
  #waitsBeside(name: string, home: HomeState): string | undefined {
    const { peers, tracker } = this.#pool;
    if (!home.trackerUp || tracker.life === undefined) return undefined;
    for (const line of home.waiting.lines()) {
      for (const { name: other, runner, slots } of peers.values()) {
        if (runner === undefined || runner.state.draining || runner.state.attempts.size >= slots) continue;
        if (line.confidential && other !== name) continue;
        if (!takes(this.#pool.peer(other), this.#pool.peer(name).key, line.need.foreign === true)) continue;
        if ((line.need.memoryMb ?? 0) > 1000 || (line.avoid === other && peers.size > 1)) continue;
        return `${other} had a free slot (line ${line.key})`;
      }
    }
    return undefined;
  }

  // --- at the end --------------------------------------------------------------------------

  /** How it stands with a task, in words. */
  whereIs(id: string): string {
    for (const { name, homeState } of this.#pool.peers.values()) {
      const task = homeState?.tasks.get(id);
      if (task !== undefined && homeState !== undefined) return `${id} at ${name}: ${task.state}, ${task.state === 'queued' ? homeState.why(task) : `attempt on ${task.attempts.at(-1)?.peer}`}`;
      const story = homeState?.recent.get(id);
      if (story !== undefined) return `${id} at ${name}: ended as ${story.ended.state}`;
    }
    return `${id}: known to no home`;
  }

  /** Nothing is held any more by anybody: no slot, no grant, no result; every outcome that was seen is recorded. */
  async atRest(): Promise<void> {
    const { world } = this.#pool;
    for (const end = world.ms + restAfterMs; world.ms < end && this.#unrest() !== undefined; ) await world.run(world.ms + 500);
    // A home that lost its unflushed memory does not ask for results it knows nothing of: they expire.
    if (this.#keptResults() !== undefined) await world.run(world.ms + limits.resultKeepMs + 1_000);
    const unrest = this.#unrest();
    if (unrest !== undefined) throw new Broken(unrest);
    await this.#checkRecorded();
  }

  /** What is still held, in words. */
  #unrest(): string | undefined {
    const { peers, tracker } = this.#pool;
    for (const { name, homeState, runner } of peers.values()) {
      if (homeState === undefined || runner === undefined) continue;
      if (runner.state.running !== 0 || runner.state.attempts.size !== 0) return `the runner ${name} still has ${runner.state.attempts.size} attempts, ${runner.state.running} running`;
      for (const other of homeState.runners.values()) {
        if (other.attempts.size > 0) return `the home ${name} believes that ${other.attempts.size} attempts occupy ${other.peer}`;
        if (other.granted > 0 || other.holding > 0) return `the home ${name} keeps ${other.granted}/${other.holding} slots of ${other.peer}`;
      }
    }
    for (const info of tracker.state?.peers() ?? []) if (info.granted > 0) return `the tracker counts ${info.granted} slots of ${info.peer} as granted`;
    return this.#keptResults();
  }

  #keptResults(): string | undefined {
    const { peers } = this.#pool;
    for (const { name, runner } of peers.values()) {
      for (const { key, name: home } of peers.values()) if ((runner?.state.heldFor(`${key}/${home}`).length ?? 0) > 0) return `the runner ${name} still keeps results of ${home}`;
    }
    return undefined;
  }

  async #checkRecorded(): Promise<void> {
    const { ledger, peers, world } = this.#pool;
    const found = new Map<string, string>();
    let asked = 0;
    let answered = 0;
    for (const id of ledger.outcomes().keys()) {
      for (const { life, home } of peers.values()) {
        if (life === undefined || home === undefined) continue;
        asked += 1;
        world.later(0, life, () => {
          home.ended(id).then(
            (past) => {
              answered += 1;
              if (past !== undefined) found.set(id, 'ended' in past ? past.ended.state : past.state);
            },
            (error: unknown) => world.fail(error),
          );
        });
      }
    }
    // Somebody may still be frozen.
    await world.run(world.ms + 60_000, () => answered === asked);
    for (const [id, { state }] of ledger.outcomes()) {
      if (ledger.isAbandoned(id)) continue;
      if (found.get(id) !== state) throw new Broken(`the outcome ${state} of ${id} was seen, and recorded is ${found.get(id) ?? 'nothing'}`);
    }
  }
}
