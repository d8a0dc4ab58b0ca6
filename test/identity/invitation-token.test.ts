import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readToken, seedKey, tokenText, type InvitationToken } from '../../src/identity/invitation-token.ts';

const token = (more: Partial<InvitationToken> = {}): InvitationToken => ({
  pool: 'ab'.repeat(32),
  id: '0123456789abcdef',
  seed: Uint8Array.from(randomBytes(32)),
  addresses: [{ host: '192.168.1.5', port: 8888 }, { host: 'fe80::1', port: 8889 }, { host: 'laptop.local', port: 1 }],
  ...more,
});

describe('an invitation as text', () => {
  it('comes back as it was, alone, in its line, with a line break in it and in a mail', () => {
    const written = token();
    const text = tokenText(written);
    expect(text).toMatch(/^pl1-[\w-]+$/);
    const broken = `${text.slice(0, 60)}\r\n ${text.slice(60)}\n`;
    for (const pasted of [text, `potluck join ${text}\n`, broken, `Hello,\n\n  potluck join ${text}\n\nSee you.`]) expect(readToken(pasted)).toEqual(written);
  });

  it('names three addresses at most', () => {
    const addresses = Array.from({ length: 5 }, (_, at) => ({ host: `10.0.0.${at}`, port: 8888 }));
    expect(readToken(tokenText(token({ addresses }))).addresses).toEqual(addresses.slice(0, 3));
  });

  it('is found to be mistyped by any one letter, and the error repeats none of it', () => {
    const text = tokenText(token());
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    fc.assert(
      fc.property(fc.integer({ min: 4, max: text.length - 1 }), fc.constantFrom(...letters), (at, letter) => {
        fc.pre(text[at] !== letter);
        const wrong = text.slice(0, at) + letter + text.slice(at + 1);
        expect(() => readToken(wrong)).toThrow(expect.objectContaining({ code: 'invitation_mistyped' }));
      }),
    );
    fc.assert(fc.property(fc.integer({ min: 0, max: text.length - 1 }), (length) => void expect(() => readToken(text.slice(0, length))).toThrow(expect.objectContaining({ code: 'invitation_mistyped' }))));
    try {
      readToken(text.slice(0, -1));
    } catch (error) {
      expect(JSON.stringify({ ...(error as Error), message: (error as Error).message })).not.toContain(text.slice(10, 30));
    }
  });

  it.each(['', 'pl1-', 'pl1-AAAA', 'pl2-AAAA', 'join', `pl1-${'A'.repeat(100_000)}`])('is none: %s', (text) => {
    expect(() => readToken(text)).toThrow(expect.objectContaining({ code: 'invitation_mistyped' }));
  });
});

describe('the seed', () => {
  it('is the private key itself', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
    expect(createPublicKey(seedKey(seed)).equals(publicKey)).toBe(true);
  });
});
