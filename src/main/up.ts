/**
 * A pool on one machine: a tracker and some peers, each a process of its own, kept by this one.
 *
 * Owns: starting them, knowing when they have found each other, stopping all of them. What is said
 * about it is the command line's. Neighbour: parent.ts, the children's side of invariant 1.
 *
 * Invariants
 * 1. No child outlives this process: each holds a pipe whose other end only this process has.
 * 2. Ctrl+C reaches this process only (children lead process groups of their own), so that stopping in
 *    order is this process's decision.
 * 3. Peers are stopped before the tracker: what they give back on the way out still finds it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PotluckError, causeText, exit } from '../errors.ts';
import { openHomeFolder } from '../identity/home-folder.ts';
import { connect, type Pool } from '../sdk/index.ts';
import { freePorts, type PortWish } from './free-ports.ts';
import { PARENT_FD } from './parent.ts';
import { forgetRunning, isAlive, readRunning, writeRunning, type PartOfPool, type RunningPool } from './up-file.ts';

export interface UpOptions {
  homeFolder: string;
  /** The command line that starts potluck: an interpreter and the file it runs. */
  program: readonly string[];
  peers: number;
  trackerPort: PortWish;
  port: PortWish;
  webPort: PortWish;
  /** null: one per core, for each peer. */
  slots: number | null;
}

/** A tracker and its peers are up within a second or two; a machine that needs this long has another problem. */
const UP_MS = 30_000;
const LOOK_MS = 50;
/** Two pools that are started at the same moment look for ports at the same moment. */
const START_TRIES = 5;
/** Drained peers get this long beyond their own limit. */
const STOP_MS = 40_000;
const STOP_NOW_MS = 2_000;
const HOST = '127.0.0.1';
const LOG_LINES = 5;

interface Child {
  readonly process: ChildProcess;
  readonly part: PartOfPool;
  readonly ended: Promise<string>;
}

export class LocalPool {
  readonly #options: UpOptions;
  /** Told when, once the pool is up, a child ends that was not asked to: which, how, and how many are left. */
  readonly #onEnded: (part: PartOfPool, how: string, left: number) => void;
  readonly #children = new Set<Child>();
  #up = false;
  /** A child refused its flags, of which only a port can have become wrong: somebody took it since it was found free. */
  #refused = false;
  #stopping = false;

  constructor(options: UpOptions, onEnded: (part: PartOfPool, how: string, left: number) => void) {
    this.#options = options;
    this.#onEnded = onEnded;
  }

