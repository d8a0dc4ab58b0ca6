/**
 * A link between two parts of one process: messages are passed on as they are, in a later turn.
 *
 * Owns: the queues between the two sides. Everything else is connection.ts, as over TLS.
 */
import { Link, type Connection, type Receiver, type Transport } from './connection.ts';
import type { Message } from './messages.ts';

/** Both ends of a link inside this process; `keyId` is the process's own key. */
export function connectInMemory(keyId: string, name = 'memory'): [Connection, Connection] {
  const one = new MemoryTransport(keyId, name);
  const other = new MemoryTransport(keyId, name);
  one.join(other);
  other.join(one);
  return [new Link(one).start(), new Link(other).start()];
}

interface Parcel {
  message: Message;
  size: number;
}

class MemoryTransport implements Transport {
  readonly peerKey: string;
  readonly remote: string;
  /** Bytes sent and not taken by the other side yet. */
  backlogBytes = 0;
  #other: MemoryTransport | undefined;
  #receiver: Receiver | undefined;
  /** Sent to this side, not taken yet. */
  #inbox: Parcel[] = [];
  #scheduled = false;
  #paused = false;
  /** The other side sends no more: the end comes after what is in the inbox. */
  #ending = false;
  #ended = false;

  constructor(keyId: string, name: string) {
    this.peerKey = keyId;
    this.remote = name;
  }

  join(other: MemoryTransport): void {
    this.#other = other;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  send(message: Message): void {
    if (this.#ended) return;
    const size = sizeOf(message);
    this.backlogBytes += size;
    this.#other!.#inbox.push({ message, size });
    this.#other!.#schedule();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  end(): void {
    this.#other!.#ending = true;
    this.#other!.#schedule();
  }

  destroy(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#inbox = [];
    this.end();
    setImmediate(() => this.#receiver?.ended());
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#paused || this.#ended) return;
    const parcels = this.#inbox;
    this.#inbox = [];
    if (parcels.length > 0) this.#receiver!.heard();
    let taken = 0;
    for (; taken < parcels.length && !this.#paused; taken++) {
      const { message, size } = parcels[taken]!;
      this.#other!.backlogBytes -= size;
      this.#receiver!.received(message);
    }
    if (taken < parcels.length) this.#inbox = [...parcels.slice(taken), ...this.#inbox];
    if (taken > 0 && !this.#other!.#ended) this.#other!.#receiver!.progressed();
    if (this.#ending && this.#inbox.length === 0) this.destroy();
  }
}

/** About what the message would take on a wire; bytes dominate, so the rest is guessed. */
function sizeOf(message: Message): number {
  let size = 32;
  for (const field of Object.values(message)) {
    if (field instanceof Uint8Array || typeof field === 'string') size += field.length;
    else size += 16;
  }
  return size;
}
