/**
 * What is signed when somebody joins, the same text for who signs and who checks.
 *
 * Invariants
 * 1. Everything signed holds the exporter of this TLS connection, so it proves nothing anywhere else.
 * 2. The tracker proves first that it holds the pool's key; before that the newcomer says nothing.
 * 3. The newcomer proves two things about its own key: that the invitation's holder means this key (seed),
 *    and that it has it (the key itself).
 */
import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { keyIdOf } from '../wire/key-id.ts';
import type { JoinMessageOf } from '../wire/messages.ts';
import { seedKey, type InvitationToken } from './invitation-token.ts';
import { ed25519FromSpki } from './sealed-roster.ts';

const PURPOSE = Buffer.from('potluck-join-1');

const spkiOf = (key: KeyObject): Buffer => (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });

export function trackerProof(poolKey: KeyObject, exporter: Uint8Array): JoinMessageOf<'join_hello'> {
  return { kind: 'join_hello', pool_key: spkiOf(poolKey), signature: sign(null, Buffer.concat([PURPOSE, exporter]), poolKey) };
}

/** Whether who is at the other end of this connection holds the key of that pool (its id, hex). */
export function isTrackerOf(pool: string, { pool_key, signature }: JoinMessageOf<'join_hello'>, exporter: Uint8Array): boolean {
  const key = ed25519FromSpki(pool_key);
  return key !== undefined && keyIdOf(key) === pool && verify(null, Buffer.concat([PURPOSE, exporter]), key, signature);
}

export function newcomerProof(token: Pick<InvitationToken, 'id' | 'seed'>, ownKey: KeyObject, machine: string, exporter: Uint8Array): JoinMessageOf<'join_proof'> {
  const spki = spkiOf(ownKey);
  const signed = Buffer.concat([exporter, spki]);
  return { kind: 'join_proof', invitation: token.id, public_key: spki, by_seed: sign(null, signed, seedKey(token.seed)), by_key: sign(null, signed, ownKey), machine };
}

/**
 * The newcomer's key id, if both proofs are right; undefined otherwise.
 * @param seedPublicKey the public half of the invitation's seed (SPKI)
 */
export function provenNewcomer({ public_key, by_seed, by_key }: JoinMessageOf<'join_proof'>, seedPublicKey: Uint8Array, exporter: Uint8Array): string | undefined {
  const [seed, own] = [ed25519FromSpki(seedPublicKey), ed25519FromSpki(public_key)];
  if (seed === undefined || own === undefined) return undefined;
  // The key's one spelling: what was signed is what its id is made of.
  const spki = spkiOf(own);
  const signed = Buffer.concat([exporter, spki]);
  return Buffer.compare(spki, public_key) === 0 && verify(null, signed, seed, by_seed) && verify(null, signed, own, by_key) ? keyIdOf(own) : undefined;
}
