/** A client that is gone after any byte that it sent or got, and then says the same again: one task, run once. */
import { once } from 'node:events';
import { connect as connectTcp, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, type TaskRequest } from '../../src/sdk/index.ts';
import { TestPool } from '../e2e/pool.ts';
import { Notes, noting } from '../e2e/programs.ts';

const CLIENTS = 1_000;
const AT_ONCE = 8;

let pool: TestPool;
let notes: Notes;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 2, slots: 2 });
  notes = new Notes(pool.folder);
});
afterAll(() => pool.stop());

/** A way to the home that breaks when so many bytes have passed, both directions together. */
async function breaksAfter(bytesMax: number): Promise<{ server: Server; port: number; passed: () => number }> {
  let passed = 0;
  const server = createServer((dialler) => {
    const home = connectTcp({ host: '127.0.0.1', port: pool.peers[0]!.port });
    const end = () => {
      for (const socket of [dialler, home]) socket.destroy();
    };
    const pass = (from: Socket, to: Socket) => {
      from.setNoDelay(true).on('error', end).on('close', end);
      from.on('data', (bytes: Buffer) => {
        const part = bytes.subarray(0, Math.max(0, bytesMax - passed));
        passed += bytes.length;
        if (part.length === bytes.length) return to.write(part);
        // What had left the client before it was killed still arrives.
        return to.write(part, end);
      });
    };
    pass(dialler, home);
    pass(home, dialler);
    // Dialled again, it is the next client.
    server.close();
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, passed: () => passed };
}

const requestOf = (name: string): TaskRequest => ({ language: 'python', program: `${noting}# ${name}\n`, args: [notes.path, name], id: name });

/** Submits and is gone when the way breaks, or when it has the outcome. Gives the bytes that passed. */
async function submitUntil(name: string, bytesMax: number): Promise<number> {
  const way = await breaksAfter(bytesMax);
  try {
    const client = await connect({ host: '127.0.0.1', port: way.port, home: pool.folder, giveUpMs: 1 });
    await client.submit(requestOf(name)).outcome().catch(() => undefined);
    await client.close();
  } catch {
    // The way broke before it had a link.
  } finally {
    way.server.close();
  }
  return way.passed();
}

it('of 1 000 clients gone at 1 000 places of a submission, each task is there once and ran once', async () => {
  const bytes = await submitUntil('whole', Infinity);
  expect(bytes).toBeGreaterThan(2_000);
  const home = await pool.client(0);
  const names = Array.from({ length: CLIENTS }, (_, at) => `c-${at}`);
  const results = new Map<string, number>();
  let next = 0;
  let known = 0;
  const work = async () => {
    for (let at = next++; at < CLIENTS; at = next++) {
      const name = names[at]!;
      await submitUntil(name, Math.floor(((at + 1) * bytes) / CLIENTS));
      if (await home.task(name).then(() => true, () => false)) known += 1;
      results.set(name, await home.submit<number>(requestOf(name)));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(results.size).toBe(CLIENTS);
  // Some were gone before the home had it, and some after.
  expect(known).toBeGreaterThan(CLIENTS / 20);
  expect(known).toBeLessThan(CLIENTS - CLIENTS / 20);
  expect(notes.lines().filter((name) => name !== 'whole').toSorted()).toEqual(names.toSorted());
  const history = await home.history({ limit: 10_000 });
  expect(history.map(({ id }) => id).toSorted()).toEqual([...names, 'whole'].toSorted());
  expect(history.filter(({ attempt, state }) => attempt !== 1 || state !== 'done')).toEqual([]);
}, 240_000);
