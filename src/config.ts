/**
 * Settings of every command: where a value comes from, and what it may be.
 *
 * Owns: the one table of settings, and resolving them as flag > POTLUCK_… > config.json > default.
 * Parsing of command lines is in cli/. After `resolve` nothing that has a default is undefined.
 *
 * Invariants
 * 1. A setting has one name: `tracker_port` in config.json is POTLUCK_TRACKER_PORT in the environment.
 * 2. An unknown key is an error that names the nearest known one; it is never ignored.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import { PotluckError } from './errors.ts';
import { readHostAndPort } from './lib/hosts.ts';
import { findJsonMistake } from './lib/json-mistake.ts';
import { nearest } from './lib/nearest.ts';
import { codeOf } from './lib/system-errors.ts';
import { limits } from './limits.ts';

export interface TrackerOptions {
  /** Absolute path of the folder with the pool's key, rosters and stores. */
  homeFolder: string;
  host: string;
  port: number;
  json: boolean;
  /** Colours and a table that repaints are wanted and possible. */
  color: boolean;
  quiet: boolean;
}

/** Where the tracker was said to be; what was not typed is found out by main/tracker-addresses.ts. */
export interface TrackerPlace {
  host: Resolved<string>;
  port: Resolved<number>;
}

export interface PeerOptions {
  homeFolder: string;
  host: string;
  port: number;
  /** The port was asked for: if it is taken that is an error, not a reason to take the next one. */
  portTyped: boolean;
  /** Where others reach it, if not at the addresses of this machine; null: there. */
  announce: { host: string; port: number } | null;
  webUi: boolean;
  webHost: string;
  webPort: number;
  webPortTyped: boolean;
  /** One more name under which the page is reached. */
  webName: string | null;
  /** null: HOST-PORT of the port that it gets. */
  name: string | null;
  tracker: TrackerPlace;
  /** null: one for each core that this process may use. */
  slots: number | null;
  /** Path of the interpreter; null: the first `python3` on PATH. */
  python: string | null;
  /** Path of the interpreter; null: the one that runs this process. */
  node: string | null;
  /** Whose tasks its owner lets it take. */
  accept: 'none' | 'own' | 'members';
  /** Other members' tasks are taken at any level, not only in the box. */
  trustMembers: boolean;
  /** The highest level for tasks of its own user; null: as high as the machine reaches. */
  isolation: 0 | 1 | 2 | null;
  /** The most memory that a task may use, in MB; null: what the machine has. */
  maxMemoryMb: number | null;
  drainSeconds: number;
  json: boolean;
  quiet: boolean;
}

export interface ClientOptions {
  homeFolder: string;
  host: string;
  port: number;
}

/** What a setting accepts, from text (flag, environment) or from JSON (config.json). */
interface Kind<T> {
  /** Ends the sentence "… must be". */
  readonly is: string;
  /** @returns undefined if the value will not do */
  read(value: unknown): T | undefined;
}

const integer = (min: number, max: number): Kind<number> => ({
  is: `a whole number from ${min} to ${max}`,
  read: (value) => {
    const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : undefined;
  },
});
const text: Kind<string> = { is: 'text that is not empty', read: (value) => (typeof value === 'string' && value.trim() !== '' ? value : undefined) };
const yesNo: Kind<boolean> = {
  is: 'true or false',
  read: (value) => {
    if (typeof value === 'boolean') return value;
    if (value === 'true' || value === '1') return true;
    return value === 'false' || value === '0' ? false : undefined;
  },
};
const seconds: Kind<number> = {
  is: 'a number of seconds, 0 or more',
  read: (value) => {
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    return typeof number === 'number' && Number.isFinite(number) && number >= 0 ? number : undefined;
  },
};
const peerName: Kind<string> = {
  is: `letters, digits, . _ -, beginning with a letter or digit, at most ${limits.nameLengthMax}`,
  read: (value) => (typeof value === 'string' && value.length <= limits.nameLengthMax && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value) ? value : undefined),
};