  /**
   * Starts everything and waits until all peers have registered.
   * @throws PotluckError `pool_running`, `port_in_use`, `pool_failed`, `home_exposed`; nothing is left running then
   */
  async start(): Promise<RunningPool> {
    const { homeFolder } = this.#options;
    await openHomeFolder(homeFolder);
    const running = readRunning(homeFolder);
    if (running !== undefined) {
      throw new PotluckError('pool_running', 'a pool started by potluck up is running already', { why: `process ${running.pid} keeps it, its first peer is on port ${running.peers[0]?.port ?? '?'}`, fix: 'use it, or stop it first: potluck down' });
    }
    for (let triesLeft = START_TRIES - 1; ; triesLeft -= 1) {
      try {
        return await this.#tryStart();
      } catch (error) {
        await this.#endAll([...this.#children], 'SIGKILL');
        forgetRunning(homeFolder);
        if (triesLeft > 0 && this.#refused && !this.#stopping) continue;
        this.#stopping = true;
        throw error;
      }
    }
  }

  async #tryStart(): Promise<RunningPool> {
    this.#refused = false;
    const pool = await this.#startAll();
    writeRunning(this.#options.homeFolder, pool);
    const names = await this.#untilRegistered(pool);
    this.#up = true;
    const named = { ...pool, peers: pool.peers.map((part) => ({ ...part, name: names.get(part.port) ?? '' })) };
    writeRunning(this.#options.homeFolder, named);
    return named;
  }

  /** Stops peers, then the tracker, in order; resolves when all have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#endAll(this.#of('peer'), 'SIGTERM', STOP_MS);
    await this.#endAll(this.#of('tracker'), 'SIGTERM', STOP_MS);
    forgetRunning(this.#options.homeFolder);
  }

  /** Does not wait for what runs. */
  async stopNow(): Promise<void> {
    this.#stopping = true;
    await this.#endAll([...this.#children], 'SIGTERM', STOP_NOW_MS);
    forgetRunning(this.#options.homeFolder);
  }

  async #startAll(): Promise<RunningPool> {
    const { homeFolder, peers, trackerPort, port, webPort, slots } = this.#options;
    const taken = new Set<number>();
    const [tracker] = await freePorts(trackerPort, 1, '--tracker-port', taken);
    const ports = await freePorts(port, peers, '--port', taken);
    const webPorts = await freePorts(webPort, peers, '--web-port', taken);
    const logFolder = join(homeFolder, 'log');
    mkdirSync(logFolder, { recursive: true, mode: 0o700 });
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
    const log = (name: string) => join(logFolder, `up-${stamp}-${name}.log`);
    const slotFlags = slots === null ? [] : ['--slots', String(slots)];
    const first = this.#spawn(['tracker', '--host', HOST, '--port', String(tracker)], { role: 'tracker', host: HOST, port: tracker!, log: log('tracker') });
    const others = ports.map((peerPort, at) =>
      this.#spawn(
        ['peer', '--host', HOST, '--port', String(peerPort), '--web-ui', '--web-port', String(webPorts[at]), '--tracker-host', HOST, '--tracker-port', String(tracker), ...slotFlags],
        { role: 'peer', host: HOST, port: peerPort, web: `http://${HOST}:${webPorts[at]}/`, log: log(String(peerPort)) },
      ),
    );
    return { pid: process.pid, tracker: first, peers: others, logFolder };
  }

  #spawn(args: readonly string[], about: Omit<PartOfPool, 'pid' | 'command'>): PartOfPool {
    const [command, ...before] = this.#options.program;
    const log = openSync(about.log, 'a', 0o600);
    const child = spawn(command!, [...before, ...args], {
      // The fourth is the pipe of invariant 1.
      stdio: ['ignore', log, log, 'pipe'],
      detached: true,
      env: { ...process.env, POTLUCK_HOME: this.#options.homeFolder, [PARENT_FD]: '3' },
    });
    closeSync(log);
    const part: PartOfPool = { ...about, pid: child.pid ?? 0, command: `potluck ${args.join(' ')}` };
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(causeText(error)));
      child.once('exit', (status, signal) => resolve(signal === null ? `with exit status ${status}` : `by ${signal}`));
    });
    const entry: Child = { process: child, part, ended };
    this.#children.add(entry);
    void ended.then((how) => {
      if (child.exitCode === exit.usage) this.#refused = true;
      this.#children.delete(entry);
      if (this.#up && !this.#stopping) this.#onEnded(part, how, this.#children.size);
    });
    return part;
  }

  /** Until the first peer knows that every peer is up. Returns their names by port. */
  async #untilRegistered(pool: RunningPool): Promise<Map<number, string>> {
    const wanted = pool.peers.length;
    const deadline = performance.now() + UP_MS;
    let known = 0;
    let link: Pool | undefined;
    try {
      while (performance.now() < deadline) {
        const lost = [pool.tracker, ...pool.peers].find(({ pid }) => ![...this.#children].some(({ part }) => part.pid === pid));
        if (lost !== undefined) throw endedEarly(lost);
        link ??= await this.#tryConnect(pool.peers[0]!);
        const up = ((await link?.peers()) ?? []).filter(({ state }) => state === 'up');
        known = up.length;
        if (known >= wanted) return new Map(up.map(({ port, peer }) => [port, peer]));
        await sleep(LOOK_MS);
      }
    } finally {
      await link?.close();
    }
    throw new PotluckError('pool_failed', `the pool was not up within ${UP_MS / 1000} s`, { why: `${known} of ${wanted} peers had registered with the tracker`, fix: `see the logs in ${pool.logFolder}` });
  }

  async #tryConnect({ host, port }: PartOfPool): Promise<Pool | undefined> {
    try {
      return await connect({ host, port, home: this.#options.homeFolder });
    } catch (error) {
      // Somebody else's peer (not_a_member) took the port before ours, which says so and ends.
      if (error instanceof PotluckError && ['peer_unreachable', 'link_lost', 'not_a_member'].includes(error.code)) return undefined;
      throw error;
    }
  }

  #of(role: PartOfPool['role']): Child[] {
    return [...this.#children].filter(({ part }) => part.role === role);
  }

  async #endAll(children: readonly Child[], signal: NodeJS.Signals, patienceMs = 0): Promise<void> {
    for (const { process: child } of children) child.kill(signal);
    const late = setTimeout(() => {
      for (const { process: child } of children) child.kill('SIGKILL');
    }, patienceMs);
    await Promise.all(children.map(({ ended }) => ended));
    clearTimeout(late);
  }
}

