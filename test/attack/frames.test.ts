/**
 * A million frames that nobody meant, into the decoder: never anything but a message or a refusal, never
 * long, never for good. Everything comes from one seed; a failure prints the frame.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PotluckError } from '../../src/errors.ts';
import { Prng } from '../../src/lib/prng.ts';
import { limits } from '../../src/limits.ts';
import { Decoder, encode, FrameWriter, MalformedFrame } from '../../src/wire/framing.ts';
import { messageSchemas, type Message } from '../../src/wire/messages.ts';
import { protocolVersion } from '../../src/wire/version.ts';
import { examples } from '../wire/messages.ts';

const SEED = 20_240_607;
const HEADER = 4;
/** A frame of the largest size takes some milliseconds; the rest is for a machine that does something else meanwhile. */
const HANG_MS = 1_000;

const stackTraceLimit = Error.stackTraceLimit;
beforeAll(() => {
  // Most of these frames end in an error; its trace would take most of the time.
  Error.stackTraceLimit = 0;
});
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
});

/** What becomes of bytes: the messages that they were, or why they are none. @throws whatever else comes of them */
function decoded(...chunks: readonly Buffer[]): { messages: Message[]; refused: string | undefined } {
  const messages: Message[] = [];
  const decoder = new Decoder();
  try {
    for (const chunk of chunks) decoder.push(chunk, (message) => messages.push(message));
    return { messages, refused: undefined };
  } catch (error) {
    if (error instanceof MalformedFrame) return { messages, refused: error.message };
    if (error instanceof PotluckError && error.code === 'version_gap') return { messages, refused: error.code };
    throw new Error(`${String(error)} from ${Buffer.concat(chunks).toString('hex').slice(0, 4_000)}`, { cause: error });
  }
}

function framed(body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
}

/** [version, kind, …] and then these bytes, as a frame. */
function frameOf(kind: string, ...after: readonly (Buffer | number[])[]): Buffer {
  return framed(Buffer.concat([Buffer.from([0x93, protocolVersion, 0xa0 | kind.length]), Buffer.from(kind), ...after.map((part) => Buffer.from(part))]));
}

/** Frames as they really come: one message each, and several of a kind as rows. */
const good: readonly Buffer[] = [
  ...examples.map((message) => encode(message)),
  ...examples.map((message) => {
    const writer = new FrameWriter();
    for (let row = 0; row < 4; row += 1) writer.add(row % 2 === 0 ? message : { ...message });
    const all = writer.take();
    // The first message came alone; the rows that follow it are the frame.
    return all.subarray(HEADER + all.readUInt32BE(0));
  }),
];

/** Bytes that mean something: markers with the largest lengths, reserved and extension types, "the same". */
const telling = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x93, 0x94, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xc4, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd8, 0xd9, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff];
const phrases = ['__proto__', 'constructor', 'prototype', 'kind', 'hello', '../../etc', '\u001b[2J', '\u0000'].map((text) => Buffer.concat([Buffer.from([0xa0 | text.length]), Buffer.from(text)]));

