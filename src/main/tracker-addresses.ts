/** Where to look for the tracker: what was typed wins over where it was when this machine joined, and that over the default. */
import type { TrackerPlace } from '../config.ts';
import type { PoolInfo } from '../identity/home-folder.ts';
import type { Address } from '../wire/index.ts';

/** At least one address, in the order in which they are tried. */
export function trackerAddresses({ host, port }: TrackerPlace, pool: Pick<PoolInfo, 'trackers'> | undefined): Address[] {
  const joined = pool?.trackers ?? [];
  if (host.typed || joined.length === 0) return [{ host: host.value, port: port.value }];
  return port.typed ? joined.map((address) => ({ host: address.host, port: port.value })) : joined;
}