function endedEarly({ role, port, log }: PartOfPool): PotluckError {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  const error = lines.findLastIndex((line) => line.startsWith('error:'));
  const tail = (error === -1 ? lines.slice(-LOG_LINES) : lines.slice(error, error + LOG_LINES)).join('\n');
  return new PotluckError('pool_failed', `the ${role} on port ${port} ended before the pool was up`, { why: tail === '' ? 'it said nothing' : tail, fix: `its log is ${log}` });
}

/**
 * Stops the pool that runs in the background (or in another terminal) and waits until it has ended.
 * @throws PotluckError `pool_not_running`
 */
export async function stopRunning(homeFolder: string): Promise<RunningPool> {
  const pool = readRunning(homeFolder);
  if (pool === undefined) {
    throw new PotluckError('pool_not_running', 'no pool started by potluck up is running', { why: `${join(homeFolder, 'up.json')} names none that lives`, fix: 'start one with potluck up; a peer or tracker in a terminal is stopped there by Ctrl+C' });
  }
  process.kill(pool.pid, 'SIGTERM');
  const deadline = performance.now() + STOP_MS * 2;
  while (isAlive(pool.pid) && performance.now() < deadline) await sleep(LOOK_MS);
  if (isAlive(pool.pid)) process.kill(pool.pid, 'SIGKILL'); // its children follow by their pipes
  forgetRunning(homeFolder);
  return pool;
}

/** What a pool in the background tells the process that started it. */
export type UpMessage = { pool: RunningPool } | { error: { code: string; message: string; why?: string | undefined; fix?: string | undefined } };

/**
 * Starts `potluck up` again, in the background, and waits until its pool is up.
 * @throws PotluckError as LocalPool.start
 */
export async function startDetached(program: readonly string[], args: readonly string[]): Promise<RunningPool> {
  const [command, ...before] = program;
  const child = spawn(command!, [...before, 'up', ...args], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], detached: true });
  const told = await new Promise<UpMessage>((resolve) => {
    child.once('message', (message) => resolve(message as UpMessage));
    child.once('error', (error) => resolve({ error: { code: 'pool_failed', message: 'the pool could not be started in the background', why: causeText(error) } }));
    child.once('exit', (status) => resolve({ error: { code: 'pool_failed', message: 'the pool in the background ended before it was up', why: `exit status ${status}` } }));
  });
  if (child.connected) child.disconnect();
  child.unref();
  if ('pool' in told) return told.pool;
  throw backgroundError(told.error);
}

function backgroundError({ code, message, why, fix }: Extract<UpMessage, { error: unknown }>['error']): PotluckError {
  return new PotluckError(code === 'pool_running' || code === 'port_in_use' || code === 'home_exposed' ? code : 'pool_failed', message, { why, fix });
}
