/**
 * The decider of a tracker: who is up, how loaded, and which home may use which slots now.
 *
 * Neighbours: tracker.ts owns sockets and timers; shares-state.ts computes fair shares. Homes decide what
 * happened to tasks, runners decide what they take: everything here is advice and is told again after a restart.
 *
 * Invariants
 * 1. Allowances over all homes never exceed a runner's slots, except those it reports as running anyway.
 * 2. A home's word about what it holds counts only for grants it has seen (`seen`).
 * 3. Nothing is granted before the tracker has listened for `trackerListenMs`.
 */
import type { Now } from '../lib/clock.ts';
import type { Decider, Decision } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import type { Message, MessageOf, Need, PeerInfo, PeerSelf } from '../wire/messages.ts';
import { fairShares } from './shares-state.ts';

export type TrackerEvent =
  | { type: 'tick' }
  | { type: 'registered'; link: number; key: string; self: PeerSelf }
  | { type: 'load_told'; link: number; load: MessageOf<'load'> }
  | { type: 'demand_told'; link: number; demand: MessageOf<'demand'> }
  | { type: 'link_closed'; link: number };

export interface TrackerSend {
  link: number;
  message: Message;
}

/** For the console: what changed in the pool. */
export interface PoolNews {
  what: 'registered' | 'back' | 'load' | 'suspected' | 'lost' | 'draining' | 'replaced';
  peer: PeerInfo;
}

/** Tasks of equal needs that wait at a home. */
type Wanted = MessageOf<'demand'>['waiting'][number];

interface Member {
  info: PeerInfo;
  /** Undefined while its link is closed. */
  link: number | undefined;
  awaySince: number | undefined;
  /** Told to others since the last news. */
  dirty: boolean;
  machineKey: string;
  waiting: Wanted[];
  /** What it last waited for. */
  lastNeed: Need | undefined;
  demandAt: number;
  /** Rises with each slot it gets, so that of homes with equally few the one that waited longest is next. */
  servedAt: number;
  /** Slots by runner that this member, as a home, may use; and the grant that said so. */
  readonly allowed: Map<string, Allowance>;
}

/** What a home wants in all, what of it waits for a slot, and what has one. */
interface Claim {
  home: Member;
  wanted: number;
  unmet: number;
  served: number;
}

interface Allowance {
  slots: number;
  /** What the home last said that it occupies; more than `slots` while a recall is under way. */
  holding: number;
  /** Of those, what runs something. */
  used: number;
  seq: number;
  /** Since when, for taking turns when there are more homes than slots. */
  at: number;
}

const newsGapMs = 200;
/** With more homes than slots, a home keeps its slot at least this long. */
const turnMs = 500;
/** A lost peer is shown for this long. */
const forgetMs = 60 * 60_000;

export class TrackerState implements Decider<TrackerEvent, TrackerSend, never, PoolNews> {
  readonly members = new Map<string, Member>();
  readonly #byLink = new Map<number, Member>();
  readonly #listenUntil: number;
  readonly #pool: string;
  readonly #name: string;
  #grantSeq = 0;
  #served = 0;
  #newsAt = 0;
  #newsDue = false;
  #now: Now = { ms: 0, wall: 0 };
  #out: Decision<TrackerSend, never, PoolNews> = { send: [], journal: [], after: [], wakeAt: undefined };

  constructor(options: { pool: string; name: string; startedAtMs: number }) {
    this.#pool = options.pool;
    this.#name = options.name;
    this.#listenUntil = options.startedAtMs + limits.trackerListenMs;
  }

