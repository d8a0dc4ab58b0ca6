/**
 * Links between simulated processes: first in, first out per direction, each message with its own delay;
 * nothing orders two links.
 *
 * Invariants
 * 1. What is under way when a link is cut is lost, without a word to either end.
 * 2. Each end learns of a cut in its own time; after an orderly close everything sent before still arrives.
 */
import { limits } from '../../src/limits.ts';
import type { Message } from '../../src/wire/messages.ts';
import { areStrangers, everybody, type Member } from './members.ts';
import type { Life, World } from './world.ts';

export class LinkEnd {
  onMessage: (message: Message) => void = () => {};
  onClose: () => void = () => {};
  readonly owner: Life;
  readonly #world: World;
  readonly #slowMs: number;
  #other: LinkEnd | undefined;
  #open = true;
  #broken = false;
  readonly #readsEveryMs: number;
  #lastArrival = 0;

  constructor(world: World, owner: Life, slowMs: number) {
    this.#world = world;
    this.#readsEveryMs = world.pick([0, slowMs / 2, slowMs]);
    this.owner = owner;
    this.#slowMs = slowMs;
  }

  /** Two ends of one link; `slowMs` is the longest usual delay. */
  static pair(world: World, a: Life, b: Life, slowMs: number): [LinkEnd, LinkEnd] {
    const one = new LinkEnd(world, a, slowMs);
    const two = new LinkEnd(world, b, slowMs);
    one.#other = two;
    two.#other = one;
    return [one, two];
  }

  /** Who is on the other side, as its key proves. */
  get peer(): Member {
    return this.#other?.owner.member ?? everybody;
  }

  get other(): LinkEnd | undefined {
    return this.#other;
  }

  get open(): boolean {
    return this.#open;
  }

  send(message: Message): void {
    if (this.#open) this.#deliver(() => this.#other?.onMessage(message));
  }

  close(): void {
    if (!this.#open) return;
    this.#deliver(() => this.#other?.closed());
    this.closed();
  }

  /** The link carries nothing any more; the ends notice after so long. */
  cut(ownNoticeMs: number, otherNoticeMs: number): void {
    const other = this.#other;
    if (other === undefined) return;
    this.#broken = true;
    other.#broken = true;
    if (ownNoticeMs < Infinity) this.#world.later(ownNoticeMs, this.owner, () => this.closed());
    if (otherNoticeMs < Infinity) this.#world.later(otherNoticeMs, other.owner, () => other.closed());
  }

  /** If one end's process is gone, the other end notices after so long. */
  lost(life: Life, noticeMs: number): void {
    const other = this.#other;
    if (this.owner === life) this.cut(Infinity, noticeMs);
    else if (other?.owner === life) this.cut(noticeMs, Infinity);
  }

  /** If one end's process is stopped, the other end gives up after so long, and it finds out when it goes on. */
  silent(life: Life, noticeMs: number, stoppedMs: number): void {
    const other = this.#other;
    if (other === undefined || this.owner === other.owner) return;
    const cut = (mine: number, others: number) => this.#world.later(Math.min(mine, others), undefined, () => this.cut(mine - noticeMs, others - noticeMs));
    if (this.owner === life) cut(stoppedMs, noticeMs);
    else if (other.owner === life) cut(noticeMs, stoppedMs);
  }

  closed(): void {
    if (!this.#open) return;
    this.#open = false;
    this.onClose();
  }

  #deliver(act: () => void): void {
    const world = this.#world;
    const delay = world.chance(0.02) ? world.between(0, 20 * this.#slowMs) : world.between(0, this.#slowMs);
    this.#lastArrival = Math.max(this.#lastArrival, inReads(world.ms + delay, this.#readsEveryMs));
    world.later(this.#lastArrival - world.ms, undefined, () => {
      const other = this.#other;
      if (this.#broken || other === undefined) return;
      world.whenAwake(other.owner, () => (other.#open ? act() : undefined));
    });
  }
}

/** Some sockets are read less often, so that several messages come at one moment. */
const inReads = (ms: number, everyMs: number): number => (everyMs === 0 ? ms : Math.ceil(ms / everyMs) * everyMs);

/** All links that can be cut. */
export class Network {
  readonly #world: World;
  #links: LinkEnd[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  connect(a: Life, b: Life): [LinkEnd, LinkEnd] {
    const ends = LinkEnd.pair(this.#world, a, b, 0.5);
    this.#links = this.#links.filter((end) => end.open);
    this.#links.push(ends[0]);
    return ends;
  }

  /** Inside one process. */
  connectInMemory(life: Life): [LinkEnd, LinkEnd] {
    return LinkEnd.pair(this.#world, life, life, 0.01);
  }

  /** Cuts one link at random; one end may notice much later than the other. */
  cutOne(): void {
    const open = this.#links.filter((end) => end.open && end.owner.alive);
    if (open.length === 0) return;
    const world = this.#world;
    const notice = () => (world.chance(0.7) ? world.between(0, 5) : world.between(0, limits.silenceMs));
    world.pick(open).cut(notice(), notice());
  }

  /** The process has learnt that somebody is a member no more. */
  endStrangers(life: Life): void {
    for (const end of this.#links) {
      if (end.other === undefined || (end.owner !== life && end.other.owner !== life)) continue;
      if (areStrangers(end.owner, end.other.owner)) (end.owner === life ? end : end.other).close();
    }
  }

  /** A process is stopped for so long: from some time on the others take it for gone. */
  frozen(life: Life, forMs: number): void {
    if (forMs <= limits.silenceMs) return;
    for (const end of this.#links) end.silent(life, limits.silenceMs, forMs);
  }

  /** A process is gone: the others see its links close at once, or, when its machine went with it, by silence. */
  died(life: Life, withMachine: boolean): void {
    for (const end of this.#links) end.lost(life, withMachine ? this.#world.between(1_000, limits.silenceMs) : this.#world.between(0, 2));
  }
}
