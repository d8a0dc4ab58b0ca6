/** Which ports of this machine are free, for processes that are started together. */
import { PotluckError } from '../errors.ts';
import { isFree, nextFree } from '../lib/ports.ts';

/** A port to begin with, and whether somebody asked for exactly that one. */
export interface PortWish {
  readonly port: number;
  readonly typed: boolean;
}

/** A free port is found among this many, or something else is wrong. */
const PORTS_TRIED = 200;
const HOST = '127.0.0.1';

/**
 * `count` free ports: from the wish on, one after another; if the wish was typed exactly those.
 * @param taken ports that are spoken for; those found are added
 * @throws PotluckError `port_in_use`
 */
export async function freePorts(wish: PortWish, count: number, flag: string, taken: Set<number>): Promise<number[]> {
  const found: number[] = [];
  const last = Math.min(65_535, wish.port + (wish.typed ? count : PORTS_TRIED) - 1);
  for (let port = wish.port; port <= last && found.length < count; port += 1) {
    if (!taken.has(port) && (await isFree(HOST, port))) {
      found.push(port);
      taken.add(port);
    } else if (wish.typed) {
      throw await portTaken(port, flag);
    }
  }
  if (found.length === count) return found;
  throw new PotluckError('port_in_use', `there are not ${count} free ports from ${wish.port} on`, { why: `${found.length} were found up to ${last}`, fix: `choose another beginning with ${flag}` });
}

async function portTaken(port: number, flag: string): Promise<PotluckError> {
  const airPlay = process.platform === 'darwin' && (port === 5000 || port === 7000);
  const why = airPlay ? `macOS keeps port ${port} for the AirPlay receiver` : 'another program listens on it';
  const free = await nextFree(HOST, port);
  return new PotluckError('port_in_use', `port ${port} is taken`, { why, fix: `leave ${flag} out${free === undefined ? '' : `, or begin with a free one: ${flag} ${free}`}` });
}

/** The same error, naming a port that would do. */
export async function withFreePort(error: PotluckError, host: string, taken: number, flag: string): Promise<PotluckError> {
  const free = await nextFree(host, taken);
  const fix = free === undefined ? error.fix : `use ${flag} ${free}, which is free, or stop that program`;
  return new PotluckError('port_in_use', error.message, { why: error.why, fix, cause: error });
}
