/** What this process says about where it runs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { limits } from '../limits.ts';
import type { Machine } from '../wire/index.ts';

/** Boot and network namespace: two processes can meet on loopback exactly if both agree. */
export function thisMachine(): Machine {
  if (process.platform !== 'linux') return { boot: hostname(), net: 'host' };
  return { boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(), net: readlinkSync('/proc/self/ns/net') };
}

/** Hosts at which a listener on `host` can be reached, loopback first; asked again when the network may be another. */
export function reachableHosts(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const found = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  const of = (family: 'IPv4' | 'IPv6') => found.filter((entry) => entry.family === family && !entry.internal && !isLinkLocal(entry.address)).map((entry) => entry.address);
  // Who listens on :: has the IPv4 addresses, too.
  return ['127.0.0.1', ...of('IPv4'), ...(host === '::' ? of('IPv6') : [])].slice(0, limits.addressesMax);
}

/** Such an address means nothing without the name of an interface, which is another on each machine. */
const isLinkLocal = (address: string): boolean => /^(?:169\.254\.|fe[89ab][0-9a-f]:)/i.test(address);

/** The host's name as part of a peer's name. */
export function hostLabel(): string {
  const label = hostname().split('.')[0]!.replaceAll(/[^A-Za-z0-9-]/g, '-').replace(/^-+/, '').slice(0, 60);
  return label === '' ? 'peer' : label;
}
