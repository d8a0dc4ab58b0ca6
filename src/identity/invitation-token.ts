/**
 * An invitation as one word that a person can paste: `pl1-…`.
 *
 * Owns: its letters. It holds where the tracker is (up to three addresses), which pool it must prove to
 * be, the invitation's id, the seed that opens it, and a checksum, so that a mistyped one is told from a
 * refused one without asking anybody. Whoever has the word may join: it is a secret.
 */
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import { addressSchema, type Address } from '../wire/messages.ts';

export interface InvitationToken {
  /** SHA-256 (hex) of the pool's public key. */
  pool: string;
  /** The invitation: 16 hex digits. */
  id: string;
  /** 32 bytes: an Ed25519 private key. */
  seed: Uint8Array;
  addresses: readonly Address[];
}

const PREFIX = 'pl1-';
const POOL = 32;
const ID = 8;
const SEED = 32;
const CHECK = 4;

const checkOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(PREFIX).update(bytes).digest().subarray(0, CHECK);

/** pool ‖ id ‖ seed ‖ addresses as text ‖ checksum, in base64url. */
export function tokenText({ pool, id, seed, addresses }: InvitationToken): string {
  const places = addresses.slice(0, limits.invitationAddressesMax).map(({ host, port }) => `${host} ${port}`);
  const bytes = Buffer.concat([Buffer.from(pool, 'hex'), Buffer.from(id, 'hex'), seed, Buffer.from(places.join(','))]);
  return PREFIX + Buffer.concat([bytes, checkOf(bytes)]).toString('base64url');
}

/**
 * Reads what was pasted: the word alone, or a text that holds it, also one that a mail program broke into lines.
 * @throws PotluckError `invitation_mistyped`; the error repeats nothing of what was typed
 */
export function readToken(pasted: string): InvitationToken {
  const start = pasted.indexOf(PREFIX);
  if (start === -1) throw mistyped('an invitation begins with pl1-');
  const rest = pasted.slice(start + PREFIX.length);
  const asTyped = parse(/^[\w-]*/.exec(rest)![0]);
  const unbroken = asTyped ?? parse(/^[\w\s-]*/.exec(rest)![0].replaceAll(/\s+/g, ''));
  if (unbroken === undefined) throw mistyped('its letters do not fit together: one is wrong or missing');
  return unbroken;
}

function parse(letters: string): InvitationToken | undefined {
  const bytes = Buffer.from(letters, 'base64url');
  // Other letters that give the same bytes are not what was printed.
  if (bytes.toString('base64url') !== letters || bytes.length < POOL + ID + SEED + CHECK) return undefined;
  const body = bytes.subarray(0, -CHECK);
  if (!checkOf(body).equals(bytes.subarray(-CHECK))) return undefined;
  const addresses: Address[] = [];
  for (const place of body.subarray(POOL + ID + SEED).toString().split(',')) {
    const [host = '', port] = place.split(' ');
    const address = addressSchema.safeParse({ host, port: Number(port) });
    if (address.success && host !== '') addresses.push(address.data);
  }
  if (addresses.length === 0 || addresses.length > limits.invitationAddressesMax) return undefined;
  return { pool: body.toString('hex', 0, POOL), id: body.toString('hex', POOL, POOL + ID), seed: Uint8Array.from(body.subarray(POOL + ID, POOL + ID + SEED)), addresses };
}

const mistyped = (why: string): PotluckError =>
  new PotluckError('invitation_mistyped', 'this is no invitation as it was printed', { why, fix: 'copy the whole line that "potluck invite" printed, or pass it in a file: potluck join --file FILE' });

/** PKCS#8 around a seed (RFC 8410). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The private key that the seed is. */
export const seedKey = (seed: Uint8Array): KeyObject => createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
