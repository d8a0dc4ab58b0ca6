/**
 * Reaches a runner by the addresses that it announced.
 *
 * Invariant: loopback is tried only if boot and network namespace are our own, because everywhere else
 * 127.0.0.1 is somebody else; and a wrong key at one address means the next address, not the end.
 */
import { PotluckError } from '../errors.ts';
import { isLoopback } from '../lib/hosts.ts';
import { type Address, type Connection, dial, type LinkIdentity, type LinkMembership, type Machine, type PeerInfo } from '../wire/index.ts';

const dialMs = 3_000;

export function addressesToTry(info: Pick<PeerInfo, 'addresses' | 'machine'>, own: Machine): Address[] {
  const same = info.machine.boot === own.boot && info.machine.net === own.net;
  const loopback = same ? info.addresses.filter(({ host }) => isLoopback(host)) : [];
  return [...loopback, ...info.addresses.filter(({ host }) => !isLoopback(host))];
}

/** Throws the last address's PotluckError when none works. */
export async function dialRunner(info: PeerInfo, own: Machine, identity: LinkIdentity, members: LinkMembership): Promise<Connection> {
  const addresses = addressesToTry(info, own);
  let last: unknown = new PotluckError('peer_unreachable', `${info.peer} announces no address that can be reached from here`);
  for (const { host, port } of addresses) {
    try {
      return await dial({ host, port, identity, members, expectKey: info.key, timeoutMs: dialMs });
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