  decide(event: TrackerEvent, now: Now): Decision<TrackerSend, never, PoolNews> {
    this.#now = now;
    this.#out = { send: [], journal: [], after: [], wakeAt: undefined };
    this.#handle(event);
    if (now.ms >= this.#listenUntil) this.#allot();
    this.#tellNews();
    this.#out.wakeAt = this.#wakeAt();
    return this.#out;
  }

  peers(): PeerInfo[] {
    return [...this.members.values()].map((member) => member.info);
  }

  #handle(event: TrackerEvent): void {
    switch (event.type) {
      case 'registered':
        return this.#registered(event.link, event.key, event.self);
      case 'load_told':
        return this.#loadTold(event.link, event.load);
      case 'demand_told':
        return this.#demandTold(event.link, event.demand);
      case 'link_closed':
        return this.#linkClosed(event.link);
      case 'tick':
        return this.#tick();
    }
  }

  // --- membership --------------------------------------------------------------------------

  #registered(link: number, key: string, self: PeerSelf): void {
    const known = this.members.get(self.peer);
    if (known?.link !== undefined && known.link !== link) {
      // The same name from a newer process: the older link is of a process that died or will notice.
      this.#byLink.delete(known.link);
      if (known.info.incarnation !== self.incarnation) this.#news('replaced', known.info);
    }
    const info: PeerInfo = { ...self, key, state: 'up', cpu_load: known?.info.cpu_load ?? 0, running: 0, granted: 0, queued: 0 };
    const sameProcess = known?.info.incarnation === self.incarnation;
    const member: Member = {
      info,
      link,
      awaySince: undefined,
      dirty: true,
      machineKey: `${self.machine.boot}/${self.machine.net}`,
      waiting: [],
      lastNeed: undefined,
      demandAt: this.#now.ms,
      servedAt: known?.servedAt ?? 0,
      allowed: sameProcess ? known.allowed : new Map(),
    };
    // On a new link the home counts grants anew: what it says it holds is true of all of them.
    for (const allowance of member.allowed.values()) allowance.seq = 0;
    if (!sameProcess) for (const other of this.members.values()) other.allowed.delete(self.peer);
    this.members.set(self.peer, member);
    this.#byLink.set(link, member);
    this.#send(link, { kind: 'welcome', pool: this.#pool, tracker: this.#name });
    this.#sendPeers(link, true, this.peers());
    this.#news(known === undefined ? 'registered' : 'back', info);
    this.#newsDue = true;
  }

  #loadTold(link: number, load: MessageOf<'load'>): void {
    const member = this.#byLink.get(link);
    if (member === undefined) return;
    const state = load.draining ? 'draining' : 'up';
    const before = member.info;
    this.#change(member, { running: load.running, slots: load.slots, queued: load.queued, state });
    if (state !== before.state) this.#news(state === 'draining' ? 'draining' : 'back', member.info);
    // Peers that share a machine share its one figure.
    for (const other of this.members.values()) {
      if (other.machineKey === member.machineKey) this.#change(other, { cpu_load: load.cpu_load });
    }
  }

  #change(member: Member, change: Partial<PeerInfo>): void {
    const before = member.info;
    member.info = { ...before, ...change };
    const step = (info: PeerInfo) => Math.round(info.cpu_load * 20);
    const told = ['running', 'slots', 'queued', 'state', 'granted'] as const;
    if (told.every((field) => before[field] === member.info[field]) && step(before) === step(member.info)) return;
    member.dirty = true;
    this.#newsDue = true;
  }

  #linkClosed(link: number): void {
    const member = this.#byLink.get(link);
    this.#byLink.delete(link);
    if (member === undefined || member.link !== link) return;
    member.link = undefined;
    member.awaySince = this.#now.ms;
    this.#change(member, { state: 'suspected' });
    this.#news('suspected', member.info);
  }

  #tick(): void {
    const { ms } = this.#now;
    for (const [name, member] of this.members) {
      if (member.link !== undefined) {
        if (ms - member.demandAt > limits.demandLapseMs) this.#lapse(member);
        continue;
      }
      const away = ms - (member.awaySince ?? ms);
      if (member.info.state === 'suspected' && away >= limits.linkGraceMs) {
        this.#lapse(member);
        this.#change(member, { state: 'lost', running: 0, queued: 0 });
        for (const other of this.members.values()) other.allowed.delete(name);
        this.#news('lost', member.info);
      }
      if (away >= forgetMs) this.members.delete(name);
    }
  }

  #lapse(member: Member): void {
    member.waiting = [];
    member.allowed.clear();
  }

  // --- grants ------------------------------------------------------------------------------

  #demandTold(link: number, demand: MessageOf<'demand'>): void {
    const member = this.#byLink.get(link);
    if (member === undefined) return;
    member.demandAt = this.#now.ms;
    member.waiting = demand.waiting;
    member.lastNeed = demand.waiting[0]?.need ?? member.lastNeed;
    const held = new Map(demand.held.map((entry) => [entry.peer, entry]));
    for (const [peer, allowance] of member.allowed) {
      if (allowance.seq > demand.seen) continue;
      const { slots, used } = held.get(peer) ?? { slots: 0, used: 0 };
      this.#runsLess(peer, allowance.used - used);
      allowance.holding = slots;
      allowance.used = used;
      if (slots < allowance.slots) allowance.slots = slots;
      if (allowance.slots === 0 && slots === 0) member.allowed.delete(peer);
    }
    for (const [peer, { slots, used }] of held) {
      if (member.allowed.has(peer)) continue;
      const allowance = { slots, holding: slots, used, seq: 0, at: this.#now.ms };
      member.allowed.set(peer, allowance);
      // After a restart of the tracker: what the home was granted before. Else a grant that has ended meanwhile.
      if (demand.seen === 0) continue;
      allowance.slots = 0;
      this.#sendGrant(member, peer, 0);
    }
  }

  /** Attempts that a home says are over still count as running in what their runner told last. */
  #runsLess(peer: string, count: number): void {
    const member = this.members.get(peer);
    if (member !== undefined && count > 0) this.#change(member, { running: Math.max(0, member.info.running - count) });
  }

  /** Slots of a runner that no home may use. */
  #free(member: Member, reserved: ReadonlyMap<string, number>): number {
    if (member.info.state !== 'up') return 0;
    return member.info.slots - (reserved.get(member.info.peer) ?? 0);
  }

  #allot(): void {
    const reserved = this.#reserved();
    const changed = new Map<Member, Set<string>>();
    const hungry = [...this.members.values()].filter((home) => home.link !== undefined && home.waiting.length > 0);
    const starving = this.#serve(hungry, reserved, changed);
    if (starving.length > 0) this.#recall(starving, changed);
    else for (const home of this.members.values()) this.#offerEquals(home, reserved, changed);
    for (const [home, peers] of changed) for (const peer of peers) this.#sendGrant(home, peer, reserved.get(peer) ?? 0);
    for (const member of this.members.values()) this.#change(member, { granted: reserved.get(member.info.peer) ?? 0 });
  }

  /** By runner: slots that homes may use or still occupy, and what runs there besides (confidential, or from memory). */
  #reserved(): Map<string, number> {
    const reserved = new Map([...this.members].map(([peer, { info }]) => [peer, info.running]));
    for (const home of this.members.values()) {
      for (const [peer, { used }] of home.allowed) reserved.set(peer, Math.max(0, (reserved.get(peer) ?? 0) - used));
    }
    for (const home of this.members.values()) {
      for (const [peer, { slots, holding }] of home.allowed) reserved.set(peer, (reserved.get(peer) ?? 0) + Math.max(slots, holding));
    }
    return reserved;
  }

  /** Gives free slots, one at a time, always to the home that holds least, in turn. Returns the homes that wait on. */
  #serve(hungry: Member[], reserved: Map<string, number>, changed: Map<Member, Set<string>>): Member[] {
    const wants = hungry.map((home) => ({ home, total: total(home), unmet: this.#unmet(home) }));
    let open = wants.filter(({ unmet }) => unmet.length > 0);
    while (open.length > 0) {
      let least = open[0]!;
      for (const want of open) if (want.total < least.total || (want.total === least.total && want.home.servedAt < least.home.servedAt)) least = want;
      const [first] = least.unmet;
      const runner = first === undefined ? undefined : this.#leastLoaded(first, reserved);
      if (first === undefined || runner === undefined) {
        least.unmet.shift();
        if (least.unmet.length === 0) open = open.filter((want) => want !== least);
        continue;
      }
      this.#allow(least.home, runner, reserved, changed);
      least.home.servedAt = this.#served += 1;
      least.total += 1;
      if ((first.count -= 1) <= 0) least.unmet.shift();
      if (least.unmet.length === 0) open = open.filter((want) => want !== least);
    }
    return hungry.filter((home) => this.#unmet(home).some(({ need }) => [...this.members.values()].some(({ info }) => fits(info, need))));
  }

  /** What a home waits for beyond the idle slots that it holds. */
  #unmet(home: Member): Wanted[] {
    const open = home.waiting.map((entry) => ({ ...entry }));
    for (const [peer, { slots, used }] of home.allowed) {
      const info = this.members.get(peer)?.info;
      let idle = slots - used;
      for (const wanted of open) {
        if (idle <= 0 || info === undefined) break;
        if (!this.#suits(info, wanted)) continue;
        const served = Math.min(idle, wanted.count);
        wanted.count -= served;
        idle -= served;
      }
    }
    return open.filter(({ count }) => count > 0);
  }

  /** Whether such tasks would be sent there: a runner to avoid only if it is the only one that fits. */
  #suits(info: PeerInfo, { need, avoid }: Wanted): boolean {
    if (!fits(info, need)) return false;
    return info.peer !== avoid || ![...this.members.values()].some((other) => other.info.peer !== avoid && fits(other.info, need));
  }

  #leastLoaded(wanted: Wanted, reserved: ReadonlyMap<string, number>): Member | undefined {
    let best: Member | undefined;
    let bestKey: readonly [number, number] = [Infinity, Infinity];
    for (const member of this.members.values()) {
      if (!this.#suits(member.info, wanted) || this.#free(member, reserved) <= 0) continue;
      const key = this.#orderKey(member, reserved);
      if (key[0] < bestKey[0] || (key[0] === bestKey[0] && key[1] < bestKey[1])) {
        best = member;
        bestKey = key;
      }
    }
    return best;
  }

  #orderKey({ info }: Member, reserved: ReadonlyMap<string, number>): readonly [number, number] {
    const load = (reserved.get(info.peer) ?? 0) / Math.max(1, info.slots);
    const cpu = Math.floor(info.cpu_load / limits.cpuStep) * limits.cpuStep;
    return [Math.max(load, cpu), load];
  }

  /**
   * A slot on each of the equally free runners, so that tasks sent one after another take turns.
   * Only for a home that is at work: what it does not use, it gives back.
   */
  #offerEquals(home: Member, reserved: Map<string, number>, changed: Map<Member, Set<string>>): void {
    const need = home.lastNeed;
    const atWork = home.waiting.length > 0 || [...home.allowed.values()].some(({ used }) => used > 0);
    let room = limits.offersOfOneMax - total(home);
    if (need === undefined || home.link === undefined || !atWork || room <= 0) return;
    const fitting = [...this.members.values()].filter((member) => fits(member.info, need));
    const keys = fitting.map((member) => this.#keyForOthers(member, home, reserved));
    const best = Math.min(...keys);
    fitting.forEach((member, at) => {
      if (room <= 0 || keys[at] !== best || home.allowed.has(member.info.peer) || this.#free(member, reserved) <= 0) return;
      this.#allow(home, member, reserved, changed);
      room -= 1;
    });
  }

  /** How taken a runner is, leaving out what this home itself may use there. */
  #keyForOthers({ info }: Member, home: Member, reserved: ReadonlyMap<string, number>): number {
    const own = home.allowed.get(info.peer);
    const mine = own === undefined ? 0 : Math.max(own.slots, own.holding);
    const load = Math.max(0, (reserved.get(info.peer) ?? 0) - mine) / Math.max(1, info.slots);
    return Math.max(load, Math.floor(info.cpu_load / limits.cpuStep) * limits.cpuStep);
  }

  #allow(home: Member, runner: Member, reserved: Map<string, number>, changed: Map<Member, Set<string>>): void {
    const { peer } = runner.info;
    const allowance = home.allowed.get(peer) ?? { slots: 0, holding: 0, used: 0, seq: 0, at: this.#now.ms };
    home.allowed.set(peer, allowance);
    allowance.slots = Math.max(allowance.slots, allowance.holding) + 1;
    reserved.set(peer, (reserved.get(peer) ?? 0) + 1);
    note(changed, home, peer);
  }

  /** Takes back what the starving homes lack: idle slots first, then by fair share. */
  #recall(starving: readonly Member[], changed: Map<Member, Set<string>>): void {
    const homes = [...this.members.values()].filter((home) => total(home) > 0 || starving.includes(home));
    if (homes.length < 2) return;
    const claims = homes.map((home) => {
      const unmet = sum(this.#unmet(home).map(({ count }) => count));
      const wanted = used(home) + sum(home.waiting.map(({ count }) => count));
      return { home, wanted, unmet, served: wanted - unmet };
    });
    const coming = returning(homes);
    const taken = this.#recallIdle(claims, coming.soon, starving, changed);
    this.#recallShares(claims, coming.soon + coming.later + taken, starving, changed);
  }

  /** Slots that their home has nothing for, whatever the shares. @returns how many */
  #recallIdle(claims: readonly Claim[], coming: number, starving: readonly Member[], changed: Map<Member, Set<string>>): number {
    let taken = 0;
    const open = sum(claims.map(({ unmet }) => unmet)) - coming;
    for (const { home, served } of claims) taken += this.#takeFrom(home, Math.min(open - taken, total(home) - served), starving, changed, true);
    return taken;
  }

  /** From homes above their share; a busy slot comes back when its attempt ends. */
  #recallShares(claims: readonly Claim[], coming: number, starving: readonly Member[], changed: Map<Member, Set<string>>): void {
    const capacity = sum([...this.members.values()].map(({ info }) => (info.state === 'up' ? info.slots : 0)));
    const shares = fairShares(capacity, claims.map(({ wanted }) => wanted));
    const deficits = claims.map(({ home, served }, at) => (starving.includes(home) ? Math.max(0, Math.max(1, Math.floor(shares[at]!)) - served) : 0));
    let lacking = sum(deficits) - coming;
    claims.forEach(({ home }, at) => {
      lacking -= this.#takeFrom(home, Math.min(lacking, total(home) - Math.ceil(shares[at]!)), starving, changed);
    });
    if (lacking > 0) this.#takeTurns(claims.map(({ home }) => home), lacking, starving, changed);
  }

  /** @returns how many slots were recalled */
  #takeFrom(home: Member, count: number, starving: readonly Member[], changed: Map<Member, Set<string>>, idleOnly = false): number {
    let left = count;
    for (const [peer, allowance] of [...home.allowed].toSorted(([, a], [, b]) => idle(b) - idle(a))) {
      if (left <= 0) break;
      const info = this.members.get(peer)?.info;
      if (info === undefined || !starving.some((other) => other !== home && other.waiting.some((wanted) => this.#suits(info, wanted)))) continue;
      const taken = Math.min(left, idleOnly ? idle(allowance) : allowance.slots);
      if (taken <= 0) continue;
      allowance.holding = Math.max(allowance.holding, allowance.slots);
      allowance.slots -= taken;
      left -= taken;
      note(changed, home, peer);
    }
    return Math.max(0, count - left);
  }

  /** More homes than slots: who has had its one the longest lets another one in. */
  #takeTurns(homes: readonly Member[], lacking: number, starving: readonly Member[], changed: Map<Member, Set<string>>): void {
    const oldest = (home: Member) => Math.min(...[...home.allowed.values()].filter(({ slots }) => slots > 0).map(({ at }) => at));
    const served = homes.filter((home) => total(home) > 0 && this.#now.ms - oldest(home) >= turnMs).sort((a, b) => oldest(a) - oldest(b));
    const hungriest = starving.filter((home) => total(home) === 0).length;
    for (const home of served.slice(0, Math.min(lacking, hungriest))) this.#takeFrom(home, 1, starving, changed);
  }

  #sendGrant(home: Member, peer: string, reserved: number): void {
    const allowance = home.allowed.get(peer);
    const runner = this.members.get(peer);
    if (allowance === undefined || runner === undefined || home.link === undefined) return;
    allowance.seq = this.#grantSeq += 1;
    const others = Math.max(0, reserved - Math.max(allowance.slots, allowance.holding));
    this.#send(home.link, { kind: 'grant', peer, incarnation: runner.info.incarnation, slots: allowance.slots, others, seq: allowance.seq });
  }

  // --- news --------------------------------------------------------------------------------

  #send(link: number, message: Message): void {
    this.#out.send.push({ link, message });
  }

  #news(what: PoolNews['what'], peer: PeerInfo): void {
    this.#out.after.push({ what, peer });
  }

  #tellNews(): void {
    if (!this.#newsDue || this.#now.ms - this.#newsAt < newsGapMs) return;
    const peers = [...this.members.values()].filter((member) => member.dirty);
    for (const member of peers) {
      member.dirty = false;
      this.#news('load', member.info);
    }
    this.#newsDue = false;
    this.#newsAt = this.#now.ms;
    if (peers.length === 0) return;
    const infos = peers.map((member) => member.info);
    for (const { link } of this.members.values()) if (link !== undefined) this.#sendPeers(link, false, infos);
  }

  /** In parts that fit a message; only the first says that who is not on it is unknown. */
  #sendPeers(link: number, all: boolean, peers: readonly PeerInfo[]): void {
    for (let at = 0; at < Math.max(1, peers.length); at += limits.listPartMax) {
      this.#send(link, { kind: 'peers', all: all && at === 0, peers: peers.slice(at, at + limits.listPartMax) });
    }
  }

  #wakeAt(): number {
    const { ms } = this.#now;
    let at = ms + limits.tickMsMax;
    if (ms < this.#listenUntil) at = Math.min(at, this.#listenUntil);
    if (this.#newsDue) at = Math.min(at, this.#newsAt + newsGapMs);
    for (const { awaySince } of this.members.values()) {
      if (awaySince !== undefined && awaySince + limits.linkGraceMs > ms) at = Math.min(at, awaySince + limits.linkGraceMs);
    }
    return Math.max(at, ms + 1);
  }
}

const fits = (info: PeerInfo, need: Need): boolean =>
  info.state === 'up' && info.languages[need.language] !== undefined && (need.memoryMb ?? 0) <= info.memoryMb;

/** Slots a home may use now. */
const total = (home: Member): number => sum([...home.allowed.values()].map(({ slots }) => slots));

const idle = ({ slots, used }: Allowance): number => slots - used;

/** Of those, what runs something. */
const used = (home: Member): number => sum([...home.allowed.values()].map(({ slots, used }) => Math.min(slots, used)));

/** Slots under recall: idle ones come back at once, busy ones when their attempts end. */
function returning(homes: readonly Member[]): { soon: number; later: number } {
  const allowances = homes.flatMap((home) => [...home.allowed.values()]);
  return {
    soon: sum(allowances.map(({ slots, holding, used }) => Math.max(0, holding - Math.max(slots, used)))),
    later: sum(allowances.map(({ slots, holding, used }) => Math.max(0, Math.min(holding, used) - slots))),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((one, two) => one + two, 0);

function note(changed: Map<Member, Set<string>>, home: Member, peer: string): void {
  changed.set(home, (changed.get(home) ?? new Set()).add(peer));
}
