/**
 * A way between two parts of a pool that misbehaves when told: everybody dials it in place of one part's port.
 *
 * Owns: its port and the links over it. It passes bytes on unread, so what it does is what networks do.
 */
import { createServer, connect, type Server, type Socket } from 'node:net';

/** What one direction may hold back before its sender is made to wait. */
const HELD_BYTES_MAX = 1024 * 1024;

/** What a half-open link hides, and from whom. */
export type Hidden = 'from dialler' | 'from target' | 'from both';

/** One direction of a link: bytes in order, each not before its time. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #delayMs: () => number;
  readonly #held: { bytes: Buffer | undefined; dueAt: number }[] = [];
  #heldBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  stalledUntil = 0;

  constructor(from: Socket, to: Socket, delayMs: () => number) {
    this.#from = from;
    this.#to = to;
    this.#delayMs = delayMs;
  }

  start(): void {
    this.#from.on('data', (bytes: Buffer) => this.#hold(bytes));
    this.#from.on('end', () => this.#hold(undefined));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.length = 0;
  }

  /** `bytes` undefined: the end. */
  #hold(bytes: Buffer | undefined): void {
    const last = this.#held.at(-1)?.dueAt ?? 0;
    this.#held.push({ bytes, dueAt: Math.max(last, performance.now() + this.#delayMs()) });
    this.#heldBytes += bytes?.length ?? 0;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#from.pause();
    this.#pass();
  }

  #pass(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      const waitMs = Math.max(next.dueAt, this.stalledUntil) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pass(), waitMs);
        return;
      }
      this.#held.shift();
      if (next.bytes === undefined) {
        this.#to.end();
        return;
      }
      this.#heldBytes -= next.bytes.length;
      if (this.#to.writable) this.#to.write(next.bytes);
    }
    this.#from.resume();
  }
}

class Link {
  readonly #dialler: Socket;
  readonly #target: Socket;
  readonly #directions: readonly [Direction, Direction];
  readonly #gone: () => void;

  constructor(dialler: Socket, target: Socket, delayMs: () => number, gone: () => void) {
    this.#dialler = dialler;
    this.#target = target;
    this.#directions = [new Direction(dialler, target, delayMs), new Direction(target, dialler, delayMs)];
    this.#gone = gone;
  }

  start(): void {
    for (const socket of [this.#dialler, this.#target]) {
      socket.setNoDelay(true);
      // An error is followed by close, and that is all there is to know of it here.
      socket.on('error', () => undefined);
      socket.on('close', () => this.cut());
    }
    for (const direction of this.#directions) direction.start();
  }

  stall(untilMs: number): void {
    for (const direction of this.#directions) direction.stalledUntil = Math.max(direction.stalledUntil, untilMs);
  }

  /** Both ends learn of it at once. */
  cut(): void {
    for (const direction of this.#directions) direction.stop();
    for (const socket of [this.#dialler, this.#target]) if (!socket.destroyed) socket.resetAndDestroy();
    this.#gone();
  }

  /** No byte passes any more, and whoever it is hidden from is not told. */
  halfOpen(hidden: Hidden): void {
    for (const direction of this.#directions) direction.stop();
    const told = hidden === 'from dialler' ? this.#target : hidden === 'from target' ? this.#dialler : undefined;
    for (const socket of [this.#dialler, this.#target]) {
      socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close');
      // Taken and thrown away, as by a router that has forgotten the link.
      socket.resume();
      socket.on('end', () => socket.destroy());
      socket.on('close', () => this.#dialler.destroyed && this.#target.destroyed && this.#gone());
    }
    told?.resetAndDestroy();
  }

  end(): void {
    this.#dialler.destroy();
    this.#target.destroy();
  }
}

export class FaultyProxy {
  readonly name: string;
  readonly #targetPort: number;
  readonly #delayMs: () => number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  /** Also those that are half-open, to be closed in the end. */
  readonly #everything = new Set<Link>();
  #refusesUntil = 0;
  #delayMsMax = 0;

  /** @param random 0 ≤ number < 1, for the delay of each piece */
  constructor(name: string, targetPort: number, random: () => number) {
    this.name = name;
    this.#targetPort = targetPort;
    this.#delayMs = () => (this.#delayMsMax === 0 ? 0 : this.#delayMsMax * random());
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (dialler) => this.#take(dialler));
  }

  /** @param port where to listen on 127.0.0.1 */
  async start(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: '127.0.0.1', port, exclusive: true }, resolve);
    });
  }

  async stop(): Promise<void> {
    for (const link of this.#everything) link.end();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  get links(): number {
    return this.#links.size;
  }

  /** Each piece of data comes up to so much later; 0 ends it. */
  delay(msMax: number): void {
    this.#delayMsMax = msMax;
  }

  /** Nothing passes on the present links for so long; then everything does. */
  stall(ms: number): void {
    for (const link of this.#links) link.stall(performance.now() + ms);
  }

  cut(): void {
    for (const link of this.#links) link.cut();
  }

  halfOpen(hidden: Hidden): void {
    for (const link of this.#links) link.halfOpen(hidden);
    this.#links.clear();
  }

  /** Cuts, and lets nobody through for so long. */
  refuse(ms: number): void {
    this.#refusesUntil = Math.max(this.#refusesUntil, performance.now() + ms);
    this.cut();
  }

  #take(dialler: Socket): void {
    dialler.on('error', () => undefined);
    if (performance.now() < this.#refusesUntil) return void dialler.resetAndDestroy();
    const target = connect({ host: '127.0.0.1', port: this.#targetPort, allowHalfOpen: true });
    const link: Link = new Link(dialler, target, this.#delayMs, () => {
      this.#links.delete(link);
      this.#everything.delete(link);
    });
    this.#links.add(link);
    this.#everything.add(link);
    link.start();
  }
}
