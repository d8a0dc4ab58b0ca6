/** `potluck tracker`: runs the tracker of a pool. */
import type { Command } from 'commander';
import type { TrackerOptions } from '../../config.ts';
import { exit } from '../../errors.ts';
import type { Context, Start } from '../context.ts';
import { examples } from './client-flags.ts';

interface TrackerFlags {
  host?: string;
  port?: string;
  json?: boolean;
  quiet?: boolean;
}

export function addTracker(parent: Command, start: Start): void {
  const command = parent
    .command('tracker')
    .description('run the tracker, which knows the peers and how busy they are')
    .option('--host <host>', 'the address to listen on (default: 0.0.0.0, all of IPv4; only members get in)')
    .option('--port <port>', 'the port to listen on (default: 8888)')
    .option('--json', 'print one JSON document when it listens, then one on a line of its own for each event')
    .option('-q, --quiet', 'print only errors')
    .addHelpText('after', examples('potluck tracker', 'potluck tracker --port 8889', '', 'The first start makes the pool: its keys are in ~/.potluck, or where', 'POTLUCK_HOME says. Ctrl+C stops it; peers go on without it and come back when', 'it is started again.'));
  start(command, async () => async (context: Context<TrackerFlags>) => {
    const { runTracker } = await import('../../main/tracker.ts');
    await runTracker(trackerOptions(context));
    return exit.done;
  });
}

export function trackerOptions({ terminal, flags, config }: Context<TrackerFlags>): TrackerOptions {
  const settings = config();
  return {
    homeFolder: settings.homeFolder,
    host: settings.get('listen_host', flags.host).value,
    port: settings.get('tracker_port', flags.port).value,
    json: flags.json === true,
    color: terminal.color,
    quiet: flags.quiet === true,
  };
}
