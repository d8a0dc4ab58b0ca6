/**
 * A thousand strangers who hardly speak and ten thousand connections in a flood, against a tracker and a
 * peer at work: links that exist feel nothing of it, memory stays, and new ones are possible again at once.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { connect } from '../../src/sdk/index.ts';
import { limits } from '../../src/limits.ts';
import { newIdentity } from '../contract/connection-ends.ts';
import { TestPool, type Part } from '../e2e/pool.ts';
import { until } from '../e2e/until.ts';
import { everythingFrom, tcpTo, tlsTo } from './stranger.ts';

/** Half of one address's share, over and over: so many file descriptors are enough. */
const BATCH = 200;
const NORMAL_MS = 10_000;
/** What the sockets, buffers and handshakes of the connections that are let in may take for a while. */
const GROWTH_MIB = 96;

let pool: TestPool;
let client: Pool;
beforeAll(async () => {
  // The home runs nothing itself: its tasks go over a link.
  pool = await TestPool.start({ peers: 2, slots: 2, peerArgs: (at) => (at === 0 ? ['--slots', '0'] : []) });
  client = await pool.client();
  await client.submit({ language: 'python', program: 'def main(): return "the link to the runner exists"', args: [] });
});
afterAll(() => pool.stop());

/** All of 127/8 is this machine. */
const from = (at: number): string => `127.0.${1 + Math.floor(at / 250)}.${1 + (at % 250)}`;
const doorOf = (part: Part) => ({ host: '127.0.0.1', port: part.port });
const rssMiB = (part: Part): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${part.pid}/status`, 'utf8'))?.[1]) / 1024;
const targets = (): Part[] => [pool.tracker, pool.peers[0]!, pool.peers[1]!];

/** A TLS record that begins a handshake and never ends it. */
const beginning = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Buffer.alloc(100, 7)]);

/** Tasks one after another over the home to the runner while `attack` goes on. */
async function during(attack: () => Promise<void>): Promise<{ ran: number; grownMiB: number }> {
  const before = targets().map(rssMiB);
  const peaks = [...before];
  const over = new AbortController();
  const work = (async () => {
    let ran = 0;
    for (; !over.signal.aborted; ran += 1) {
      const outcome = await client.submit({ language: 'python', program: 'def main(x): return x', args: [ran] }).outcome();
      // A lost link or a missed heartbeat would show as a second attempt, or as none.
      if (outcome.state !== 'done' || outcome.attempt !== 1) throw new Error(`a task was disturbed: ${JSON.stringify(outcome)}`);
      for (const [at, part] of targets().entries()) peaks[at] = Math.max(peaks[at]!, rssMiB(part));
    }
    return ran;
  })();
  try {
    await attack();
  } finally {
    over.abort();
  }
  return { ran: await work, grownMiB: Math.max(...peaks.map((peak, at) => peak - before[at]!)) };
}

/** Nobody was thought lost, neither by the tracker nor by a peer. */
function expectUndisturbed(): void {
  expect(pool.tracker.log()).not.toMatch(/suspected|lost/);
  for (const peer of pool.peers) expect(peer.log()).not.toMatch(/is gone|lost/);
  expect(targets().map(({ crashed }) => crashed)).toEqual([false, false, false]);
}

/** A new member gets in, and its task through, from the address that was most abused. */
async function expectNormalAgain(withinMs = NORMAL_MS): Promise<void> {
  await until(
    'a new client is served',
    async () => {
      const late = await connect({ host: '127.0.0.1', port: pool.peers[0]!.port, home: pool.folder });
      try {
        return (await late.submit({ language: 'python', program: 'def main(): return "served"', args: [] })) === 'served';
      } finally {
        await late.close();
      }
    },
    withinMs,
  );
}

describe('links that are at work feel nothing', () => {
  it('of a thousand strangers who say a byte now and then', async () => {
    const strangers: Socket[] = [];
    const { ran, grownMiB } = await during(async () => {
      for (let at = 0; at < 1_000; at += 1) {
        strangers.push(tcpTo(doorOf(targets()[at % 3]!), { localAddress: from(at % 50) }));
        if (at % BATCH === BATCH - 1) await sleep(20);
      }
      // Whoever proves a key at once finds room, also while they besiege every port.
      const arrival = expectNormalAgain(limits.newcomerGraceMs * 3);
      for (let byte = 0; byte < beginning.length && byte * 100 < limits.helloMs; byte += 1) {
        for (const stranger of strangers) if (stranger.writable) stranger.write(beginning.subarray(byte, byte + 1));
        await sleep(100);
      }
      await arrival;
    });
    // However slowly they speak, their time began before the first byte.
    await until('all strangers were sent away', () => strangers.every(({ closed }) => closed), limits.helloMs + 2_000);
    expect(ran).toBeGreaterThan(20);
    expect(grownMiB).toBeLessThan(GROWTH_MIB);
    expectUndisturbed();
    await expectNormalAgain();
  });

  it('of ten thousand connections: silent, speaking plain text, beginning TLS, or with a key of their own', async () => {
    const stranger = newIdentity();
    let connections = 0;
    const { ran, grownMiB } = await during(async () => {
      const one = async (at: number) => {
        const door = doorOf(targets()[at % 3]!);
        const localAddress = from(at % 400);
        connections += 1;
        // One in twenty is worth the cost of a whole handshake.
        if (at % 20 === 0) return everythingFrom(tlsTo(door, stranger, { localAddress } as object));
        const socket = tcpTo(door, { localAddress });
        if (at % 4 === 1) setTimeout(() => socket.destroy(), 50);
        if (at % 4 === 2) setTimeout(() => socket.resetAndDestroy(), 50);
        if (at % 4 === 3) setTimeout(() => socket.end(), 50);
        return everythingFrom(socket, [undefined, 'GET / HTTP/1.1\r\n\r\n', beginning, Buffer.alloc(1_000, 0x16)][at % 4]);
      };
      for (let at = 0; at < 10_000; at += BATCH) {
        const batch = Array.from({ length: BATCH }, (_, more) => one(at + more));
        // Those who wait in silence are left behind, like the rest of a flood.
        await Promise.race([Promise.all(batch), sleep(150)]);
      }
    });
    expect(connections).toBe(10_000);
    expect(ran).toBeGreaterThan(20);
    expect(grownMiB).toBeLessThan(GROWTH_MIB);
    expectUndisturbed();
    await expectNormalAgain();
    expect((await client.status()).links?.refused).toBeGreaterThan(1_000);
  });
});