const oneOf = <const T extends string>(...values: readonly T[]): Kind<T> => ({
  is: values.join(' or '),
  read: (value) => values.find((known) => known === value),
});

const level: Kind<0 | 1 | 2> = {
  is: '0, 1 or 2',
  read: (value) => ([0, 1, 2] as const).find((each) => value === each || value === String(each)),
};
const hostName: Kind<string> = {
  is: 'a host\'s name, such as laptop.local',
  read: (value) => (typeof value === 'string' && value.length <= 253 && /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(value) ? value.toLowerCase() : undefined),
};
const hostPort: Kind<{ host: string; port: number }> = {
  is: 'a host and a port, like 203.0.113.5:9000',
  read: (value) => (typeof value === 'string' ? readHostAndPort(value.trim()) : undefined),
};
/** Up to 65 535, as TCP has it; 0 lets the system choose. */
const port = integer(0, 65_535);

const setting = <T, D extends T | null>(kind: Kind<T>, byDefault: D, about: string) => ({ kind, byDefault, about });

/** Every setting, with its default. Ports are those of the guide. */
export const settings = {
  host: setting(text, '127.0.0.1', 'the peer that commands talk to'),
  port: setting(integer(1, 65_535), 9000, 'the port of that peer'),
  /** Nobody unknown gets past TLS, so the other machines of a pool may find the port open. */
  listen_host: setting(text, '0.0.0.0', 'the address that a tracker or peer listens on'),
  tracker_host: setting(text, '127.0.0.1', 'where peers look for the tracker'),
  tracker_port: setting(port, 8888, 'the port of the tracker'),
  peer_port: setting(port, 9000, 'the port that a peer listens on; by default this or the next free one'),
  announce: setting(hostPort, null, 'where others reach a peer, behind a forwarded port; by default at the addresses of its machine'),
  name: setting(peerName, null, 'the name of a peer; by default HOST-PORT'),
  web_ui: setting(yesNo, false, 'whether a peer has a page'),
  web_host: setting(text, '127.0.0.1', 'the address of the page'),
  web_name: setting(hostName, null, 'one more name under which the page is reached'),
  web_port: setting(port, 5000, 'the port of the page; by default this or the next free one'),
  slots: setting(integer(0, limits.slotsMax), null, 'how many tasks a peer runs at a time; by default one per core'),
  python: setting(text, null, 'the Python to run tasks with; by default python3 on PATH'),
  node: setting(text, null, 'the Node to run tasks with; by default the one that runs potluck'),
  accept: setting(oneOf('none', 'own', 'members'), 'members', 'whose tasks a peer takes: nobody\'s, its own user\'s, or all members\''),
  trust_members: setting(yesNo, false, 'whether a peer takes other members\' tasks outside the box, too'),
  isolation: setting(level, null, 'the highest level of isolation for tasks of the peer\'s own user; by default what the machine reaches'),
  max_memory: setting(integer(1, limits.memoryMbMax), null, 'the most memory that a task may use on a peer, in MB; by default what the machine has'),
  drain_seconds: setting(seconds, 30, 'how long a stopping peer waits for what it runs'),
} as const;

export type SettingName = keyof typeof settings;
type SettingValue<K extends SettingName> = NonNullable<ReturnType<(typeof settings)[K]['kind']['read']>> | (typeof settings)[K]['byDefault'];

/** Variables that are not settings: the folder itself, and how a child knows that its parent lives. */
const otherVariables = ['POTLUCK_HOME', 'POTLUCK_PARENT_FD'];

export interface Resolved<T> {
  readonly value: T;
  /** Somebody asked for this value: it did not come from the default. */
  readonly typed: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The folder of the pool: `explicit`, else POTLUCK_HOME, else ~/.potluck; always absolute. */
export function homeFolderOf(env: Environment, explicit?: string): string {
  const named = explicit ?? env.POTLUCK_HOME;
  return named === undefined || named === '' ? join(homedir(), '.potluck') : resolvePath(named);
}

/** The settings of one process: read once from environment and file, then asked with the flags of a command. */
export class Config {
  readonly homeFolder: string;
  readonly #values: ReadonlyMap<string, unknown>;

