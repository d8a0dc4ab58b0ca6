/** How a client reaches a home: as the member that this user's folder holds. */
import { randomUUID } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { openHomeFolder } from '../identity/home-folder.ts';
import { keyRevoked, LiveRoster } from '../identity/live-roster.ts';
import { limits } from '../limits.ts';
import { version } from '../version.ts';
import { greet } from '../wire/hello.ts';
import { dial } from '../wire/tls-connection.ts';
import type { Dialled } from './line.ts';

export interface HomeAddress {
  host: string;
  port: number;
  /** The pool's folder, absolute. */
  homeFolder: string;
}

/**
 * Opens the folder once; what it gives dials as often as asked.
 * @throws PotluckError `home_exposed` or `key_damaged`; from dialling `peer_unreachable`, `not_a_member`, `revoked`, `version_gap`
 */
export async function dialer({ host, port, homeFolder }: HomeAddress): Promise<() => Promise<Dialled>> {
  const { identity } = await openHomeFolder(homeFolder);
  const members = await new LiveRoster({ folder: homeFolder, ownKeyId: identity.keyId }).open();
  const incarnation = randomUUID();
  return async () => {
    // Nobody of the pool would have a link with this key, the own peer neither.
    if (members.isRevoked(identity.keyId)) throw keyRevoked(homeFolder);
    const connection = await dial({ host, port, identity, members, timeoutMs: limits.helloMs });
    const hello = await greet(connection, { version, incarnation, as: 'client', name: `client-${process.pid}` });
    if (hello.as === 'home') return { connection, incarnation: hello.incarnation };
    connection.close();
    // Without a reason: who answered said who it is, and no look at other ports tells more.
    throw new PotluckError('peer_unreachable', `this is a ${hello.as}, not a peer: ${host}:${port}`, { fix: 'use the port of a peer; the first one takes 9000' });
  };
}
