/**
 * A pool of real processes for a test: a tracker and peers from bin/potluck.js, on free ports, in a
 * folder of their own.
 *
 * Owns: the processes it started, the folder and the links it opened. `stop()` ends all of it and
 * throws if a process was left behind or had ended by itself. Should the test's own process be killed, they end by themselves
 * (each holds a pipe whose other end is here).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectOptions, type Pool } from '../../src/sdk/index.ts';
import { command, environment, freePorts, isAlive, processesOf, Started, type Ran } from './processes.ts';
import { until } from './until.ts';

const READY_MS = 20_000;
/** Longer than a peer told to go at once takes to kill its workers. */
const STOP_MS = 10_000;

export interface TestPoolOptions {
  /** How many peers; 3 unless said. Their names are p0, p1, … */
  peers?: number;
  /** Of each peer; 2 unless said. */
  slots?: number;
  /** Whether there is a tracker; true unless said. */
  tracker?: boolean;
  /** What own tasks are held in, at the most; 1 unless said. */
  isolation?: 0 | 1 | 2;
  /** More of the environment, for every process. */
  env?: Readonly<Record<string, string>>;
  /** More arguments for every peer, or for the one of that number. */
  peerArgs?: readonly string[] | ((at: number) => readonly string[]);
  /** The pool's folder; a new one unless said, removed by `stop()` either way. */
  folder?: string;
}

/** A process of the pool that can be killed and started again as it was. */
export class Part {
  readonly name: string;
  readonly port: number;
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #logPath: string;
  readonly #ready: (part: Part) => Promise<unknown>;
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  #told = false;

  constructor(about: { name: string; port: number; args: readonly string[]; env: Readonly<Record<string, string>>; logFolder: string; ready: (part: Part) => Promise<unknown> }) {
    this.name = about.name;
    this.port = about.port;
    this.#args = about.args;
    this.#env = about.env;
    this.#logPath = join(about.logFolder, `${about.name}.log`);
    this.#ready = about.ready;
  }

