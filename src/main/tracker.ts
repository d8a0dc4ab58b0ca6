/**
 * The tracker's process: build, listen, say where, stop.
 *
 * Order: the pool's keys and its registry before the port (a tracker that cannot prove itself, or does not
 * know who belongs to the pool, must not listen), the port before the first word on the screen (what is
 * printed is true).
 */
import { randomBytes } from 'node:crypto';
import type { TrackerOptions } from '../config.ts';
import { PotluckError } from '../errors.ts';
import { openHomeFolder, openPool } from '../identity/home-folder.ts';
import { LiveRoster } from '../identity/live-roster.ts';
import { cleanLine } from '../lib/clean-text.ts';
import { hostAndPort } from '../lib/hosts.ts';
import { Console } from '../tracker/console.ts';
import { Tracker } from '../tracker/tracker.ts';
import { version } from '../version.ts';
import { listen, type Listener, type ListenOptions } from '../wire/index.ts';
import { withFreePort } from './free-ports.ts';
import { whenGreeted } from './incoming.ts';
import { hostLabel, reachableHosts } from './machine.ts';
import { exitWithParent } from './parent.ts';
import { broken, untilTold } from './process.ts';
import { RegistryKeeper } from './registry.ts';

export async function runTracker(options: TrackerOptions): Promise<void> {
  exitWithParent();
  const { path, identity } = await openHomeFolder(options.homeFolder);
  const { pool, key: poolKey } = await openPool(path, `pool of ${hostLabel()}`);
  const roster = await new LiveRoster({ folder: path, ownKeyId: identity.keyId, log: complain, pushes: true }).open();
  let show: Console | undefined;
  const listening: { port: number } = { port: options.port };
  const registry = new RegistryKeeper({
    folder: path,
    pool,
    poolKey,
    own: { key: identity.keyId, name: hostLabel(), machine: hostLabel() },
    roster,
    addresses: () => reachableHosts(options.host).map((host) => ({ host, port: listening.port })),
    linkedNow: () => tracker.keys(),
    say: complain,
    onJoined: (line) => show?.said(line),
    broken,
  });
  const tracker = new Tracker({
    pool: pool.pool,
    name: hostLabel(),
    incarnation: randomBytes(8).toString('hex'),
    version,
    roster,
    onNews: (news) => show?.news(news),
    onSeen: (key) => registry.seen(key),
    onAudit: (message, key, peer) => registry.reported(message, key, peer),
    onClient: (connection) => registry.accept(connection),
    broken,
  });
  await registry.start();
  const listener = await listenOn(options, {
    identity,
    members: roster,
    onConnection: (connection) => whenGreeted(connection, (hello) => tracker.accept(connection, hello)),
    onNewcomer: (channel) => registry.welcome(channel),
    onRefused: (remote, why) => registry.refused(remote.slice(0, remote.lastIndexOf(':')), why),
  });
  listening.port = listener.port;
  tracker.start();
  const addresses = reachableHosts(options.host).map((host) => hostAndPort(host, listener.port));
  if (options.json) console.log(JSON.stringify({ tracker: hostLabel(), pool: pool.pool, addresses, pid: process.pid }));
  else {
    console.log(`tracker of pool ${pool.pool.slice(0, 12)} listens on ${addresses.join(', ')}`);
    console.log(`start peers with: potluck peer${listener.port === 8888 ? '' : ` --tracker-port ${listener.port}`}`);
  }
  if (options.json || !options.quiet) show = new Console(process.stdout, () => tracker.peers(), formOf(options));
  await untilTold();
  show?.stop();
  await listener.close();
  tracker.stop();
  await registry.stop();
}

const complain = (line: string): void => console.error(cleanLine(line));

/** There is no next port for a tracker: peers look for it at the one that they were told. */
async function listenOn({ host, port }: TrackerOptions, how: Omit<ListenOptions, 'host' | 'port'>): Promise<Listener> {
  try {
    return await listen({ ...how, host, port });
  } catch (error) {
    if (error instanceof PotluckError && error.code === 'port_in_use') throw await withFreePort(error, host, port, '--port');
    throw error;
  }
}

const formOf = ({ json, color }: TrackerOptions) => (json ? 'json' : color && process.stdout.isTTY === true ? 'table' : 'lines');
