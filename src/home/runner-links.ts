/**
 * A home's links to runners: dialled on the decider's word, again and again while it has attempts there.
 *
 * Owns: one link per runner, its hello, its silence. What a link's coming and going means: home-state.ts.
 */
import { causeText } from '../errors.ts';
import { Backoff } from '../lib/backoff.ts';
import { limits } from '../limits.ts';
import { type Connection, greet, isSilent, type Message, type MessageBody, type MessageOf, type PeerInfo } from '../wire/index.ts';

export interface RunnerLinksOptions {
  hello: () => MessageBody<'hello'>;
  connect: (info: PeerInfo) => Promise<Connection>;
  infoOf: (peer: string) => PeerInfo | undefined;
  /** Whether the link is still wanted, when dialling failed. */
  wanted: (peer: string) => boolean;
  /** What that runner may have of what it asks for. */
  provide: (peer: string, hash: string) => Promise<Uint8Array | undefined>;
  /** `key`: what it proved. */
  onLinked: (peer: string, key: string, hello: MessageOf<'hello'>, roundTripMs: number) => void;
  onUnlinked: (peer: string) => void;
  onMessage: (peer: string, connection: Connection, message: Message) => void;
  log: (line: string) => void;
}

export class RunnerLinks {
  readonly #o: RunnerLinksOptions;
  readonly #links = new Map<string, Connection>();
  readonly #dialling = new Map<string, AbortController>();
  #stopped = false;

  constructor(options: RunnerLinksOptions) {
    this.#o = options;
  }

  get(peer: string): Connection | undefined {
    return this.#links.get(peer);
  }

  /** Dials until it works or is no longer wanted. Calls onLinked or onUnlinked, in time. */
  dial(peer: string): void {
    if (this.#links.has(peer) || this.#dialling.has(peer) || this.#stopped) return;
    const abort = new AbortController();
    this.#dialling.set(peer, abort);
    void this.#keepDialling(peer, abort.signal);
  }

  /** Ends what has been silent; called once a second by the home's own clock. */
  checkSilence(): void {
    for (const connection of this.#links.values()) {
      if (isSilent(connection)) connection.close();
    }
  }

  closeAll(): void {
    this.#stopped = true;
    for (const abort of this.#dialling.values()) abort.abort();
    for (const connection of this.#links.values()) connection.close();
  }

  async #keepDialling(peer: string, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(limits.redialMsMin, limits.redialMsMax);
    for (;;) {
      const info = this.#o.infoOf(peer);
      try {
        if (info !== undefined) {
          await this.#open(peer, info, signal);
          return;
        }
      } catch (error) {
        this.#o.log(`${peer}: ${causeText(error)}`);
      }
      if (signal.aborted || !this.#o.wanted(peer)) {
        // Before its news, because the answer to that may be to dial again.
        this.#dialling.delete(peer);
        this.#o.onUnlinked(peer);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, backoff.next()));
    }
  }

  async #open(peer: string, info: PeerInfo, signal: AbortSignal): Promise<void> {
    const connection = await this.#o.connect(info);
    const before = performance.now();
    connection.serve((hash) => this.#o.provide(peer, hash));
    const hello = await greet(connection, this.#o.hello());
    if (signal.aborted) {
      this.#dialling.delete(peer);
      connection.close();
      return;
    }
    if (hello.as !== 'runner' || hello.name !== peer) {
      connection.close();
      throw new Error(`who answers is ${hello.as} ${hello.name}`);
    }
    this.#dialling.delete(peer);
    this.#links.set(peer, connection);
    connection.onClose = () => {
      this.#links.delete(peer);
      this.#o.onUnlinked(peer);
    };
    this.#o.onLinked(peer, connection.peerKey, hello, Math.max(0.1, performance.now() - before));
    connection.onMessage = (message) => this.#o.onMessage(peer, connection, message);
  }
}
