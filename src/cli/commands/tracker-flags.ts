/** The flags that every command which asks the tracker shares. */
import type { Command } from 'commander';
import type { TrackerPlace } from '../../config.ts';
import type { Context } from '../context.ts';

export interface TrackerPlaceFlags {
  trackerHost?: string;
  trackerPort?: string;
  json?: boolean;
}

export const withTracker = (command: Command): Command =>
  command
    .option('--tracker-host <host>', 'where the tracker is (default: as it was joined, else 127.0.0.1)')
    .option('--tracker-port <port>', 'the port of the tracker (default: as it was joined, else 8888)')
    .option('--json', 'print one JSON document, on standard output');

export function trackerPlace({ flags, config }: Pick<Context<TrackerPlaceFlags>, 'flags' | 'config'>): TrackerPlace {
  const settings = config();
  return { host: settings.get('tracker_host', flags.trackerHost), port: settings.get('tracker_port', flags.trackerPort) };
}