  /** Of its process; 0 before the first start. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get running(): boolean {
    return this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Starts the process; it is not ready yet. */
  spawn(): void {
    const log = openSync(this.#logPath, 'a', 0o600);
    const child = spawn(process.execPath, [command, ...this.#args], { env: environment({ ...this.#env, POTLUCK_PARENT_FD: '3' }), stdio: ['ignore', log, log, 'pipe'], detached: true });
    closeSync(log);
    this.#process = child;
    this.#told = false;
    this.#ended = new Promise((resolve) => {
      child.once('error', () => resolve());
      child.once('exit', () => resolve());
    });
  }

  /** Resolves when it takes part in the pool. */
  async ready(): Promise<void> {
    await this.#ready(this);
  }

  /** Sends a signal. After one that ends a process, resolves when it has ended. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const ends = signal === 'SIGKILL' || signal === 'SIGTERM' || signal === 'SIGINT';
    if (ends && this.running) this.#told = true;
    this.#process?.kill(signal);
    if (ends) await this.#ended;
  }

  /** It ended, and nobody had told it to. */
  get crashed(): boolean {
    return this.#process !== undefined && !this.running && !this.#told;
  }

  /** Starts it again under its name and port, in place of what runs of it, and waits until it is ready. */
  async restart(): Promise<void> {
    if (this.running) await this.kill('SIGKILL');
    this.spawn();
    await this.ready();
  }

  /** Everything that it printed, over all its starts. */
  log(): string {
    return readFileSync(this.#logPath, 'utf8');
  }

  /** Resolves when its process has ended, however that came. */
  get ended(): Promise<void> {
    return this.#ended;
  }
}

export class TestPool {
  /** POTLUCK_HOME of all of them. */
  readonly folder: string;
  readonly tracker: Part;
  readonly peers: readonly Part[];
  readonly #hasTracker: boolean;
  readonly #env: Readonly<Record<string, string>>;
  readonly #links: Pool[] = [];
  readonly #commands: Started[] = [];

  private constructor(options: TestPoolOptions, folder: string, ports: readonly number[]) {
    const { peers = 3, slots = 2, tracker = true, isolation = 1, env = {}, peerArgs = [] } = options;
    this.folder = folder;
    this.#hasTracker = tracker;
    this.#env = { POTLUCK_ISOLATION: String(isolation), ...env, POTLUCK_HOME: folder };
    const logFolder = join(folder, 'test-logs');
    mkdirSync(logFolder, { mode: 0o700 });
    const common = { env: this.#env, logFolder };
    const [trackerPort, ...peerPorts] = ports as [number, ...number[]];
    this.tracker = new Part({ ...common, name: 'tracker', port: trackerPort, args: ['tracker', '--port', String(trackerPort)], ready: () => this.#allUp() });
    this.peers = peerPorts.slice(0, peers).map((port, at) => {
      const more = typeof peerArgs === 'function' ? peerArgs(at) : peerArgs;
      const args = ['peer', '--port', String(port), '--name', `p${at}`, '--tracker-port', String(trackerPort), '--slots', String(slots), '--drain-seconds', '0', ...more];
      return new Part({ ...common, name: `p${at}`, port, args, ready: (part) => this.#up(part) });
    });
  }

  /** Starts everything and waits until each peer knows all others. */
  static async start(options: TestPoolOptions = {}): Promise<TestPool> {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'potluck-e2e-'));
    const pool = new TestPool(options, folder, await freePorts(1 + (options.peers ?? 3)));
    try {
      if (pool.#hasTracker) pool.tracker.spawn();
      for (const peer of pool.peers) peer.spawn();
      await pool.#allUp();
      return pool;
    } catch (error) {
      const logs = pool.logs();
      await pool.stop();
      throw new Error(`the pool did not come up:\n${logs}`, { cause: error });
    }
  }

  /** A link to peer `at`, its own at each call; `stop()` closes it. */
  async client(at = 0, options: ConnectOptions = {}): Promise<Pool> {
    const link = await connect({ host: '127.0.0.1', port: this.#peer(at).port, home: this.folder, ...options });
    this.#links.push(link);
    return link;
  }

  /** A command under way, by default talking to the first peer. */
  start(args: readonly string[], { input, env = {} }: { input?: string; env?: Readonly<Record<string, string>> } = {}): Started {
    const started = new Started(args, { ...this.#env, POTLUCK_PORT: String(this.peers[0]?.port ?? 1), ...env }, { input });
    this.#commands.push(started);
    return started;
  }

  /** A command, run to its end. */
  cli(args: readonly string[], options: { input?: string; env?: Readonly<Record<string, string>> } = {}): Promise<Ran> {
    return this.start(args, options).ended;
  }

  /** What all of them printed. */
  logs(): string {
    const parts = this.#hasTracker ? [this.tracker, ...this.peers] : this.peers;
    return parts.map((part) => `--- ${part.name}\n${part.log()}`).join('\n');
  }

  /** Ends everything and removes the folder. @throws Error if a process of it was left behind, or had ended by itself */
  async stop(): Promise<void> {
    const crashed = [this.tracker, ...this.peers].filter((part) => part.crashed).map((part) => `${part.name} ended by itself:\n${part.log()}`);
    await Promise.all(this.#links.map((link) => link.close()));
    for (const { process: child } of this.#commands) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await endAll(this.peers);
    await endAll([this.tracker]);
    const left = await this.#leftBehind();
    for (const { pid } of left) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    if (crashed.length > 0) throw new Error(crashed.join('\n'));
    if (left.length > 0) throw new Error(`processes were left behind:\n${left.map(({ pid, about }) => `${pid} ${about}`).join('\n')}`);
  }

  /** Who is still there when those that only need a moment have gone. */
  async #leftBehind(): Promise<{ pid: number; about: string }[]> {
    try {
      await until('no process is left', () => processesOf(this.folder).length === 0, 5_000);
      return [];
    } catch {
      return processesOf(this.folder);
    }
  }

  #peer(at: number): Part {
    const peer = this.peers[at];
    if (peer === undefined) throw new Error(`there is no peer ${at} of ${this.peers.length}`);
    return peer;
  }

  async #allUp(): Promise<void> {
    await Promise.all(this.peers.filter(({ running }) => running).map((peer) => this.#up(peer)));
  }

  /** It answers, and (with a tracker that runs) knows that every running peer is up. */
  async #up(peer: Part): Promise<void> {
    const link = await until(`${peer.name} answers`, () => {
      if (!peer.running) throw new Error(`${peer.name} has ended:\n${peer.log()}`);
      return connect({ host: '127.0.0.1', port: peer.port, home: this.folder });
    }, READY_MS);
    try {
      await until(`${peer.name} knows all peers`, () => this.#knowsAll(link), READY_MS);
    } finally {
      await link.close();
    }
  }

  async #knowsAll(link: Pool): Promise<boolean> {
    if (!this.tracker.running) return (await link.status()).slots >= 0;
    if (!(await link.status()).tracker.connected) return false;
    const up = new Set((await link.peers()).filter(({ state }) => state === 'up').map(({ peer }) => peer));
    return this.peers.every(({ name, running }) => !running || up.has(name));
  }
}

/** Tells all to stop, and kills whoever does not in time. A frozen one is woken first. */
async function endAll(parts: readonly Part[]): Promise<void> {
  await Promise.all(
    parts.map(async (part) => {
      if (!part.running) return;
      await part.kill('SIGCONT');
      const timer = setTimeout(() => void part.kill('SIGKILL'), STOP_MS);
      await part.kill('SIGTERM');
      clearTimeout(timer);
    }),
  );
}
