/** A simulated home's links to runners. Mirrors src/home/runner-links.ts, also in what it ignores. */
import { Backoff } from '../../src/lib/backoff.ts';
import { limits } from '../../src/limits.ts';
import type { Message, MessageOf } from '../../src/wire/messages.ts';
import type { LinkEnd } from './network.ts';
import type { Life, World } from './world.ts';

/** Reaches a runner: `found` is called in time, with nothing when nobody answers. */
export type Dial = (from: Life, peer: string, hello: MessageOf<'hello'>, found: (end: LinkEnd | undefined) => void) => void;

export interface SimRunnerLinksOptions {
  world: World;
  life: Life;
  dial: Dial;
  hello: () => MessageOf<'hello'>;
  wanted: (peer: string) => boolean;
  onLinked: (peer: string, hello: MessageOf<'hello'>, roundTripMs: number) => void;
  onUnlinked: (peer: string) => void;
  onMessage: (peer: string, message: Message) => void;
}

export class SimRunnerLinks {
  readonly #o: SimRunnerLinksOptions;
  readonly #links = new Map<string, LinkEnd>();
  readonly #dialling = new Set<string>();
  #stopped = false;

  constructor(options: SimRunnerLinksOptions) {
    this.#o = options;
  }

  get(peer: string): LinkEnd | undefined {
    return this.#links.get(peer);
  }

  dial(peer: string): void {
    if (this.#links.has(peer) || this.#dialling.has(peer) || this.#stopped) return;
    this.#dialling.add(peer);
    this.#try(peer, new Backoff(limits.redialMsMin, limits.redialMsMax, () => this.#o.world.between(0, 1)));
  }

  closeAll(): void {
    this.#stopped = true;
    for (const end of this.#links.values()) end.close();
  }

  #try(peer: string, backoff: Backoff): void {
    const { world, life, dial, hello } = this.#o;
    const before = world.ms;
    dial(life, peer, hello(), (end) => {
      if (end === undefined) return this.#failed(peer, backoff);
      let greeted = false;
      end.onClose = () => (greeted ? this.#closed(peer) : this.#failed(peer, backoff));
      end.onMessage = (message) => {
        if (greeted) return this.#o.onMessage(peer, message);
        if (message.kind !== 'hello') throw new Error(`a runner opened with "${message.kind}"`);
        greeted = true;
        this.#dialling.delete(peer);
        if (this.#stopped) return end.close();
        this.#links.set(peer, end);
        this.#o.onLinked(peer, message, Math.max(0.1, world.ms - before));
      };
    });
  }

  #closed(peer: string): void {
    this.#links.delete(peer);
    if (!this.#stopped) this.#o.onUnlinked(peer);
  }

  #failed(peer: string, backoff: Backoff): void {
    if (this.#stopped || !this.#o.wanted(peer)) {
      this.#dialling.delete(peer);
      if (!this.#stopped) this.#o.onUnlinked(peer);
      return;
    }
    this.#o.world.later(backoff.next(), this.#o.life, () => this.#try(peer, backoff));
  }
}
