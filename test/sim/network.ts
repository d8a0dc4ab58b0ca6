/**
 * The network between simulated machines, under the production code's links (src/wire/connection.ts).
 *
 * It behaves as TCP under TLS does: inside one link nothing is lost, doubled or out of order as long as the link
 * lives; what a blocked way holds up comes when it is open again; a link may break, or go dead without a word.
 * Between two links nothing is ordered, so what is said again on a new link may overtake what the old one carries.
 *
 * Invariants
 * 1. What a process had written when it died still arrives, unless its machine died with it.
 * 2. Who writes to a process that is gone, on a machine that is up, learns of it; to a machine that is not, does not.
 */
import { type ErrorCode, PotluckError } from '../../src/errors.ts';
import { Link, type Connection, type Receiver, type Transport } from '../../src/wire/connection.ts';
import { Decoder, FrameWriter } from '../../src/wire/framing.ts';
import type { LinkMembership } from '../../src/wire/membership.ts';
import type { Message } from '../../src/wire/messages.ts';
import type { Prng } from '../../src/lib/prng.ts';
import { between, type Life, pick, type World } from './world.ts';

/** Who dials: the key that it proves, and whom it takes for members. */
export interface Dialler {
  readonly life: Life;
  readonly key: string;
  readonly members: LinkMembership;
}

/** Who listens on a machine. */
export interface Endpoint extends Dialler {
  accept(connection: Connection): void;
}

type Parcel = { what: 'messages'; messages: readonly Message[]; bytes: number } | { what: 'end' } | { what: 'reset' };

/** The longest usual delay of a message. */
const slowMs = 0.5;
/** A side that ended its half waits so long for the other's. */
const endMs = 2_000;
/** Backlog from which the owner is told that it has shrunk; as much as content leaves on a link. */
const pumpBytes = 64 * 1024;
const dialMs = 3_000;

export interface Watcher {
  /** A message was taken by who it was meant for. */
  delivered(from: Life, to: Life, message: Message): void;
}

/** The ways between machines, and all links. */
export class Network {
  readonly world: World;
  readonly prng: Prng;
  readonly watchers: Watcher[] = [];
  /** Messages travel as bytes, in pieces of any size. */
  asBytes = false;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Machines that are switched off. */
  readonly #off = new Set<string>();
  /** By `from>to`: nothing passes before then. */
  readonly #blocked = new Map<string, number>();
  readonly #slow = new Map<string, number>();
  #links: SimTransport[] = [];

  constructor(world: World) {
    this.world = world;
    this.prng = world.stream('network');
  }

  listen(machine: string, endpoint: Endpoint): void {
    this.#off.delete(machine);
    this.#endpoints.set(machine, endpoint);
  }

  /** Dials a machine. Rejects with PotluckError. */
  dial({ life: from, key, members }: Dialler, machine: string, unreachable: 'peer_unreachable' | 'tracker_unreachable' = 'peer_unreachable'): Promise<Connection> {
    return new Promise((resolve, reject) => {
      let over = false;
      const refuse = (why: string, code: ErrorCode = unreachable) => {
        if (over) return;
        over = true;
        giveUp();
        reject(new PotluckError(code, `nobody answers at ${machine}`, { why, fix: 'wait' }));
      };
      const giveUp = this.world.later(dialMs, from, () => refuse('no answer'));
      const back = (act: () => void) => this.#carry(machine, from.machine.name, () => this.world.later(0, from, act));
      this.#carry(from.machine.name, machine, () => {
        const endpoint = this.#endpoints.get(machine);
        if (this.#off.has(machine)) return;
        if (endpoint === undefined || !endpoint.life.alive) return back(() => refuse('nothing listens'));
        this.world.later(0, endpoint.life, () => {
          if (!endpoint.members.trusts(key)) return back(() => refuse('the key is unknown there', 'not_a_member'));
          const [ours, theirs] = SimTransport.pair(this, from, endpoint.life, key, endpoint.key);
          this.#links = this.#links.filter((link) => link.isAlive);
          this.#links.push(ours);
          endpoint.accept(new Link(theirs, endpoint.members).start());
          back(() => {
            if (over) return ours.destroy();
            if (!members.trusts(endpoint.key)) {
              ours.destroy();
              return refuse('the key there is unknown', 'not_a_member');
            }
            over = true;
            giveUp();
            resolve(new Link(ours, members).start());
          });
        });
      });
    });
  }

  /** When something sent now from one machine arrives at the other. */
  arrival(from: string, to: string): number {
    const { ms } = this.world;
    const usual = (this.#slow.get(`${from}>${to}`) ?? slowMs) * (this.prng.below(50) === 0 ? 20 : 1);
    return Math.max(ms, this.openAt(from, to)) + between(this.prng, 0.02, usual);
  }

  /** Open already, or from then on: what is held up is sent again some time after that. */
  openAt(from: string, to: string): number {
    const until = this.#blocked.get(`${from}>${to}`) ?? 0;
    return until > this.world.ms ? until + between(this.prng, 0, 200) : this.world.ms;
  }

  isOff(machine: string): boolean {
    return this.#off.has(machine);
  }

  /** Something small that is not part of a link yet. */
  #carry(from: string, to: string, act: () => void): void {
    this.world.later(this.arrival(from, to) - this.world.ms, undefined, act);
  }

  // --- faults ------------------------------------------------------------------------------

  /** Nothing passes from one machine to the other for so long. */
  block(from: string, to: string, forMs: number): void {
    const way = `${from}>${to}`;
    this.#blocked.set(way, Math.max(this.#blocked.get(way) ?? 0, this.world.ms + forMs));
  }

  /** Every message from one machine to the other may take so long. */
  slow(from: string, to: string, delayMs: number): void {
    if (delayMs === 0) this.#slow.delete(`${from}>${to}`);
    else this.#slow.set(`${from}>${to}`, delayMs);
  }

  /** Everything passes again, at its usual pace. */
  heal(): void {
    this.#blocked.clear();
    this.#slow.clear();
  }

  /** One link breaks; what is under way on it is lost. Each end learns of it in its own time, or by silence. */
  breakOne(which: number, noticeMs: readonly [number, number]): void {
    const alive = this.#links.filter((link) => link.isAlive);
    alive[Math.floor(which * alive.length)]?.break(noticeMs);
  }

  /** A process is over: its links end, or, when its machine died, fall silent. */
  died(life: Life, withMachine: boolean): void {
    if (withMachine) this.#off.add(life.machine.name);
    for (const link of this.#links) link.died(life, withMachine);
  }
}

