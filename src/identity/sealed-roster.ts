/**
 * A roster with the pool's signature: made by the tracker, checked by everybody.
 *
 * Owns: the bytes that are signed, the check, and the form in a file. On the wire it is the message
 * `roster` (messages.ts).
 *
 * Invariants
 * 1. A seal carries the pool's public key, and counts only if that key's hash is the pool's id: who knows
 *    the id needs nothing else to check a roster, whoever hands it on.
 * 2. What is not signed (the number beside the body) is believed only if it is what the body says.
 */
import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { causeText } from '../errors.ts';
import { keyIdOf } from '../wire/key-id.ts';
import type { MessageBody } from '../wire/messages.ts';
import { rosterBodySchema, type RosterBody } from './roster.ts';

export type SealedRoster = MessageBody<'roster'>;

/** So that no signature of the pool's key on something else can be taken for one on a roster. */
const PURPOSE = Buffer.from('potluck-roster-1\n');

export function sealRoster(body: RosterBody, poolKey: KeyObject): SealedRoster {
  const bytes = Buffer.from(JSON.stringify(body));
  return {
    number: body.number,
    pool_key: createPublicKey(poolKey).export({ type: 'spki', format: 'der' }),
    body: bytes,
    signature: sign(null, Buffer.concat([PURPOSE, bytes]), poolKey),
  };
}

/** What a seal holds, or why it does not count. */
export type Opened = { body: RosterBody } | { why: string };

/** Checks a seal against the id of the pool (SHA-256, hex, of its public key). Never throws. */
export function openSeal(sealed: SealedRoster, pool: string): Opened {
  const key = ed25519FromSpki(sealed.pool_key);
  if (key === undefined || keyIdOf(key) !== pool) return { why: 'another pool signed it' };
  if (!verify(null, Buffer.concat([PURPOSE, sealed.body]), key, sealed.signature)) return { why: 'its signature is wrong' };
  try {
    const body = rosterBodySchema.parse(JSON.parse(Buffer.from(sealed.body).toString()));
    if (body.pool !== pool || body.number !== sealed.number) return { why: 'it says one thing outside and another inside' };
    return { body };
  } catch (error) {
    return { why: `it cannot be read: ${causeText(error)}` };
  }
}

/** An Ed25519 key from its SPKI; undefined if it is none. */
export function ed25519FromSpki(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    // Bytes of a stranger that are no key: that is an answer, not an accident.
    return undefined;
  }
}

/** The file's text: the body readable for people, the rest in base64. */
export function sealToText({ pool_key, body, signature }: SealedRoster): string {
  return `${JSON.stringify({ pool_key: base64(pool_key), signature: base64(signature), body: Buffer.from(body).toString() })}\n`;
}

/** Undefined if the text is not what `sealToText` makes. Whether the seal is good, `openSeal` says. */
export function sealFromText(text: string): SealedRoster | undefined {
  try {
    const { pool_key, signature, body } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pool_key !== 'string' || typeof signature !== 'string' || typeof body !== 'string') return undefined;
    const { number } = JSON.parse(body) as { number?: unknown };
    if (typeof number !== 'number') return undefined;
    return { number, pool_key: Buffer.from(pool_key, 'base64'), signature: Buffer.from(signature, 'base64'), body: Buffer.from(body) };
  } catch {
    // Half a file after a crash: the caller takes the one before it.
    return undefined;
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
