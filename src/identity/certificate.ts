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

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const GENERALIZED_TIME = 0x18;
const UTC_TIME = 0x17;
const EXPLICIT_0 = 0xa0;

/** One element: its tag, the length of its content, the content. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  let header: number[];
  if (size < 0x80) header = [tag, size];
  else if (size <= 0xff) header = [tag, 0x81, size];
  else header = [tag, 0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from(header), body]);
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
/** id-Ed25519, 1.3.101.112. */
const ed25519 = der(SEQUENCE, der(OBJECT_ID, Buffer.from([0x2b, 0x65, 0x70])));
/** id-at-commonName, 2.5.4.3. */
const commonName = der(OBJECT_ID, Buffer.from([0x55, 0x04, 0x03]));
const version3 = der(EXPLICIT_0, der(INTEGER, Buffer.from([2])));
const serial = der(INTEGER, Buffer.from([1]));
/** From the beginning of time as computers count it to the last day that the format can say. */
const always = der(SEQUENCE, der(UTC_TIME, ascii('700101000000Z')), der(GENERALIZED_TIME, ascii('99991231235959Z')));
/** A bit string starts with the number of its unused bits. */
const wholeBytes = Buffer.from([0]);

/** The self-signed certificate (PEM) of an Ed25519 private key. */
export function certificateOf(privateKey: KeyObject): string {
  const publicKey = createPublicKey(privateKey);
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, commonName, der(UTF8_STRING, ascii(keyIdOf(publicKey))))));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = der(SEQUENCE, version3, serial, ed25519, name, always, name, spki);
  const signature = der(BIT_STRING, wholeBytes, sign(null, body, privateKey));
  return toPem(der(SEQUENCE, body, ed25519, signature));
}

function toPem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