/** One end of a link. */
class SimTransport implements Transport {
  readonly peerKey: string;
  readonly remote: string;
  readonly owner: Life;
  backlogBytes = 0;
  #other: SimTransport | undefined;
  readonly #network: Network;
  #receiver: Receiver | undefined;
  #out: Message[] = [];
  #outBytes = 0;
  #flushing = false;
  /** On their way to the other end, in order. */
  #wire: { at: number; parcel: Parcel }[] = [];
  #lastArrival = 0;
  /** Arrived here and not taken yet. */
  #inbox: Parcel[] = [];
  /** Until there is somebody to listen. */
  #paused = true;
  /** This end takes and gives nothing any more. */
  #closed = false;
  #finishing = false;
  #dead = false;
  readonly #readsEveryMs: number;

  constructor(network: Network, owner: Life, other: Life, peerKey: string) {
    this.#network = network;
    this.owner = owner;
    this.peerKey = peerKey;
    this.remote = other.name;
    this.#readsEveryMs = pick(network.prng, [0, slowMs / 2, slowMs]);
  }

  static pair(network: Network, a: Life, b: Life, keyOfA: string, keyOfB: string): [SimTransport, SimTransport] {
    const one = new SimTransport(network, a, b, keyOfB);
    const two = new SimTransport(network, b, a, keyOfA);
    one.#other = two;
    two.#other = one;
    return [one, two];
  }

