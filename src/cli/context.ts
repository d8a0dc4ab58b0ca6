/**
 * What every command has at hand: the terminal, the settings, a pool to talk to.
 *
 * Owns: joining flags of a group (`potluck client --port 9001 status`) with those of the command, and
 * an error about an unreachable peer that knows where one is. The SDK is loaded when a command first
 * asks for it: `potluck --help` needs none of it.
 */
import { connect as connectSocket } from 'node:net';
import type { Command } from 'commander';
import { loadConfig, type ClientOptions, type Config } from '../config.ts';
import { PotluckError } from '../errors.ts';
import { isLoopback } from '../lib/hosts.ts';
import type { ConnectOptions, Pool } from '../sdk/index.ts';
import type { Terminal } from './terminal.ts';

/** Flags of every command that talks to a peer, as typed. */
export interface ClientFlags {
  host?: string;
  port?: string;
  json?: boolean;
  quiet?: boolean;
  progress?: boolean;
}

export interface Context<Flags> {
  readonly terminal: Terminal;
  readonly flags: Flags;
  /** Positional arguments. */
  readonly args: readonly string[];
  config(): Config;
}

/** Carries a command out and gives the exit status; errors are shown by the caller. */
export type Run<Flags> = (context: Context<Flags>) => Promise<number>;

/** How a command file puts its work behind its command. */
export type Start = <Flags>(command: Command, run: () => Promise<Run<Flags>>) => void;

export function makeStart(terminal: Terminal, ended: (status: number) => void): Start {
  return (command, load) => {
    command.action(async () => {
      const flags = Object.assign({}, ...lineage(command).map((each) => each.opts())) as never;
      const run = await load();
      ended(await run({ terminal, flags, args: command.args, config: lazy(() => loadConfig()) }));
    });
  };
}

/** The command and its groups, outermost first, so that what was typed last counts. */
function lineage(command: Command): Command[] {
  return command.parent === null ? [command] : [...lineage(command.parent), command];
}

function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** The peer that this command talks to. */
function addressOf({ config, flags }: Pick<Context<ClientFlags>, 'config' | 'flags'>): ClientOptions {
  const settings = config();
  return { host: settings.get('host', flags.host).value, port: settings.get('port', flags.port).value, homeFolder: settings.homeFolder };
}

/** Connects to the peer that this command talks to. @throws PotluckError */
export async function connectTo(context: Context<ClientFlags>, options: Pick<ConnectOptions, 'onLink'> = {}): Promise<Pool> {
  const { host, port, homeFolder } = addressOf(context);
  const { connect } = await import('../sdk/index.ts');
  try {
    return await connect({ ...options, host, port, home: homeFolder });
  } catch (error) {
    // Of another machine only that machine could tell.
    if (error instanceof PotluckError && error.code === 'peer_unreachable' && isLoopback(host)) throw await whereOneIs(error, port);
    throw error;
  }
}

/** The same error, with what a look at the usual ports of this machine shows. */
async function whereOneIs(error: PotluckError, portTried: number): Promise<PotluckError> {
  // Somebody answered, and said who it is and where to go.
  if (error.why === undefined) return error;
  const open = await Promise.all(usualPorts.filter((port) => port !== portTried).map(async (port) => ((await answers(port)) ? port : undefined)));
  const ports = open.filter((port) => port !== undefined);
  const [first] = ports;
  const fix =
    first === undefined
      ? 'start a peer: potluck peer (or tracker and peers at once: potluck up); ports 9000 to 9009 of this machine have none'
      : `on this machine something answers on port ${ports.join(', ')}: add --port ${first}`;
  return new PotluckError(error.code, error.message, { why: error.why, fix, cause: error });
}

/** Where the peers of one machine usually are. */
const usualPorts = Array.from({ length: 10 }, (_, at) => 9000 + at);
/** A port of this machine answers at once or not at all. */
const ANSWER_MS = 300;

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket({ host: '127.0.0.1', port, timeout: ANSWER_MS });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });
}

/** A command to type next, with the address that was typed this time. */
export function nextCommand({ flags }: { flags: ClientFlags }, command: string): string {
  const host = flags.host === undefined ? '' : ` --host ${flags.host}`;
  const port = flags.port === undefined ? '' : ` --port ${flags.port}`;
  return `potluck ${command}${host}${port}`;
}
