/**
 * The certificate that a peer's page shows to browsers, which refuse Ed25519: a P-256 key of its own, in a
 * file with its certificate.
 *
 * Invariants
 * 1. It is no member key and proves nothing to other processes: whoever takes it has a page, not a member.
 * 2. It stays the same until it ends or lacks a name that it should have, so that a browser asks only once.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { ifMissing } from '../lib/system-errors.ts';
import { certificatePem, der, tag } from './der.ts';
import { replaceFile } from './key-file.ts';

export interface WebCertificate {
  /** PEM. */
  key: string;
  cert: string;
  /** SHA-256 of the certificate, as browsers show it. */
  fingerprint: string;
}

const dayMs = 86_400_000;
/** Beyond 825 days some systems refuse a certificate whoever made it. */
const validMs = 820 * dayMs;
const renewMs = 30 * dayMs;

/** The one in the file, or a new one. @param names hosts under which the page is reached, names or addresses */
export async function webCertificate(file: string, names: readonly string[], nowMs: number = Date.now()): Promise<WebCertificate> {
  const kept = await readKept(file);
  if (kept !== undefined) {
    const cert = new X509Certificate(kept.cert);
    const serves = names.filter((name) => isIP(name) === 0).every((name) => cert.checkHost(name) !== undefined);
    if (serves && Date.parse(cert.validTo) - nowMs > renewMs && cert.checkPrivateKey(createPrivateKey(kept.key))) return { ...kept, fingerprint: cert.fingerprint256 };
  }
  const made = makeCertificate(names, nowMs);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await replaceFile(file, `${made.key}${made.cert}`);
  return { ...made, fingerprint: new X509Certificate(made.cert).fingerprint256 };
}

async function readKept(file: string): Promise<{ key: string; cert: string } | undefined> {
  const text = await readFile(file, 'utf8').catch(ifMissing(undefined));
  if (text === undefined) return undefined;
  const [, key, cert] = /^(-----BEGIN PRIVATE KEY-----\n[^]*-----END PRIVATE KEY-----\n)(-----BEGIN CERTIFICATE-----\n[^]*-----END CERTIFICATE-----\n)$/.exec(text) ?? [];
  return key === undefined || cert === undefined ? undefined : { key, cert };
}

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2. */
const ecdsaSha256 = der(tag.sequence, der(tag.objectId, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])));
/** id-at-commonName, 2.5.4.3. */
const commonName = der(tag.objectId, Buffer.from([0x55, 0x04, 0x03]));
/** id-ce-subjectAltName, 2.5.29.17. */
const alternativeNames = der(tag.objectId, Buffer.from([0x55, 0x1d, 0x11]));

function makeCertificate(names: readonly string[], nowMs: number): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = der(tag.sequence, der(tag.set, der(tag.sequence, commonName, der(tag.utf8, Buffer.from('potluck page')))));
  // A number of 127 bits at most is positive.
  const serial = der(tag.integer, Buffer.concat([Buffer.from([1]), randomBytes(15)]));
  const valid = der(tag.sequence, time(nowMs - dayMs), time(nowMs + validMs));
  const extensions = der(tag.explicit3, der(tag.sequence, der(tag.sequence, alternativeNames, der(tag.octetString, der(tag.sequence, ...names.map(nameOf))))));
  const body = der(tag.sequence, der(tag.explicit0, der(tag.integer, Buffer.from([2]))), serial, ecdsaSha256, subject, valid, subject, publicKey.export({ type: 'spki', format: 'der' }), extensions);
  const signature = der(tag.bitString, Buffer.from([0]), sign('sha256', body, privateKey));
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: certificatePem(der(tag.sequence, body, ecdsaSha256, signature)) };
}

/** With two digits of the year, as wanted until 2049. */
const time = (ms: number): Buffer => der(tag.utcTime, Buffer.from(new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '').slice(2)));

function nameOf(name: string): Buffer {
  if (isIP(name) === 4) return der(tag.ipAddress, Buffer.from(name.split('.').map(Number)));
  if (isIP(name) === 6) return der(tag.ipAddress, bytesOfIpv6(name));
  return der(tag.dnsName, Buffer.from(name, 'latin1'));
}

function bytesOfIpv6(address: string): Buffer {
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
  const bytes = Buffer.alloc(16);
  for (const [at, group] of all.slice(0, 8).entries()) bytes.writeUInt16BE(group & 0xffff, at * 2);
  return bytes;
}
