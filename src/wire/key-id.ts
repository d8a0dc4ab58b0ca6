/**
 * Who somebody is: the SHA-256 of their public key, whatever certificate it comes in.
 */
import { createHash, type KeyObject } from 'node:crypto';

/** SHA-256 (64 hex digits) of the key's SPKI. Takes a public or a private key's public half. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('hex');
}

/** What a process shows of itself on its links: the id of its key, the key and a certificate that holds it. */
export interface LinkIdentity {
  readonly keyId: string;
  readonly keyPem: string;
  readonly certPem: string;
}
