/**
 * The decider of a tracker: who is up, how loaded, and which home may use which slots now.
 *
 * Neighbours: tracker.ts owns sockets and timers; allotment-state.ts decides which home may use which slots.
 * Homes decide what happened to tasks, runners decide what they take: everything here is advice and is told
 * again after a restart.
 *
 * Invariants
 * 1. Allowances over all homes never exceed a runner's slots, except those it reports as running anyway.
 * 2. A home's word about what it holds counts only for grants it has seen (`seen`), and never for more than
 *    it was granted or, to a tracker that was started again, than the runner has for it.
 * 3. A name is its holder's while it is up or may come back: another key does not get it.
 * 4. Nothing is granted before the tracker has listened for `trackerListenMs`.
 */
import type { Now } from '../lib/clock.ts';
import type { Decider, Decision } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import type { Message, MessageOf, PeerInfo, PeerSelf, Problem } from '../wire/messages.ts';
import type { Role } from '../identity/roster.ts';
import { takes } from '../identity/acceptance.ts';
import { Allotment } from './allotment-state.ts';
import type { Member } from './member-state.ts';

export type TrackerEvent =
  | { type: 'tick' }
  /** `key` and `role`: proven by the link, as the roster has it. */
  | { type: 'registered'; link: number; key: string; role: Role | undefined; self: PeerSelf }
  | { type: 'load_told'; link: number; load: MessageOf<'load'> }
  | { type: 'demand_told'; link: number; demand: MessageOf<'demand'> }
  /** Members no more. */
  | { type: 'revoked'; keys: readonly string[] }
  | { type: 'link_closed'; link: number };

export interface TrackerSend {
  link: number;
  message: Message;
}

/** For the console: what changed in the pool. */
export interface PoolNews {
  what: 'registered' | 'back' | 'load' | 'suspected' | 'lost' | 'draining' | 'replaced' | 'revoked';
  peer: PeerInfo;
}

const newsGapMs = 200;

export class TrackerState implements Decider<TrackerEvent, TrackerSend, never, PoolNews> {
  readonly members = new Map<string, Member>();
  readonly #byLink = new Map<number, Member>();
  readonly #listenUntil: number;
  readonly #pool: string;
  readonly #name: string;
  #grantSeq = 0;
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
        return this.#registered(event);
      case 'load_told':
        return this.#loadTold(event.link, event.load);
      case 'demand_told':
        return this.#demandTold(event.link, event.demand);
      case 'revoked':
        return this.#revoked(event.keys);
      case 'link_closed':
        return this.#linkClosed(event.link);
      case 'tick':
        return this.#tick();
    }
  }

  // --- membership --------------------------------------------------------------------------

  #registered({ link, key, role, self }: Extract<TrackerEvent, { type: 'registered' }>): void {
    const known = this.members.get(self.peer);
    if (known !== undefined && known.info.key !== key && holdsName(known)) return this.#send(link, { kind: 'bye', error: nameTaken(self.peer) });
    if (known?.link !== undefined && known.link !== link) {
      // The same name from a newer process: the older link is of a process that died or will notice.
      this.#byLink.delete(known.link);
      if (known.info.incarnation !== self.incarnation) this.#news('replaced', known.info);
    }
    const info: PeerInfo = { ...self, key, state: 'up', cpu_load: known?.info.cpu_load ?? 0, running: 0, granted: 0, queued: 0 };
    const sameProcess = known?.info.incarnation === self.incarnation;
    const member: Member = {
      info,
      maySubmit: role !== 'runner',
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
    const { accepts = before.accepts, withheld, isolation = before.isolation } = load;
    this.#change(member, { running: load.running, slots: load.slots, queued: load.queued, state, accepts, withheld: load.accepts === undefined ? before.withheld : withheld, isolation });
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
    const told = ['running', 'slots', 'queued', 'state', 'granted', 'accepts', 'withheld', 'isolation'] as const;
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

  /** Shown as such for a while, and granted and counted no more. */
  #revoked(keys: readonly string[]): void {
    for (const [name, member] of this.members) {
      if (member.info.state === 'revoked' || !keys.includes(member.info.key)) continue;
      if (member.link !== undefined) this.#byLink.delete(member.link);
      member.link = undefined;
      member.awaySince = this.#now.ms;
      this.#lapse(member);
      this.#change(member, { state: 'revoked', running: 0, queued: 0 });
      for (const other of this.members.values()) other.allowed.delete(name);
      this.#news('revoked', member.info);
    }
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
      if (away >= limits.lostShownMs) this.members.delete(name);
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
    // A key that may only run tasks has none to place, and so holds nothing.
    member.waiting = member.maySubmit ? demand.waiting : [];
    member.lastNeed = member.waiting[0]?.need ?? member.lastNeed;
    const held = new Map(demand.held.map((entry) => [entry.peer, entry]));
    for (const [peer, allowance] of member.allowed) {
      if (allowance.seq > demand.seen) continue;
      const { slots, used } = atMost(held.get(peer), Math.max(allowance.slots, allowance.holding));
      this.#runsLess(peer, allowance.used - used);
      allowance.holding = slots;
      allowance.used = used;
      if (slots < allowance.slots) allowance.slots = slots;
      if (allowance.slots === 0 && slots === 0) member.allowed.delete(peer);
    }
    for (const [peer, claim] of held) {
      const { slots, used } = atMost(claim, this.#claimable(member, peer));
      if (member.allowed.has(peer) || slots === 0) continue;
      const allowance = { slots, holding: slots, used, seq: 0, at: this.#now.ms };
      member.allowed.set(peer, allowance);
      // After a restart of the tracker: what the home was granted before. Else a grant that has ended meanwhile.
      if (demand.seen === 0) continue;
      allowance.slots = 0;
      this.#sendGrant(member, peer, 0);
    }
  }

  /** What a home may say that it holds of a runner without having been granted it by this tracker. */
  #claimable({ maySubmit, info: { key } }: Member, peer: string): number {
    const runner = this.members.get(peer)?.info;
    if (!maySubmit) return 0;
    // Not here yet after a restart of the tracker: it is said again when the runner is.
    return runner === undefined ? limits.slotsMax : takes(runner, key, false) ? runner.slots : 0;
  }

  /** Attempts that a home says are over still count as running in what their runner told last. */
  #runsLess(peer: string, count: number): void {
    const member = this.members.get(peer);
    if (member !== undefined && count > 0) this.#change(member, { running: Math.max(0, member.info.running - count) });
  }

  #allot(): void {
    const { changed, reserved } = new Allotment(this.members, this.#now.ms).allot();
    for (const [home, peers] of changed) for (const peer of peers) this.#sendGrant(home, peer, reserved.get(peer) ?? 0);
    for (const member of this.members.values()) this.#change(member, { granted: reserved.get(member.info.peer) ?? 0 });
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

const atMost = (claim: { slots: number; used: number } | undefined, most: number): { slots: number; used: number } => {
  const slots = Math.min(claim?.slots ?? 0, most);
  return { slots, used: Math.min(claim?.used ?? 0, slots) };
};

/** Not one that is lost: its name is free for another machine. */
const holdsName = ({ info }: Member): boolean => info.state !== 'lost' && info.state !== 'revoked';

const nameTaken = (peer: string): Problem => ({
  code: 'name_taken',
  message: `the name ${peer} is taken`,
  hint: 'give this one another name: potluck peer --name NAME',
});