  get isAlive(): boolean {
    return !this.#dead && !(this.#closed && this.#other!.#closed);
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  send(message: Message): void {
    if (this.#closed || this.#finishing) return;
    const bytes = sizeOf(message);
    this.backlogBytes += bytes;
    this.#outBytes += bytes;
    this.#out.push(message);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#network.world.later(0, this.owner, () => {
      this.#flushing = false;
      this.#flush();
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#inbox.length > 0) this.#network.world.later(0, this.owner, () => this.#read());
  }

  end(): void {
    if (this.#closed || this.#finishing) return;
    this.#flush();
    this.#finishing = true;
    this.#transmit({ what: 'end' });
    this.#network.world.later(endMs, this.owner, () => this.#close());
  }

  destroy(): void {
    if (this.#closed) return;
    this.#out = [];
    this.#transmit({ what: 'reset' });
    this.#close();
  }

  // --- faults ------------------------------------------------------------------------------

  break(noticeMs: readonly [number, number]): void {
    this.#dead = this.#other!.#dead = true;
    [this, this.#other!].forEach((end, at) => {
      if (noticeMs[at]! < Infinity) this.#network.world.later(noticeMs[at]!, end.owner, () => end.#close(new Error('the link broke')));
    });
  }

  died(life: Life, withMachine: boolean): void {
    for (const end of [this, this.#other!]) {
      if (end.owner !== life || end.#closed) continue;
      end.#closed = true;
      if (withMachine) end.#wire = [];
      else end.#transmit({ what: 'reset' });
    }
  }

  // --- inside ------------------------------------------------------------------------------

  #flush(): void {
    const messages = this.#out;
    if (messages.length === 0 || this.#closed) return;
    this.#transmit({ what: 'messages', messages: this.#network.asBytes ? throughBytes(messages, this.#network.prng) : messages, bytes: this.#outBytes });
    this.#out = [];
    this.#outBytes = 0;
  }

  #transmit(parcel: Parcel): void {
    if (this.#dead) return;
    const { world } = this.#network;
    const at = inReads(this.#network.arrival(this.owner.machine.name, this.#other!.owner.machine.name), this.#readsEveryMs);
    this.#lastArrival = Math.max(this.#lastArrival, at);
    this.#wire.push({ at: this.#lastArrival, parcel });
    world.later(this.#lastArrival - world.ms, undefined, () => this.#arrive());
  }

  /** What is due at the other end, unless the way was blocked meanwhile. */
  #arrive(): void {
    const { world } = this.#network;
    const openAt = this.#network.openAt(this.owner.machine.name, this.#other!.owner.machine.name);
    if (openAt > world.ms) {
      for (const under of this.#wire) under.at = Math.max(under.at, openAt);
      this.#lastArrival = Math.max(this.#lastArrival, openAt);
      if (this.#wire.length > 0) world.later(openAt - world.ms, undefined, () => this.#arrive());
      return;
    }
    while (this.#wire[0] !== undefined && this.#wire[0].at <= world.ms) this.#other!.#take(this.#wire.shift()!.parcel);
  }

  /** In the kernel of the machine that it was sent to. */
  #take(parcel: Parcel): void {
    if (this.#dead) return;
    if (this.#closed) {
      const isThere = !this.#network.isOff(this.owner.machine.name);
      if (isThere && parcel.what === 'messages') this.#transmit({ what: 'reset' });
      return;
    }
    this.#inbox.push(parcel);
    if (this.#inbox.length === 1 && !this.#paused) this.#network.world.later(0, this.owner, () => this.#read());
  }

  #read(): void {
    while (!this.#paused && !this.#closed) {
      const parcel = this.#inbox.shift();
      if (parcel === undefined) return;
      if (parcel.what === 'reset') return this.#close(new Error('the connection was reset'));
      if (parcel.what === 'end') return this.#ended();
      this.#receive(parcel.messages, parcel.bytes);
    }
  }

  #receive(messages: readonly Message[], bytes: number): void {
    const { world, watchers } = this.#network;
    const other = this.#other!;
    this.#receiver!.heard();
    for (const message of messages) {
      if (this.#closed) break;
      world.history.add(world.ms, this.owner.name, `${other.owner.name}: ${describe(message)}`);
      for (const watcher of watchers) watcher.delivered(other.owner, this.owner, message);
      this.#receiver!.received(message);
    }
    const wasFull = other.backlogBytes >= pumpBytes;
    other.backlogBytes -= bytes;
    if (wasFull) world.later(between(this.#network.prng, 0.02, slowMs), other.owner, () => (other.#closed ? undefined : other.#receiver!.progressed()));
  }

  /** The other side sends no more; so we do not, either. */
  #ended(): void {
    if (!this.#finishing) {
      this.#flush();
      this.#transmit({ what: 'end' });
    }
    this.#close();
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox = [];
    this.#network.world.later(0, this.owner, () => this.#receiver?.ended(error));
  }
}

/** Some sockets are read less often, so that several messages come at one moment. */
const inReads = (ms: number, everyMs: number): number => (everyMs === 0 ? ms : Math.ceil(ms / everyMs) * everyMs);

/** About what the message takes; bytes dominate. */
function sizeOf(message: Message): number {
  let size = 64;
  if ('data' in message) size += message.data.length;
  if ('args' in message && message.args instanceof Uint8Array) size += message.args.length;
  if ('result' in message && message.result instanceof Uint8Array) size += message.result.length;
  return size;
}

/** The same messages as the other side would read them off a socket. */
function throughBytes(messages: readonly Message[], prng: Prng): Message[] {
  const writer = new FrameWriter();
  for (const message of messages) writer.add(message);
  const bytes = Buffer.from(writer.take());
  const read: Message[] = [];
  const decoder = new Decoder();
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + 1 + prng.below(4_096));
    decoder.push(bytes.subarray(at, to), (message) => read.push(message));
    at = to;
  }
  return read;
}

/** A message in a history, in few words. */
function describe(message: Message): string {
  switch (message.kind) {
    case 'demand':
      return `demand ${message.waiting.map(({ count, need, avoid }) => `${count}${need.memoryMb === undefined ? '' : ' big'}${avoid === undefined ? '' : ` not ${avoid}`}`).join(', ')} holding ${message.held.map(({ peer, slots, used }) => `${peer} ${used}/${slots}`).join(', ')} seen ${message.seen}`;
    case 'grant':
      return `grant ${message.slots} of ${message.peer} (${message.seq})`;
    case 'turned_away':
      return `turned_away ${message.id} ${message.reason}`;
    case 'attempt_ended':
      return `attempt_ended ${message.id} ${message.outcome}`;
    case 'outcome':
      return `outcome ${message.id} ${message.state}`;
    default:
      return 'id' in message ? `${message.kind} ${message.id}` : message.kind;
  }
}
