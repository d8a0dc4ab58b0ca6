/**
 * Pairs of connected links, one for every adapter; the suite runs over each.
 */
import { generateKeyPairSync } from 'node:crypto';
import { certificateOf } from '../../src/identity/certificate.ts';
import { keyIdOf, type LinkIdentity } from '../../src/wire/key-id.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { connectInMemory } from '../../src/wire/memory-connection.ts';
import { dial, listen } from '../../src/wire/tls-connection.ts';
import { trusting } from '../helpers/members.ts';

export interface Pair {
  near: Connection;
  far: Connection;
  close(): Promise<void>;
}

export function newIdentity(): LinkIdentity {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { keyId: keyIdOf(publicKey), keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), certPem: certificateOf(privateKey) };
}

export async function tlsPair(): Promise<Pair> {
  const identity = newIdentity();
  const arrived: Connection[] = [];
  const listener = await listen({ host: '127.0.0.1', port: 0, identity, members: trusting((key) => key === identity.keyId), onConnection: (link) => arrived.push(link) });
  const near = await dial({ host: '127.0.0.1', port: listener.port, identity, expectKey: identity.keyId, timeoutMs: 5_000 });
  const far = await until(() => arrived[0]);
  return {
    near,
    far,
    close: async () => {
      near.close();
      far.close();
      await listener.close();
    },
  };
}

export async function memoryPair(): Promise<Pair> {
  const [near, far] = connectInMemory('0'.repeat(64));
  return {
    near,
    far,
    close: async () => {
      near.close();
      far.close();
    },
  };
}

/** Polls until there is something; fails after a while that no healthy run needs. */
export async function until<T>(look: () => T | undefined | false, withinMs = 10_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error('what was waited for did not happen');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