  constructor(homeFolder: string, values: ReadonlyMap<string, unknown>) {
    this.homeFolder = homeFolder;
    this.#values = values;
  }

  /**
   * @param flag the value from the command line, if it was given there
   * @throws PotluckError `usage` if the flag's value will not do
   */
  get<K extends SettingName>(name: K, flag?: unknown): Resolved<SettingValue<K>> {
    const { kind, byDefault } = settings[name];
    if (flag !== undefined) {
      const value = kind.read(flag);
      if (value === undefined) throw new PotluckError('usage', `--${flagOf(name)} ${String(flag)} will not do`, { why: `it must be ${kind.is}`, fix: 'see --help' });
      return { value: value as SettingValue<K>, typed: true };
    }
    if (this.#values.has(name)) return { value: this.#values.get(name) as SettingValue<K>, typed: true };
    return { value: byDefault as SettingValue<K>, typed: false };
  }
}

/**
 * Reads POTLUCK_… and config.json in the pool's folder.
 * @throws PotluckError `config_invalid`
 */
export function loadConfig(env: Environment = process.env, homeFolder: string = homeFolderOf(env)): Config {
  const values = readFile(join(homeFolder, 'config.json'));
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('POTLUCK_') || otherVariables.includes(variable) || value === undefined || value === '') continue;
    const name = variable.slice('POTLUCK_'.length).toLowerCase();
    if (!isSetting(name)) throw unknownKey('the environment', variable, nearest(name, Object.keys(settings)), variableOf);
    values.set(name, readValue(name, value, variable, 'the environment'));
  }
  return new Config(homeFolder, values);
}

const isSetting = (name: string): name is SettingName => Object.hasOwn(settings, name);
const variableOf = (name: string): string => `POTLUCK_${name.toUpperCase()}`;
/** Flags drop the part of a setting's name that the command already says. */
const flagOf = (name: SettingName): string => ({ listen_host: 'host', peer_port: 'port' } as Partial<Record<SettingName, string>>)[name] ?? name.replaceAll('_', '-');

function readFile(path: string): Map<string, unknown> {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return new Map();
    throw new PotluckError('config_invalid', `${path} cannot be read`, { why: (error as Error).message, fix: 'mend its permissions, or remove it', cause: error });
  }
  const values = new Map<string, unknown>();
  for (const [name, value] of Object.entries(parseFile(path, content))) {
    if (!isSetting(name)) throw unknownKey(path, name, nearest(name, Object.keys(settings)), (known) => known);
    values.set(name, readValue(name, value, name, path));
  }
  return values;
}

function parseFile(path: string, content: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch (error) {
    const mistake = findJsonMistake(content);
    const why = mistake === undefined ? (error as Error).message : `line ${mistake.line}, column ${mistake.column}: ${mistake.what}`;
    throw new PotluckError('config_invalid', `${path} is not JSON`, { why, fix: 'mend that line, or remove the file', cause: error });
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw new PotluckError('config_invalid', `${path} is not a JSON object`, { why: 'settings are name and value', fix: 'write it like {"tracker_port": 8888}' });
}

function readValue(name: SettingName, value: unknown, shownName: string, source: string): unknown {
  const read = settings[name].kind.read(value);
  if (read !== undefined) return read;
  throw new PotluckError('config_invalid', `${shownName} in ${source} has a value that will not do: ${JSON.stringify(value)}`, {
    why: `it must be ${settings[name].kind.is}`,
    fix: 'mend or remove it',
  });
}

function unknownKey(source: string, shownName: string, near: string | undefined, show: (name: string) => string): PotluckError {
  const known = Object.keys(settings).map(show).join(', ');
  return new PotluckError('config_invalid', `${source} sets ${shownName}, which potluck does not know`, {
    why: near === undefined ? `it knows ${known}` : `the nearest it knows is ${show(near)}`,
    fix: near === undefined ? `remove ${shownName}` : `write ${show(near)}, or remove ${shownName}`,
  });
}
