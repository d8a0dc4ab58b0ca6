/**
 * The certificate in which an Ed25519 key travels over TLS.
 *
 * Owns: its bytes (X.509 in DER, the few fields that must be there). TLS wants a certificate; potluck
 * reads nothing of it but the key, so it names only the key's id and is valid for all time.
 *
 * 1. The certificate is a function of the key alone (Ed25519 signatures are deterministic, the serial
 *    number is fixed), so it is made again at every start and there is no second file to fall out of
 *    step with the key.
 */
import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { keyIdOf } from '../wire/key-id.ts';
import { certificatePem, der, tag } from './der.ts';

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
/** id-Ed25519, 1.3.101.112. */
const ed25519 = der(tag.sequence, der(tag.objectId, Buffer.from([0x2b, 0x65, 0x70])));
/** id-at-commonName, 2.5.4.3. */
const commonName = der(tag.objectId, Buffer.from([0x55, 0x04, 0x03]));
const version3 = der(tag.explicit0, der(tag.integer, Buffer.from([2])));
const serial = der(tag.integer, Buffer.from([1]));
/** From the beginning of time as computers count it to the last day that the format can say. */
const always = der(tag.sequence, der(tag.utcTime, ascii('700101000000Z')), der(tag.generalizedTime, ascii('99991231235959Z')));
/** A bit string starts with the number of its unused bits. */
const wholeBytes = Buffer.from([0]);

/** The self-signed certificate (PEM) of an Ed25519 private key. */
export function certificateOf(privateKey: KeyObject): string {
  const publicKey = createPublicKey(privateKey);
  const name = der(tag.sequence, der(tag.set, der(tag.sequence, commonName, der(tag.utf8, ascii(keyIdOf(publicKey))))));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(tag.sequence, version3, serial, ed25519, name, always, name, spki);
  const signature = der(tag.bitString, wholeBytes, sign(null, body, privateKey));
  return certificatePem(der(tag.sequence, body, ed25519, signature));
}
