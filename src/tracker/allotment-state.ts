/**
 * One round of sharing out: free slots to homes that wait, offers to those at work, recalls from those that
 * have more than their share. Changes the allowances of members, and says which.
 *
 * Neighbours: tracker-state.ts keeps the members and sends the grants; shares-state.ts computes fair shares.
 *
 * Invariants
 * 1. Allowances on a runner and what runs there besides are together no more than its slots.
 * 2. While somebody waits nobody is offered what it has not asked for.
 */
import { limits } from '../limits.ts';
import type { PeerInfo } from '../wire/messages.ts';
import { fits, idle, type Member, sum, total, used, type Wanted } from './member-state.ts';
import { fairShares } from './shares-state.ts';

/** What a home wants in all, what of it waits for a slot, and what has one. */
interface Claim {
  home: Member;
  wanted: number;
  unmet: number;
  served: number;
}

export class Allotment {
  /** By runner: slots that homes may use or still occupy, and what runs there besides (confidential, or from memory). */
  readonly reserved: Map<string, number>;
  /** By home: runners on which its allowance is another than before. */
  readonly changed = new Map<Member, Set<string>>();
  readonly #members: ReadonlyMap<string, Member>;
  readonly #nowMs: number;
  #turn: number;

  constructor(members: ReadonlyMap<string, Member>, nowMs: number) {
    this.#members = members;
    this.#nowMs = nowMs;
    this.#turn = Math.max(0, ...[...members.values()].map(({ servedAt }) => servedAt));
    this.reserved = this.#reservedSlots();
  }

