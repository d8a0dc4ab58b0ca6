/** What `potluck up` and `potluck down` do and say. */
import type { Resolved } from '../config.ts';
import { PotluckError, exit, interrupted } from '../errors.ts';
import { Latch } from '../lib/latch.ts';
import type { PortWish } from '../main/free-ports.ts';
import { loginLink } from '../main/page-login.ts';
import { LocalPool, startDetached, stopRunning, type UpMessage, type UpOptions } from '../main/up.ts';
import type { PartOfPool, RunningPool } from '../main/up-file.ts';
import type { Context } from './context.ts';
import { shownOf } from './errors.ts';
import { counted } from './format.ts';
import { Progress } from './progress.ts';
import { table, type Column } from './table.ts';
import type { Terminal } from './terminal.ts';
import { wholeNumber } from './values.ts';

export interface UpFlags {
  peers?: string;
  port?: string;
  webPort?: string;
  trackerPort?: string;
  slots?: string;
  detach?: boolean;
  json?: boolean;
  quiet?: boolean;
  inBackground?: boolean;
}

/** More than this on one machine is a test, not a pool; each costs two processes at least. */
const PEERS_MAX = 64;

export async function runUp(context: Context<UpFlags>): Promise<number> {
  const { terminal, flags } = context;
  const options = upOptions(context);
  if (flags.detach === true) {
    show({ terminal, flags, homeFolder: options.homeFolder }, await startDetached(options.program, backgroundFlags(flags)));
    return exit.done;
  }
  const allGone = new Latch<void>();
  const pool = new LocalPool(options, (part, how, left) => {
    if (flags.inBackground !== true && flags.quiet !== true) terminal.errLine(endedLine(part, how));
    if (left === 0) allGone.set();
  });
  const toldToStop = untilToldToStop(terminal, flags, () => pool.stopNow());
  const progress = new Progress(terminal, flags.quiet !== true && flags.inBackground !== true);
  progress.start();
  progress.say(`starting a tracker and ${counted(options.peers, 'peer')}`);
  const started = await Promise.race([startAndTell(pool, flags), toldToStop]).finally(() => progress.stop());
  if (started !== undefined) show({ terminal, flags, homeFolder: options.homeFolder }, started);
  const why = await Promise.race([toldToStop.then(() => 'told'), allGone.promise().then(() => 'gone')]);
  await pool.stop();
  if (why === 'gone') throw new PotluckError('pool_failed', 'every process of the pool has ended', { fix: `see the logs in ${started?.logFolder ?? options.homeFolder}` });
  return exit.done;
}

export async function runDown({ terminal, flags, config }: Context<{ json?: boolean; quiet?: boolean }>): Promise<number> {
  const progress = new Progress(terminal, flags.quiet !== true);
  progress.start();
  progress.say('waiting until what runs has ended');
  const pool = await stopRunning(config().homeFolder).finally(() => progress.stop());
  if (flags.json === true) terminal.out(`${JSON.stringify({ stopped: pool })}\n`);
  else if (flags.quiet !== true) terminal.out(`stopped the tracker and ${counted(pool.peers.length, 'peer')}\n`);
  return exit.done;
}

const wish = ({ value, typed }: Resolved<number>): PortWish => ({ port: value, typed });

export function upOptions({ flags, config }: Pick<Context<UpFlags>, 'flags' | 'config'>): UpOptions {
  const settings = config();
  const peers = flags.peers === undefined ? 3 : wholeNumber('--peers', flags.peers, 1, PEERS_MAX);
  const { value: name } = settings.get('name');
  if (name !== null && peers > 1) {
    throw new PotluckError('config_invalid', `up cannot call ${peers} peers ${name}`, { why: 'a name belongs to one peer, and config.json or POTLUCK_NAME sets it for all', fix: 'remove it there; peers are named after their ports' });
  }
  return {
    homeFolder: settings.homeFolder,
    program: [process.execPath, process.argv[1]!],
    peers,
    trackerPort: wish(settings.get('tracker_port', flags.trackerPort)),
    port: wish(settings.get('peer_port', flags.port)),
    webPort: wish(settings.get('web_port', flags.webPort)),
    slots: settings.get('slots', flags.slots).value,
  };
}

