/** DER, as far as certificates need it. */

export const tag = {
  sequence: 0x30,
  set: 0x31,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  /** Tagged by its place: the version and the extensions of a certificate, the kinds of an alternative name. */
  explicit0: 0xa0,
  explicit3: 0xa3,
  dnsName: 0x82,
  ipAddress: 0x87,
} as const;

/** One element: its tag, the length of its content, the content. */
export function der(of: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const size = body.length;
  let header: number[];
  if (size < 0x80) header = [of, size];
  else if (size <= 0xff) header = [of, 0x81, size];
  else header = [of, 0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from(header), body]);
}

export function certificatePem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