  allot(): this {
    const hungry = [...this.#members.values()].filter((home) => home.link !== undefined && home.waiting.length > 0);
    const starving = this.#serve(hungry);
    if (starving.length > 0) this.#recall(starving);
    else for (const home of this.#members.values()) this.#offerEquals(home);
    return this;
  }

  /** Slots of a runner that no home may use. */
  #free(member: Member): number {
    if (member.info.state !== 'up') return 0;
    return member.info.slots - (this.reserved.get(member.info.peer) ?? 0);
  }

  #reservedSlots(): Map<string, number> {
    const reserved = new Map([...this.#members].map(([peer, { info }]) => [peer, info.running]));
    for (const home of this.#members.values()) {
      for (const [peer, { used }] of home.allowed) reserved.set(peer, Math.max(0, (reserved.get(peer) ?? 0) - used));
    }
    for (const home of this.#members.values()) {
      for (const [peer, { slots, holding }] of home.allowed) reserved.set(peer, (reserved.get(peer) ?? 0) + Math.max(slots, holding));
    }
    return reserved;
  }

  /** Gives free slots, one at a time, always to the home that holds least, in turn. Returns the homes that wait on. */
  #serve(hungry: Member[]): Member[] {
    const wants = hungry.map((home) => ({ home, total: total(home), unmet: this.#unmet(home) }));
    let open = wants.filter(({ unmet }) => unmet.length > 0);
    while (open.length > 0) {
      let least = open[0]!;
      for (const want of open) if (want.total < least.total || (want.total === least.total && want.home.servedAt < least.home.servedAt)) least = want;
      const [first] = least.unmet;
      const runner = first === undefined ? undefined : this.#leastLoaded(first, least.home);
      if (first === undefined || runner === undefined) {
        least.unmet.shift();
        if (least.unmet.length === 0) open = open.filter((want) => want !== least);
        continue;
      }
      this.#allow(least.home, runner);
      least.home.servedAt = this.#turn += 1;
      least.total += 1;
      if ((first.count -= 1) <= 0) least.unmet.shift();
      if (least.unmet.length === 0) open = open.filter((want) => want !== least);
    }
    return hungry.filter((home) => this.#unmet(home).some(({ need }) => [...this.#members.values()].some(({ info }) => fits(info, need, home.info.key))));
  }

  /** What a home waits for beyond the idle slots that it holds. */
  #unmet(home: Member): Wanted[] {
    return this.#matched(home).unmet;
  }

  /** Idle slots put to what waits: what waits on, and, by runner, idle slots that nothing there has a use for. */
  #matched(home: Member): { unmet: Wanted[]; spare: Map<string, number> } {
    const open = home.waiting.map((entry) => ({ ...entry }));
    const spare = new Map<string, number>();
    for (const [peer, allowance] of home.allowed) {
      const info = this.#members.get(peer)?.info;
      let left = idle(allowance);
      for (const wanted of open) {
        if (left <= 0 || info === undefined) break;
        if (!this.#suits(info, wanted, home)) continue;
        const served = Math.min(left, wanted.count);
        wanted.count -= served;
        left -= served;
      }
      if (left > 0) spare.set(peer, left);
    }
    return { unmet: open.filter(({ count }) => count > 0), spare };
  }

  /** Whether such tasks would be sent there: a runner to avoid only if it is the only one that fits. */
  #suits(info: PeerInfo, { need, avoid }: Wanted, { info: { key } }: Member): boolean {
    if (!fits(info, need, key)) return false;
    return info.peer !== avoid || ![...this.#members.values()].some((other) => other.info.peer !== avoid && fits(other.info, need, key));
  }

  #leastLoaded(wanted: Wanted, home: Member): Member | undefined {
    let best: Member | undefined;
    let bestKey: readonly [number, number] = [Infinity, Infinity];
    for (const member of this.#members.values()) {
      if (!this.#suits(member.info, wanted, home) || this.#free(member) <= 0) continue;
      const key = this.#orderKey(member);
      if (key[0] < bestKey[0] || (key[0] === bestKey[0] && key[1] < bestKey[1])) {
        best = member;
        bestKey = key;
      }
    }
    return best;
  }

  #orderKey({ info }: Member): readonly [number, number] {
    const load = (this.reserved.get(info.peer) ?? 0) / Math.max(1, info.slots);
    const cpu = Math.floor(info.cpu_load / limits.cpuStep) * limits.cpuStep;
    return [Math.max(load, cpu), load];
  }

  /**
   * A slot on each of the equally free runners, so that tasks sent one after another take turns.
   * Only for a home that is at work: what it does not use, it gives back.
   */
  #offerEquals(home: Member): void {
    const need = home.lastNeed;
    const atWork = home.waiting.length > 0 || [...home.allowed.values()].some(({ used }) => used > 0);
    let room = limits.offersOfOneMax - total(home);
    if (need === undefined || home.link === undefined || !atWork || room <= 0) return;
    const fitting = [...this.#members.values()].filter((member) => fits(member.info, need, home.info.key));
    const keys = fitting.map((member) => this.#keyForOthers(member, home));
    const best = Math.min(...keys);
    fitting.forEach((member, at) => {
      if (room <= 0 || keys[at] !== best || home.allowed.has(member.info.peer) || this.#free(member) <= 0) return;
      this.#allow(home, member);
      room -= 1;
    });
  }

  /** How taken a runner is, leaving out what this home itself may use there. */
  #keyForOthers({ info }: Member, home: Member): number {
    const own = home.allowed.get(info.peer);
    const mine = own === undefined ? 0 : Math.max(own.slots, own.holding);
    const load = Math.max(0, (this.reserved.get(info.peer) ?? 0) - mine) / Math.max(1, info.slots);
    return Math.max(load, Math.floor(info.cpu_load / limits.cpuStep) * limits.cpuStep);
  }

  #allow(home: Member, runner: Member): void {
    const { peer } = runner.info;
    const allowance = home.allowed.get(peer) ?? { slots: 0, holding: 0, used: 0, seq: 0, at: this.#nowMs };
    home.allowed.set(peer, allowance);
    allowance.slots = Math.max(allowance.slots, allowance.holding) + 1;
    this.reserved.set(peer, (this.reserved.get(peer) ?? 0) + 1);
    this.#note(home, peer);
  }

  /** Takes back what the starving homes lack: idle slots first, then by fair share. */
  #recall(starving: readonly Member[]): void {
    const homes = [...this.#members.values()].filter((home) => total(home) > 0 || starving.includes(home));
    if (homes.length < 2) return;
    const claims = homes.map((home) => {
      const unmet = sum(this.#unmet(home).map(({ count }) => count));
      const wanted = used(home) + sum(home.waiting.map(({ count }) => count));
      return { home, wanted, unmet, served: wanted - unmet };
    });
    const coming = returning(homes);
    const taken = this.#recallIdle(claims, coming.soon, starving);
    this.#recallShares(claims, coming.soon + coming.later + taken, starving);
  }

  /** Slots that their home has nothing for, whatever the shares. @returns how many */
  #recallIdle(claims: readonly Claim[], coming: number, starving: readonly Member[]): number {
    let taken = 0;
    const open = sum(claims.map(({ unmet }) => unmet)) - coming;
    for (const { home } of claims) {
      for (const [peer, count] of this.#matched(home).spare) taken += this.#take(home, peer, Math.min(open - taken, count), starving);
    }
    return taken;
  }

  /** From homes above their share; a busy slot comes back when its attempt ends. */
  #recallShares(claims: readonly Claim[], coming: number, starving: readonly Member[]): void {
    const capacity = sum([...this.#members.values()].map(({ info }) => (info.state === 'up' ? info.slots : 0)));
    const shares = fairShares(capacity, claims.map(({ wanted }) => wanted));
    const deficits = claims.map(({ home, served }, at) => (starving.includes(home) ? Math.max(0, Math.max(1, Math.floor(shares[at]!)) - served) : 0));
    let lacking = sum(deficits) - coming;
    // What only others could use stays, or it would be given out again in the next round, and so on.
    const below = claims.filter((_, at) => deficits[at]! > 0).map(({ home }) => home);
    // Idle slots that nobody wants count against no share: they would cost their home the one that it can use.
    claims.forEach(({ home, served }, at) => {
      lacking -= this.#takeFrom(home, Math.min(lacking, served - Math.ceil(shares[at]!)), below);
    });
    if (lacking > 0) this.#takeTurns(claims.map(({ home }) => home), lacking, starving);
  }

  /** Idle slots first. @returns how many were recalled */
  #takeFrom(home: Member, count: number, starving: readonly Member[]): number {
    let taken = 0;
    for (const [peer] of [...home.allowed].toSorted(([, a], [, b]) => idle(b) - idle(a))) taken += this.#take(home, peer, count - taken, starving);
    return taken;
  }

  /** At most `count` slots of one runner, if somebody who starves could use them. @returns how many */
  #take(home: Member, peer: string, count: number, starving: readonly Member[]): number {
    const info = this.#members.get(peer)?.info;
    const allowance = home.allowed.get(peer);
    if (info === undefined || allowance === undefined) return 0;
    const taken = Math.min(count, allowance.slots);
    if (taken <= 0 || !starving.some((other) => other !== home && other.waiting.some((wanted) => this.#suits(info, wanted, other)))) return 0;
    allowance.holding = Math.max(allowance.holding, allowance.slots);
    allowance.slots -= taken;
    this.#note(home, peer);
    return taken;
  }

  /** More homes than slots: who has had its one the longest lets another one in. */
  #takeTurns(homes: readonly Member[], lacking: number, starving: readonly Member[]): void {
    const oldest = (home: Member) => Math.min(...[...home.allowed.values()].filter(({ slots }) => slots > 0).map(({ at }) => at));
    const served = homes.filter((home) => total(home) > 0 && this.#nowMs - oldest(home) >= limits.homeTurnMs).toSorted((a, b) => oldest(a) - oldest(b));
    const hungriest = starving.filter((home) => total(home) === 0);
    for (const home of served.slice(0, Math.min(lacking, hungriest.length))) this.#takeFrom(home, 1, hungriest);
  }

  #note(home: Member, peer: string): void {
    this.changed.set(home, (this.changed.get(home) ?? new Set()).add(peer));
  }
}

/** Slots under recall: idle ones come back at once, busy ones when their attempts end. */
function returning(homes: readonly Member[]): { soon: number; later: number } {
  const allowances = homes.flatMap((home) => [...home.allowed.values()]);
  return {
    soon: sum(allowances.map(({ slots, holding, used }) => Math.max(0, holding - Math.max(slots, used)))),
    later: sum(allowances.map(({ slots, holding, used }) => Math.max(0, Math.min(holding, used) - slots))),
  };
}
