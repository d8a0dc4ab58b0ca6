/**
 * What every link must do, whatever carries it.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import type { CloseReason } from '../../src/wire/connection.ts';
import { ContentError } from '../../src/wire/content.ts';
import { greet } from '../../src/wire/hello.ts';
import type { Message } from '../../src/wire/messages.ts';
import { until, type Pair } from './connection-ends.ts';

const task = (n: number): Message => ({ kind: 'cancel', id: `t${n}` });
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bytesOf = (size: number, seed = 1): Uint8Array => {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = seed; i < size; i += 997) {
    x = (x * 1103515245 + 12345) >>> 0;
    bytes[i] = x;
  }
  return bytes;
};
const hello = (as: 'client' | 'home') => ({ version: '0.1.0', incarnation: 'i', as, name: as });
const turn = () => new Promise((resolve) => setImmediate(resolve));

export function connectionContract(name: string, connect: () => Promise<Pair>): void {
  describe(`a link ${name}`, () => {
    let pair: Pair;
    beforeEach(async () => {
      pair = await connect();
    });
    afterEach(() => pair.close());

    it('delivers 20 000 messages in the order in which they were sent, both ways', async () => {
      const { near, far } = pair;
      const atFar: Message[] = [];
      const atNear: Message[] = [];
      far.onMessage = (message) => atFar.push(message);
      near.onMessage = (message) => atNear.push(message);
      for (let n = 0; n < 20_000; n++) {
        near.send(task(n));
        if (n % 10 === 0) far.send(task(n));
        if (n % 500 === 0) await turn();
      }
      await until(() => atFar.length === 20_000 && atNear.length === 2_000);
      expect(atFar).toEqual(Array.from({ length: 20_000 }, (_, n) => task(n)));
      expect(atNear).toEqual(Array.from({ length: 2_000 }, (_, n) => task(n * 10)));
    });

    it('keeps what comes while nobody listens, and delivers it in order to who listens next', async () => {
      const { near, far } = pair;
      for (let n = 0; n < 100; n++) near.send(task(n));
      const first: Message[] = [];
      far.onMessage = (message) => {
        first.push(message);
        if (first.length === 3) far.onMessage = undefined;
      };
      await until(() => first.length === 3);
      for (let n = 100; n < 200; n++) near.send(task(n));
      await turn();
      await turn();
      expect(first).toHaveLength(3);
      const rest: Message[] = [];
      far.onMessage = (message) => rest.push(message);
      await until(() => rest.length === 197);
      expect([...first, ...rest]).toEqual(Array.from({ length: 200 }, (_, n) => task(n)));
    });

    it('carries messages as large as a frame may be', async () => {
      const { near, far } = pair;
      const got: Message[] = [];
      far.onMessage = (message) => got.push(message);
      const sent: Message = { kind: 'output', id: 'a', attempt: 1, peer: 'p', stream: 'stdout', data: bytesOf(limits.frameBytesMax - 200) };
      near.send(sent);
      near.send(task(1));
      await until(() => got.length === 2);
      expect(got[1]).toEqual(task(1));
      const [large] = got;
      expect(large?.kind === 'output' && Buffer.compare(large.data, sent.data) === 0).toBe(true);
    });

    it('opens with hello on both sides, and loses nothing that follows it at once', async () => {
      const { near, far } = pair;
      const greeted = Promise.all([greet(near, hello('client')), greet(far, hello('home'))]);
      near.send(task(1));
      near.send(task(2));
      const [home, client] = await greeted;
      expect([home.as, client.as]).toEqual(['home', 'client']);
      await turn();
      const got: Message[] = [];
      far.onMessage = (message) => got.push(message);
      await until(() => got.length === 2);
      expect(got).toEqual([task(1), task(2)]);
    });

    it('tells the end exactly once on each side: closed here, ended there', async () => {
      const { near, far } = pair;
      const ends = watchEnds(pair);
      near.send(task(1));
      near.close();
      near.close();
      near.send(task(2));
      await until(() => ends.near.length > 0 && ends.far.length > 0);
      far.close();
      await turn();
      await turn();
      expect(ends.near).toEqual([{ kind: 'closed' }]);
      expect(ends.far).toEqual([{ kind: 'ended' }]);
      expect(ends.messages).toEqual([task(1)]);
    });

    it('tells the other side the reason that was given', async () => {
      const ends = watchEnds(pair);
      const problem = { code: 'draining', message: 'going away' };
      pair.near.close(problem);
      await until(() => ends.near.length > 0 && ends.far.length > 0);
      expect(ends.near).toEqual([{ kind: 'closed' }]);
      expect(ends.far).toEqual([{ kind: 'bye', problem }]);
      expect(ends.messages).toEqual([{ kind: 'bye', error: problem }]);
    });

    it('tells an end that came before anybody listened, after the messages that came before it', async () => {
      const { near, far } = pair;
      near.send(task(1));
      near.close();
      await turn();
      await turn();
      const story: unknown[] = [];
      far.onClose = (reason) => story.push(reason);
      far.onMessage = (message) => story.push(message);
      await until(() => story.length === 2);
      expect(story).toEqual([task(1), { kind: 'ended' }]);
    });

    it('hears the other side', async () => {
      const { near, far } = pair;
      const before = performance.now();
      const got: Message[] = [];
      far.onMessage = (message) => got.push(message);
      await turn();
      near.send(task(1));
      await until(() => got.length === 1);
      expect(far.lastHeardAt()).toBeGreaterThanOrEqual(before);
      expect(near.backlogBytes).toBe(0);
    });

    it('says when a backlog that was too large has left', async () => {
      const { near, far } = pair;
      let drained = 0;
      near.onDrain = () => drained++;
      const data = bytesOf(limits.chunkBytes);
      let sent = 0;
      while (near.backlogBytes < limits.linkBacklogBytes && sent < 5_000) {
        near.send({ kind: 'output', id: 'a', attempt: 1, peer: 'p', stream: 'stdout', data });
        sent++;
      }
      expect(near.backlogBytes).toBeGreaterThanOrEqual(limits.linkBacklogBytes);
      let got = 0;
      far.onMessage = () => got++;
      await until(() => got === sent && drained > 0);
      expect(drained).toBe(1);
      expect(near.backlogBytes).toBeLessThan(limits.linkBacklogBytes);
    });

    describe('content', () => {
      beforeEach(() => {
        pair.near.onMessage = () => {};
        pair.far.onMessage = () => {};
      });

      it.each([0, 1, limits.chunkBytes, limits.chunkBytes + 1, limits.creditBytes, 5 * limits.creditBytes + 3])('of %i bytes arrives whole', async (size) => {
        const value = bytesOf(size);
        pair.far.serve(async () => value);
        const got = await pair.near.fetch(hashOf(value), size);
        expect(Buffer.compare(got, value)).toBe(0);
      });

      it('that is not there, or whose holder fails, is lacking', async () => {
        const hash = hashOf(bytesOf(5));
        await expect(pair.near.fetch(hash, 10)).rejects.toMatchObject({ reason: 'lacking' });
        pair.far.serve(async () => undefined);
        await expect(pair.near.fetch(hash, 10)).rejects.toMatchObject({ reason: 'lacking' });
        pair.far.serve(() => {
          throw new Error('disk');
        });
        await expect(pair.near.fetch(hash, 10)).rejects.toMatchObject({ reason: 'lacking' });
      });

      it('that is not what its hash names is refused', async () => {
        pair.far.serve(async () => bytesOf(300_000, 2));
        await expect(pair.near.fetch(hashOf(bytesOf(300_000, 1)), 400_000)).rejects.toMatchObject({ reason: 'damaged' });
      });

      it('too large for who asks is stopped, and can be had by who allows more', async () => {
        const value = bytesOf(3 * limits.creditBytes);
        const hash = hashOf(value);
        let served = 0;
        pair.far.serve(async () => {
          served++;
          return value;
        });
        const small = pair.near.fetch(hash, 1_000);
        await expect(small).rejects.toMatchObject({ reason: 'too_large' });
        const got = await pair.near.fetch(hash, value.length);
        expect(Buffer.compare(got, value)).toBe(0);
        const both = await Promise.allSettled([pair.near.fetch(hash, 5), pair.near.fetch(hash, value.length)]);
        expect(both.map((end) => end.status)).toEqual(['rejected', 'fulfilled']);
        expect(served).toBe(3);
      });

      it('asked for several times at once travels once', async () => {
        const value = bytesOf(500_000);
        let served = 0;
        pair.far.serve(async () => {
          served++;
          return value;
        });
        const all = await Promise.all(Array.from({ length: 10 }, () => pair.near.fetch(hashOf(value), value.length)));
        expect(served).toBe(1);
        expect(all.every((got) => Buffer.compare(got, value) === 0)).toBe(true);
      });

      it('of many values at once, both ways, arrives; a small one is not behind the large ones', async () => {
        const values = Array.from({ length: 30 }, (_, n) => bytesOf(400_000 + n, n + 1));
        const small = bytesOf(10, 99);
        const byHash = new Map([...values, small].map((value) => [hashOf(value), value]));
        pair.far.serve(async (hash) => byHash.get(hash));
        pair.near.serve(async (hash) => byHash.get(hash));
        const ended: string[] = [];
        const large = values.slice(0, 6).map(async (value) => {
          await pair.near.fetch(hashOf(value), value.length);
          ended.push('large');
        });
        const little = pair.near.fetch(hashOf(small), 10).then(() => ended.push('small'));
        const back = values.map((value) => pair.far.fetch(hashOf(value), value.length));
        await Promise.all([...large, little, ...back]);
        expect(ended[0]).toBe('small');
      });

      it('fails when the link ends, and at once after that', async () => {
        const value = bytesOf(8 * limits.creditBytes);
        let asked = false;
        pair.far.serve(async () => {
          asked = true;
          return value;
        });
        const fetched = pair.near.fetch(hashOf(value), value.length).catch((error: unknown) => error);
        await until(() => asked);
        pair.far.close();
        expect(await fetched).toBeInstanceOf(ContentError);
        expect(await fetched).toMatchObject({ reason: 'closed' });
        await expect(pair.near.fetch(hashOf(value), value.length)).rejects.toMatchObject({ reason: 'closed' });
      });

      it('of 64 MiB never has much on the way, and small messages overtake it', async () => {
        const { near, far } = pair;
        const value = bytesOf(limits.valueBytesMax);
        far.serve(async () => value);
        // Each answer that comes back is asked again at once; how many make the trip while the value
        // does bounds how much of the value goes in front of one.
        let answers = 0;
        let backlogMost = 0;
        near.onMessage = () => {
          answers++;
          near.send(task(answers));
        };
        far.onMessage = (message) => {
          backlogMost = Math.max(backlogMost, far.backlogBytes);
          far.send(message);
        };
        near.send(task(0));
        const got = await near.fetch(hashOf(value), value.length);
        expect(Buffer.compare(got, value)).toBe(0);
        expect(backlogMost).toBeLessThan(limits.creditBytes);
        expect(answers).toBeGreaterThanOrEqual(limits.valueBytesMax / (2 * limits.creditBytes));
      });
    });
  });
}

function watchEnds({ near, far }: Pair): { near: CloseReason[]; far: CloseReason[]; messages: Message[] } {
  const seen = { near: [] as CloseReason[], far: [] as CloseReason[], messages: [] as Message[] };
  near.onMessage = () => {};
  far.onMessage = (message) => seen.messages.push(message);
  near.onClose = (reason) => seen.near.push(reason);
  far.onClose = (reason) => seen.far.push(reason);
  return seen;
}