/** The same flags, for the process in the background. */
function backgroundFlags({ peers, port, webPort, trackerPort, slots }: UpFlags): string[] {
  const given = { '--peers': peers, '--port': port, '--web-port': webPort, '--tracker-port': trackerPort, '--slots': slots };
  return ['--in-background', ...Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]))];
}

/** In the background, whoever started this process is told how it went. */
async function startAndTell(pool: LocalPool, flags: UpFlags): Promise<RunningPool> {
  try {
    const running = await pool.start();
    if (flags.inBackground === true) await tell({ pool: running });
    return running;
  } catch (error) {
    const { code, what, why, fix } = shownOf(error);
    if (flags.inBackground === true) await tell({ error: { code, message: what, why, fix } });
    throw error;
  }
}

function tell(message: UpMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}

/** Resolves at the first SIGINT or SIGTERM; the second one stops at once. */
function untilToldToStop(terminal: Terminal, flags: UpFlags, stopNow: () => Promise<void>): Promise<undefined> {
  return new Promise((resolve) => {
    let told = false;
    const onSignal = () => {
      if (told) return void stopNow().then(() => process.exit(interrupted));
      told = true;
      if (flags.quiet !== true && flags.inBackground !== true) terminal.errLine('stopping; what runs may end (Ctrl+C again: at once)');
      resolve(undefined);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

const columns: readonly Column<PartOfPool>[] = [
  { title: 'PROCESS', value: ({ role }) => role },
  { title: 'PID', value: ({ pid }) => String(pid), right: true },
  { title: 'ADDRESS', value: ({ host, port }) => `${host}:${port}` },
  { title: 'PAGE', value: ({ web }) => web ?? '-', drop: 2 },
];

function show({ terminal, flags, homeFolder }: { terminal: Terminal; flags: UpFlags; homeFolder: string }, pool: RunningPool): void {
  if (flags.inBackground === true) return;
  if (flags.json === true) terminal.out(`${JSON.stringify(pool)}\n`);
  else if (flags.quiet !== true) terminal.outLines([...upLines(pool, flags.detach === true, terminal.outWidth, (text) => terminal.bold(text)), ...(terminal.outIsTerminal ? pageLinks(homeFolder, pool) : [])]);
}

/** Only for eyes: whoever has such a link is logged in. */
function pageLinks(homeFolder: string, { peers }: RunningPool): string[] {
  const links = peers.flatMap(({ name, web }) => (name === undefined || web === undefined ? [] : [loginLink({ homeFolder, peer: name, web: web.replace(/\/$/, '') }).link]));
  return links.length === 0 ? [] : ['', 'their pages, by links that log in once, within an hour:', ...links.map((link) => `  ${link}`)];
}

export function upLines(pool: RunningPool, detached: boolean, width: number, bold: (text: string) => string): string[] {
  const port = pool.peers[0]?.port === 9000 ? '' : ` --port ${pool.peers[0]?.port}`;
  return [
    `the pool is up: a tracker and ${counted(pool.peers.length, 'peer')}`,
    '',
    ...table(columns, [pool.tracker, ...pool.peers], width, bold),
    '',
    `logs: ${pool.tracker.log.replace(/tracker\.log$/, '*.log')}`,
    'next:',
    `  potluck cpu${port} --program "def main(x): return x * x" --args "[5]"`,
    `  potluck status${port}`,
    `  potluck page${port}`,
    detached ? '  potluck down' : '  Ctrl+C stops all of it',
  ];
}

const endedLine = ({ role, port, command }: PartOfPool, how: string): string => `the ${role} on port ${port} ended ${how}; start it again: ${command}`;
