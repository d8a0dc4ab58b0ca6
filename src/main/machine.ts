/** What this process says about where it runs. */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import type { Machine } from '../wire/index.ts';

/** Boot and network namespace: two processes can meet on loopback exactly if both agree. */
export function thisMachine(): Machine {
  if (process.platform !== 'linux') return { boot: hostname(), net: 'host' };
  return { boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(), net: readlinkSync('/proc/self/ns/net') };
}

/** Addresses at which a listener on `host` can be reached, loopback first. */
export function reachableHosts(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host];
  const lan = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => entry.family === 'IPv4' && !entry.internal)
    .map((entry) => entry.address);
  return ['127.0.0.1', ...lan].slice(0, 16);
}

/** The host's name as part of a peer's name. */
export function hostLabel(): string {
  const label = hostname().split('.')[0]!.replaceAll(/[^A-Za-z0-9-]/g, '-').replace(/^-+/, '').slice(0, 60);
  return label === '' ? 'peer' : label;
}
