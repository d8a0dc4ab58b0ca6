/** Frames that nobody meant, over real links of a member: the link is closed and counted, the process lives and serves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHomeFolder } from '../../src/identity/home-folder.ts';
import type { Pool } from '../../src/sdk/index.ts';
import { Prng } from '../../src/lib/prng.ts';
import { limits } from '../../src/limits.ts';
import { version } from '../../src/version.ts';
import { encode } from '../../src/wire/framing.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { protocolVersion } from '../../src/wire/version.ts';
import { TestPool, type Part } from '../e2e/pool.ts';
import { until } from '../e2e/until.ts';
import { examples } from '../wire/messages.ts';
import { everythingFrom, tlsTo } from './stranger.ts';

let pool: TestPool;
let member: LinkIdentity;
let client: Pool;
beforeAll(async () => {
  pool = await TestPool.start({ peers: 1, slots: 1 });
  ({ identity: member } = await openHomeFolder(pool.folder));
  client = await pool.client();
});
afterAll(() => pool.stop());

const parts = { peer: () => pool.peers[0]!, tracker: () => pool.tracker };
const doorOf = (part: Part) => ({ host: '127.0.0.1', port: part.port });
const helloAs = (as: 'client' | 'home' | 'peer') => encode({ kind: 'hello', version, incarnation: 'i', as, name: 'm' });
const counts = async () => (await client.status()).links ?? { malformed: NaN, refused: NaN };

function withLength(length: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length >>> 0);
  return Buffer.concat([header, body]);
}

const ping = encode({ kind: 'ping', t: 1 }).subarray(4);
const proto = Buffer.concat([Buffer.from([0x93, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.from([0x82, 0xa1, 0x74, 1, 0xa9]), Buffer.from('__proto__'), Buffer.from([0x81, 0xa1, 0x78, 1])]);
const deep = Buffer.concat([Buffer.from([0x93, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.alloc(200_000, 0x91)]);
const attacks: [string, Buffer][] = [
  ['a length of nothing', withLength(0, ping)],
  ['a length above all bounds', withLength(limits.frameBytesMax + 1, ping)],
  ['a length of four gibibytes', withLength(0xffffffff, ping)],
  ['a length shorter than the body', withLength(ping.length - 1, ping)],
  ['noise', withLength(64, Buffer.alloc(64, 0xc1))],
  ['nesting to the end of the frame', withLength(deep.length, deep)],
  ['a key __proto__', withLength(proto.length, proto)],
  ['an unknown kind', withLength(ping.length, Buffer.from(ping.toString('latin1').replace('ping', 'sing'), 'latin1'))],
];

describe.each(['peer', 'tracker'] as const)('the %s', (which) => {
  it.each(attacks)('closes a link that sends %s, before its hello and after it', async (_, frame) => {
    const { pid } = parts[which]();
    const before = await counts();
    for (const first of [Buffer.alloc(0), which === 'peer' ? helloAs('client') : Buffer.alloc(0)]) {
      await everythingFrom(tlsTo(doorOf(parts[which]()), member), Buffer.concat([first, frame]));
    }
    expect({ pid: parts[which]().pid, running: parts[which]().running }).toEqual({ pid, running: true });
    if (which === 'peer') await until('both were counted', async () => (await counts()).malformed >= before.malformed + 2);
  });
});

it('links that stop in the middle of their first frame are closed in bounded time', async () => {
  const hello = helloAs('client');
  const cut = [parts.peer(), parts.tracker()].flatMap((part) => [1, 3, 4, 5, hello.length - 1].map((length) => everythingFrom(tlsTo(doorOf(part), member), hello.subarray(0, length))));
  for (const { bytes } of await Promise.all(cut)) expect(bytes.length).toBeLessThan(200);
});

it('hundreds of links that send mutated messages leave the peer as it was, at its work', async () => {
  const random = new Prng(7);
  const part = parts.peer();
  const { pid } = part;
  const task = client.submit({ language: 'python', program: 'import time\ndef main():\n    time.sleep(1)\n    return "unharmed"', args: [] });
  const before = await counts();
  let broken = 0;
  for (let batch = 0; batch < 16; batch += 1) {
    const links = Array.from({ length: 16 }, (_, at) => {
      const frames = Array.from({ length: 40 }, () => {
        const frame = Buffer.from(encode(examples[random.below(examples.length)]!));
        for (let change = random.below(3); change > 0; change -= 1) frame[4 + random.below(frame.length - 4)] = random.below(256);
        return frame;
      });
      const socket = tlsTo(doorOf(part), member);
      // Most are closed at their first bad frame; the end of the others is ours.
      setTimeout(() => socket.end(), 250);
      return everythingFrom(socket, Buffer.concat([helloAs(at % 2 === 0 ? 'client' : 'home'), ...frames]));
    });
    broken += (await Promise.all(links)).length;
  }
  expect(broken).toBe(256);
  expect((await counts()).malformed).toBeGreaterThan(before.malformed + 100);
  expect(await task).toBe('unharmed');
  expect(part.pid).toBe(pid);
  expect((await client.peers()).map(({ state }) => state)).toEqual(['up']);
});
