/** `potluck peer`: runs a peer. */
import type { Command } from 'commander';
import type { PeerOptions } from '../../config.ts';
import { exit } from '../../errors.ts';
import type { Context, Start } from '../context.ts';
import { examples } from './client-flags.ts';

interface PeerFlags {
  host?: string;
  port?: string;
  announce?: string;
  name?: string;
  webUi?: boolean;
  webHost?: string;
  webPort?: string;
  webName?: string;
  trackerHost?: string;
  trackerPort?: string;
  slots?: string;
  python?: string;
  node?: string;
  accept?: string;
  trustMembers?: boolean;
  isolation?: string;
  maxMemory?: string;
  drainSeconds?: string;
  json?: boolean;
  quiet?: boolean;
}

export function addPeer(parent: Command, start: Start): void {
  const command = parent
    .command('peer')
    .description('run a peer: it takes tasks, finds each the least busy peer, and runs those of others')
    .option('--host <host>', 'the address to listen on (default: 0.0.0.0, all of IPv4; only members get in)')
    .option('--port <port>', 'the port to listen on (default: 9000, or the next free one)')
    .option('--announce <host:port>', 'where others reach it, behind a forwarded port (default: at the addresses of this machine)')
    .option('--name <name>', 'its name; its record is kept under it (default: HOST-PORT)')
    .option('--tracker-host <host>', 'where the tracker is (default: as it was joined, else 127.0.0.1)')
    .option('--tracker-port <port>', 'the port of the tracker (default: as it was joined, else 8888)')
    .option('--web-ui', 'serve a page that shows this peer')
    .option('--web-host <host>', 'the address of the page; HTTPS unless it is this machine only (default: 127.0.0.1)')
    .option('--web-name <name>', 'one more name under which the page is reached')
    .option('--web-port <port>', 'the port of the page (default: 5000, or the next free one)')
    .option('--slots <n>', 'how many tasks it runs at a time (default: one per core)')
    .option('--python <path>', 'the Python for tasks (default: python3 on PATH)')
    .option('--node <path>', 'the Node for tasks (default: the one that runs potluck)')
    .option('--accept <whose>', 'whose tasks it takes: none, own (of its own user) or members (default: members)')
    .option('--trust-members', 'take other members\' tasks outside the box, too: their code can then read what you can')
    .option('--isolation <level>', 'the highest level for tasks of its own user: 0, 1 or 2 (default: what the machine reaches)')
    .option('--max-memory <MB>', 'the most memory that a task may use (default: what the machine has)')
    .option('--drain-seconds <seconds>', 'how long it waits for what runs when it is stopped (default: 30)')
    .option('--json', 'print one JSON document when it listens; what happens later is said on stderr')
    .option('-q, --quiet', 'print only errors')
    .addHelpText('after', examples('potluck peer', 'potluck peer --port 9001 --web-ui --web-port 5001', 'potluck peer --slots 2 --python /usr/bin/python3.12', 'potluck peer --accept own', '', 'It may be started before the tracker. Ctrl+C stops it when what runs has', 'ended, a second one at once.'));
  start(command, async () => async (context: Context<PeerFlags>) => {
    const options = peerOptions(context);
    const { runPeer } = await import('../../main/peer.ts');
    await runPeer(options);
    return exit.done;
  });
}

export function peerOptions({ flags, config }: Pick<Context<PeerFlags>, 'flags' | 'config'>): PeerOptions {
  const settings = config();
  const port = settings.get('peer_port', flags.port);
  const webPort = settings.get('web_port', flags.webPort);
  return {
    homeFolder: settings.homeFolder,
    host: settings.get('listen_host', flags.host).value,
    port: port.value,
    portTyped: port.typed,
    announce: settings.get('announce', flags.announce).value,
    webUi: settings.get('web_ui', flags.webUi).value,
    webHost: settings.get('web_host', flags.webHost).value,
    webPort: webPort.value,
    webPortTyped: webPort.typed,
    webName: settings.get('web_name', flags.webName).value,
    name: settings.get('name', flags.name).value,
    tracker: { host: settings.get('tracker_host', flags.trackerHost), port: settings.get('tracker_port', flags.trackerPort) },
    slots: settings.get('slots', flags.slots).value,
    python: settings.get('python', flags.python).value,
    node: settings.get('node', flags.node).value,
    accept: settings.get('accept', flags.accept).value,
    trustMembers: settings.get('trust_members', flags.trustMembers).value,
    isolation: settings.get('isolation', flags.isolation).value,
    maxMemoryMb: settings.get('max_memory', flags.maxMemory).value,
    drainSeconds: settings.get('drain_seconds', flags.drainSeconds).value,
    json: flags.json === true,
    quiet: flags.quiet === true,
  };
}