/** One change to a frame's body. */
function mutate(body: Buffer<ArrayBuffer>, random: Prng): Buffer<ArrayBuffer> {
  const at = random.below(body.length);
  switch (random.below(9)) {
    case 0:
      body[at]! ^= 1 << random.below(8);
      return body;
    case 1:
      body[at] = random.below(256);
      return body;
    case 2:
      body[at] = telling[random.below(telling.length)]!;
      return body;
    case 3:
      return body.subarray(0, at + 1);
    case 4:
      return Buffer.concat([body.subarray(0, at), Buffer.of(telling[random.below(telling.length)]!), body.subarray(at)]);
    case 5:
      return Buffer.concat([body.subarray(0, at), body.subarray(Math.min(body.length - 1, at + 1 + random.below(4)))]);
    case 6:
      return Buffer.concat([body.subarray(0, at), phrases[random.below(phrases.length)]!, body.subarray(at)]);
    case 7:
      // A length of four bytes that says more than there is.
      return Buffer.concat([body.subarray(0, at), Buffer.from([0xc6 + random.below(3) * 0x17, 0xff, 0xff, 0xff, 0xff]), body.subarray(at)]);
    default: {
      const other = good[random.below(good.length)]!.subarray(HEADER);
      return Buffer.concat([body.subarray(0, at), other.subarray(random.below(other.length))]);
    }
  }
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapMiB(): number {
  collect();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return (heapUsed + external + arrayBuffers) / 1024 / 1024;
}

describe('the decoder', () => {
  it('takes a million mutated frames: each is a message or refused, none takes long, none stays', () => {
    const random = new Prng(SEED);
    const rounds = 1_000_000;
    let taken = 0;
    let refused = 0;
    let slowestMs = 0;
    let before = 0;
    for (let round = 0; round < rounds; round += 1) {
      // What is built on first use is built by then.
      if (round === 100_000) before = heapMiB();
      let body = Buffer.from(good[random.below(good.length)]!.subarray(HEADER));
      for (let changes = 1 + random.below(3); changes > 0 && body.length > 0; changes -= 1) body = mutate(body, random);
      const frame = framed(body);
      const startedAt = performance.now();
      const { messages, refused: why } = decoded(frame);
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      if (why !== undefined) refused += 1;
      else taken += 1;
      for (const message of messages) if (Object.getPrototypeOf(message) !== Object.prototype) throw new Error(`a strange prototype from ${frame.toString('hex')}`);
    }
    const grownMiB = heapMiB() - before;
    expect({ total: taken + refused, polluted: Object.keys(Object.prototype) }).toEqual({ total: rounds, polluted: [] });
    // Both happen: changes that do no harm, and those that do.
    expect(taken).toBeGreaterThan(rounds / 100);
    expect(refused).toBeGreaterThan(rounds / 4);
    expect(slowestMs).toBeLessThan(HANG_MS);
    expect(grownMiB).toBeLessThan(16);
  }, 240_000);

  it.each(good.map((frame, at) => [at, frame] as const))('waits for the rest of frame %i, wherever it is cut, and makes of it what it was', (_, frame) => {
    const whole = decoded(frame);
    for (let cut = 0; cut <= frame.length; cut += 1) {
      const head = frame.subarray(0, cut);
      expect(decoded(head)).toEqual(cut === frame.length ? whole : { messages: [], refused: undefined });
      expect(decoded(head, frame.subarray(cut))).toEqual(whole);
      // And the rest of it missing, as if the next frame came already.
      if (cut >= HEADER) decoded(head, frame);
    }
  });

  it('refuses a frame whose header says any length but its own, or waits for more', () => {
    for (const frame of good) {
      const own = frame.length - HEADER;
      for (let said = 0; said <= frame.length + 1; said += 1) {
        const lying = Buffer.from(frame);
        lying.writeUInt32BE(said);
        const { messages, refused } = decoded(lying);
        if (said === own) expect(refused).toBeUndefined();
        else if (said > own) expect({ messages, refused }).toEqual({ messages: [], refused: undefined });
        else expect({ said, refused: refused !== undefined || messages.length === 0 }).toEqual({ said, refused: true });
      }
      for (const said of [limits.frameBytesMax + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
        const lying = Buffer.from(frame);
        lying.writeUInt32BE(said);
        expect(decoded(lying)).toMatchObject({ messages: [], refused: expect.stringContaining('at most') });
      }
    }
  });

  const size = limits.frameBytesMax - 64;
  const filled = (byte: number, bytes = size) => Buffer.alloc(bytes, byte);
  const count = (items: number) => [items >>> 24, (items >>> 16) & 255, (items >>> 8) & 255, items & 255];
  const huge: [string, Buffer][] = [
    ['arrays in arrays to the end of the frame', frameOf('ping', filled(0x91))],
    ['maps in maps to the end of the frame', frameOf('ping', [0x81, 0xa1, 0x74], Buffer.from(Array.from({ length: size / 4 }, () => [0x81, 0xa1, 0x74]).flat()))],
    ['an array that says four thousand million items', frameOf('accepted', [0x81, 0xa3], Buffer.from('ids'), [0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['a map that says four thousand million fields', frameOf('accepted', [0xdf, 0xff, 0xff, 0xff, 0xff])],
    ['a string that says four gibibytes', frameOf('cancel', [0x81, 0xa2], Buffer.from('id'), [0xdb, 0xff, 0xff, 0xff, 0xff])],
    ['bytes that say four gibibytes', frameOf('cancel', [0x81, 0xa2], Buffer.from('id'), [0xc6, 0xff, 0xff, 0xff, 0xff])],
    ['a frame full of empty strings as ids', frameOf('accepted', [0x81, 0xa3], Buffer.from('ids'), [0xdd, ...count(size - 8)], filled(0xa0, size - 8))],
    ['a frame full of empty maps', frameOf('demand', [0x81, 0xa7], Buffer.from('waiting'), [0xdd, ...count(size - 16)], filled(0x80, size - 16))],
    ['a string of a whole frame that is no UTF-8', frameOf('cancel', [0x81, 0xa2], Buffer.from('id'), [0xdb, ...count(size - 16)], filled(0xff, size - 16))],
    ['an id of a whole frame', frameOf('cancel', [0x81, 0xa2], Buffer.from('id'), [0xdb, ...count(size - 16)], filled(0x61, size - 16))],
    ['a key of a whole frame', frameOf('cancel', [0x81, 0xdb, ...count(size - 16)], filled(0x61, size - 16))],
    ['an array of five elements', framed(Buffer.concat([Buffer.from([0x95, protocolVersion, 0xa4]), Buffer.from('ping'), filled(0xc0, 2)]))],
    ['rows of no fields', framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.from([0x90, 0xcd, 0x10, 0x00])]))],
    ['rows without a count', framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.from([0x91, 0xa1, 0x74, 0xcb]), filled(0xff, 8)]))],
    ['four thousand million rows', framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.from([0x91, 0xa1, 0x74, 0xce, 0xff, 0xff, 0xff, 0xff, 1]), filled(0xc1)]))],
    ['rows of which each stands for as much as a frame holds', framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa3]), Buffer.from('bye'), Buffer.from([0x91, 0xa5]), Buffer.from('error'), Buffer.from([0xcd, 0x10, 0x00, 0x82, 0xa4]), Buffer.from('code'), Buffer.from([0xa1, 0x78, 0xa7]), Buffer.from('message'), Buffer.from([0xdb, ...count(size - 5_000)]), filled(0x61, size - 5_000), filled(0xc1, 4_095)]))],
    ['rows whose first is the same as none', framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.from([0x91, 0xa1, 0x74, 0x02, 0xc1, 0xc1])]))],
  ];
  it.each(huge)('refuses at once, and in little memory: %s', (_, frame) => {
    const before = process.memoryUsage.rss();
    const startedAt = performance.now();
    const { messages, refused } = decoded(frame);
    expect({ messages: messages.length, refused: refused !== undefined }).toEqual({ messages: 0, refused: true });
    expect(performance.now() - startedAt).toBeLessThan(HANG_MS);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
  });

  // An error is made for every entry of a list that is wrong: a list that may be long is an attack.
  const listOf = (items: number) => Buffer.concat([Buffer.from([0xdd, ...count(items)]), filled(0x80, items)]);
  const mapOf = (keys: number) => Buffer.concat([Buffer.from([0xdf, ...count(keys)]), ...Array.from({ length: keys }, (_, at) => Buffer.from([0xa3, 0x61 + (at % 16), 0x61 + ((at >> 4) % 16), 0x21 + (at >> 8), 0xc0]))]);
  it.each(Object.entries(messageSchemas))('makes no long work of the fields of a %s that hold all that a frame has room for', (kind, { shape }) => {
    const names = Object.keys(shape);
    const room = Math.floor((size - 1_000) / names.length);
    for (const value of [listOf(room), mapOf(Math.min(20_000, Math.floor(room / 5)))]) {
      const frame = frameOf(kind, [0x80 | names.length], ...names.flatMap((name) => [Buffer.of(0xa0 | name.length), Buffer.from(name), value]));
      const startedAt = performance.now();
      const { messages, refused } = decoded(frame);
      expect({ messages: messages.length, refused: refused !== undefined }).toEqual({ messages: 0, refused: true });
      expect(performance.now() - startedAt).toBeLessThan(HANG_MS);
    }
  });

  it.each(['__proto__', 'constructor', 'prototype'])('lets no key %s through, at any depth, as a field, an option, or a name in rows', (key) => {
    const named = Buffer.concat([Buffer.of(0xa0 | key.length), Buffer.from(key)]);
    const fields = { top: [[0x81], named, [0x80]], deep: [[0x81, 0xa1, 0x74, 0x81], named, [0x81, 0xa1, 0x74, 0x01]] } as const;
    for (const parts of Object.values(fields)) expect(decoded(frameOf('ping', ...parts.map((part) => Buffer.from(part)))).refused).toContain('refused');
    const rows = framed(Buffer.concat([Buffer.from([0x94, protocolVersion, 0xa4]), Buffer.from('ping'), Buffer.of(0x91), named, Buffer.from([0x01, 0x01])]));
    expect(decoded(rows).refused).toBeDefined();
    expect(({} as Record<string, unknown>)['t']).toBeUndefined();
  });
});
