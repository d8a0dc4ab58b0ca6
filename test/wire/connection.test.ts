import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { limits } from '../../src/limits.ts';
import { Link, type CloseReason, type Receiver, type Transport } from '../../src/wire/connection.ts';
import type { Message } from '../../src/wire/messages.ts';

/** A transport that writes down what it is given and takes it only when told. */
class Notebook implements Transport {
  readonly peerKey = 'k';
  readonly remote = 'r';
  backlogBytes = 0;
  sent: Message[] = [];
  receiver: Receiver | undefined;
  destroyed = false;
  start(receiver: Receiver): void {
    this.receiver = receiver;
  }
  send(message: Message): void {
    this.sent.push(message);
    if ('data' in message) this.backlogBytes += message.data.length;
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}

let transport: Notebook;
let link: Link;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  transport = new Notebook();
  link = new Link(transport).start();
  link.onMessage = () => {};
});
afterEach(() => {
  transport.receiver?.ended();
  vi.useRealTimers();
});

describe('an idle link', () => {
  it('is pinged before silence could be taken for death, and measures the way there and back', () => {
    vi.advanceTimersByTime(limits.silenceMs);
    const pings = transport.sent.filter((message) => message.kind === 'ping');
    expect(pings.length).toBeGreaterThanOrEqual(3);
    vi.advanceTimersByTime(7);
    expect(link.roundTripMs).toBeUndefined();
    transport.receiver!.received({ kind: 'pong', t: pings.at(-1)!.t });
    expect(link.roundTripMs).toBe(7);
  });

  it('that sends all the time is not pinged', () => {
    for (let n = 0; n < 20; n++) {
      vi.advanceTimersByTime(1_000);
      link.send({ kind: 'cancel', id: 'a' });
    }
    expect(transport.sent.filter((message) => message.kind === 'ping')).toEqual([]);
  });

  it('answers a ping, and its owner does not see it', () => {
    const seen: Message[] = [];
    link.onMessage = (message) => seen.push(message);
    transport.receiver!.received({ kind: 'ping', t: 3 });
    expect(transport.sent).toEqual([{ kind: 'pong', t: 3 }]);
    expect(seen).toEqual([]);
  });

  it('is pinged no more after its end', () => {
    transport.receiver!.ended();
    vi.advanceTimersByTime(limits.silenceMs);
    expect(transport.sent).toEqual([]);
  });
});

describe('a link whose other side takes nothing', () => {
  it('is given up before it fills the memory', async () => {
    const ends: CloseReason[] = [];
    link.onClose = (reason) => ends.push(reason);
    const data = new Uint8Array(limits.chunkBytes);
    for (let n = 0; n < 3_000; n++) link.send({ kind: 'output', id: 'a', attempt: 1, peer: 'p', stream: 'stdout', data });
    await Promise.resolve();
    expect(ends).toMatchObject([{ kind: 'lost' }]);
    expect(transport.destroyed).toBe(true);
    expect(transport.backlogBytes).toBeLessThanOrEqual(2 * limits.valueBytesMax + data.length);
  });

  it('is given no chunk of content beyond a small backlog', async () => {
    const value = new Uint8Array(limits.creditBytes);
    link.serve(async () => value);
    transport.receiver!.received({ kind: 'want', hash: 'ab'.repeat(32) });
    await vi.waitFor(() => expect(transport.sent.length).toBeGreaterThan(0));
    expect(transport.backlogBytes).toBe(4 * limits.chunkBytes);
    transport.backlogBytes = 0;
    transport.receiver!.progressed();
    expect(transport.sent).toHaveLength(8);
  });

  it('is given no more of a value than its credit', async () => {
    const hash = 'ab'.repeat(32);
    const value = new Uint8Array(3 * limits.creditBytes);
    link.serve(async () => value);
    transport.receiver!.received({ kind: 'want', hash });
    await vi.waitFor(() => expect(transport.sent.length).toBeGreaterThan(0));
    const drain = () => {
      for (let n = 0; n < 100; n++) {
        transport.backlogBytes = 0;
        transport.receiver!.progressed();
      }
      return transport.sent.length * limits.chunkBytes;
    };
    expect(drain()).toBe(limits.creditBytes);
    transport.receiver!.received({ kind: 'credit', hash, bytes: limits.chunkBytes });
    expect(drain()).toBe(limits.creditBytes + limits.chunkBytes);
  });

  it.each<[string, Message]>([
    ['wants one thing twice at once', { kind: 'want', hash: 'ab'.repeat(32) }],
    ['gives credit for what was not sent', { kind: 'credit', hash: 'ab'.repeat(32), bytes: limits.creditBytes }],
  ])('ends as malformed if it %s', async (_, message) => {
    const ends: CloseReason[] = [];
    link.onClose = (reason) => ends.push(reason);
    link.serve(async () => new Uint8Array(limits.creditBytes * 2));
    transport.receiver!.received({ kind: 'want', hash: 'ab'.repeat(32) });
    await vi.waitFor(() => expect(transport.sent.length).toBeGreaterThan(0));
    transport.receiver!.received(message);
    await Promise.resolve();
    expect(ends).toMatchObject([{ kind: 'malformed' }]);
  });
});
