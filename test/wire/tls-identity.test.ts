/** Identity is the key: what else a certificate says is not read. */
import { sign, createPrivateKey, X509Certificate } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { dial, listen, type Listener } from '../../src/wire/tls-connection.ts';
import { newIdentity } from '../contract/connection-ends.ts';
import { trusting } from '../helpers/members.ts';

/** Algorithm and signature at the end of a certificate of ours. */
const TAIL = 7 + 67;

/** The same key in a certificate of which this text is another, signed again. */
function altered(identity: LinkIdentity, from: string, to: string): LinkIdentity {
  const der = new X509Certificate(identity.certPem).raw;
  const at = der.indexOf(from, 0, 'latin1');
  expect([at > 0, from.length]).toEqual([true, to.length]);
  der.write(to, at, 'latin1');
  const body = der.subarray(der[1] === 0x81 ? 3 : 4, der.length - TAIL);
  sign(null, body, createPrivateKey(identity.keyPem)).copy(der, der.length - 64);
  const certPem = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
  expect(new X509Certificate(certPem).verify(new X509Certificate(certPem).publicKey)).toBe(true);
  return { ...identity, certPem };
}

const whole = newIdentity();
const cases: [string, LinkIdentity][] = [
  ['that ended decades ago', altered(whole, '99991231235959Z', '19870101000000Z')],
  ['that begins decades from now', altered(whole, '700101000000Z', '490101000000Z')],
  ['that names another key', altered(whole, whole.keyId, 'f'.repeat(64))],
];

let listener: Listener | undefined;
beforeEach(() => {
  listener = undefined;
});
afterEach(() => listener?.close());

it.each(cases)('a certificate %s is as good as any, on either side', async (_, identity) => {
  const members = trusting((key) => key === whole.keyId);
  const keys: string[] = [];
  listener = await listen({ host: '127.0.0.1', port: 0, identity, members, onConnection: (link) => keys.push(link.peerKey) });
  const link = await dial({ host: '127.0.0.1', port: listener.port, identity, members, expectKey: whole.keyId, timeoutMs: 5_000 });
  expect(link.peerKey).toBe(whole.keyId);
  await expect.poll(() => keys).toEqual([whole.keyId]);
  link.close();
});
