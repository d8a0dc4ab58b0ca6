/**
 * Machines as far as programs can tell: network, host name and mounts of their own, joined by a switch.
 *
 * Owns: the namespaces, the POTLUCK_HOME of each machine, and what was started on them. Nothing of it has a
 * name outside (no entry in /run/netns, no interface of the host): a namespace lives as long as a process in
 * it, and those end with the test, however it ends. What all machines share: files, process numbers, the
 * clock, the boot id.
 *
 * Needs Linux and the right to make namespaces; ask `canMakeMachines` first.
 */
import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { environment, isAlive, processesOf, Started, type Ran } from '../e2e/processes.ts';
import { until } from '../e2e/until.ts';

const NAMESPACES = ['--net', '--uts', '--mount'];
const STOP_MS = 10_000;
const sdk = fileURLToPath(new URL('../../dist/sdk.js', import.meta.url));

/** Whether this machine allows its like to be made. */
export function canMakeMachines(): boolean {
  if (process.platform !== 'linux') return false;
  const tried = spawnSync('unshare', [...NAMESPACES, 'sh', '-c', 'hostname x && ip link add s type bridge'], { stdio: 'ignore' });
  return tried.status === 0;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** One of them. */
export class Machine {
  readonly name: string;
  /** On the network that it shares with the others. */
  readonly address: string;
  /** POTLUCK_HOME of what runs here. */
  readonly home: string;
  readonly #holder: ChildProcess;
  readonly #started: Started[] = [];

  constructor(name: string, address: string, folder: string, holder: ChildProcess) {
    this.name = name;
    this.address = address;
    this.home = join(folder, name);
    this.#holder = holder;
  }

  /** Of a process that is in the machine's namespaces as long as the machine is there. */
  get pid(): number {
    return this.#holder.pid!;
  }

  /** What makes a command run on this machine when put before it; with nothing of what other tests set. */
  get via(): string[] {
    return ['env', '-u', 'POTLUCK_LISTEN_HOST', '-u', 'POTLUCK_ISOLATION', 'nsenter', '--target', String(this.pid), ...NAMESPACES];
  }

  /** `potluck ARGS` on this machine, under way; it ends with the machine. */
  start(args: readonly string[], { input, env = {} }: RunOptions = {}): Started {
    const started = new Started(args, { POTLUCK_HOME: this.home, ...env }, { input, via: this.via, endsWithTest: true });
    this.#started.push(started);
    return started;
  }

  /** `potluck ARGS` on this machine, run to its end. */
  cli(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.start(args, options).ended;
  }

  /** Any other program on this machine; gives what it printed. @throws Error if it fails */
  async run(program: string, ...args: string[]): Promise<string> {
    const [first, ...all] = [...this.via, program, ...args] as [string, ...string[]];
    return (await promisify(execFile)(first, all, { encoding: 'utf8', env: environment({ POTLUCK_HOME: this.home }) })).stdout;
  }

  /** A program that uses the SDK, on this machine: an ES module in which `connect` is there. Gives what it printed. */
  module(source: string): Promise<string> {
    return this.run(process.execPath, '--input-type=module', '--eval', `import { connect } from ${JSON.stringify(sdk)};\n${source}`);
  }

  /** The machine stays; what ran on it ends at once. */
  async crash(): Promise<void> {
    for (const { process: child } of this.#started) child.kill('SIGKILL');
    await Promise.all(this.#started.map(({ ended }) => ended));
  }

  /** Ends what runs on it in order, and then the machine. */
  async end(): Promise<void> {
    await Promise.all(this.#started.map((started) => endOf(started)));
    await endHolder(this.#holder);
  }

  /** What was printed by what ran here. */
  logs(): string {
    return this.#started.map((one) => `--- ${this.name}: ${one.process.spawnargs.slice(-6).join(' ')}\n${one.stdout}${one.stderr}`).join('\n');
  }
}

export class Machines {
  readonly folder: string;
  readonly all: readonly Machine[];
  readonly #switch: ChildProcess;

  private constructor(folder: string, joint: ChildProcess, all: readonly Machine[]) {
    this.folder = folder;
    this.#switch = joint;
    this.all = all;
  }

  /** Machines of these names (they know each other by them, too), on one network. */
  static async make(...names: string[]): Promise<Machines> {
    const folder = mkdtempSync(join(tmpdir(), 'potluck-machines-'));
    const hosts = join(folder, 'hosts');
    const addressOf = (at: number) => `10.77.0.${at + 1}`;
    writeFileSync(hosts, ['127.0.0.1 localhost', ...names.map((name, at) => `${addressOf(at)} ${name}`), ''].join('\n'));
    const holders: ChildProcess[] = [];
    try {
      const hold = async (script: string) => {
        const holder = await held(script);
        holders.push(holder);
        return holder;
      };
      const joint = await hold('ip link add joint type bridge && ip link set joint up');
      const all: Machine[] = [];
      for (const [at, name] of names.entries()) {
        const holder = await hold(`hostname ${name} && ip link set lo up && mount --bind ${hosts} /etc/hosts`);
        const machine = new Machine(name, addressOf(at), folder, holder);
        mkdirSync(machine.home, { mode: 0o700 });
        const port = `port${at}`;
        inNetworkOf(joint, `ip link add ${port} type veth peer name eth0 netns ${holder.pid} && ip link set ${port} master joint up`);
        inNetworkOf(holder, `ip address add ${machine.address}/24 dev eth0 && ip link set eth0 up`);
        all.push(machine);
      }
      // The kernel finds out after a moment that a cable is plugged in; until then programs see no such network.
      for (const { name, pid } of all) await until(`${name} is on the network`, () => /\bstate UP\b/.test(inNetworkOf({ pid }, 'ip link show eth0')));
      return new Machines(folder, joint, all);
    } catch (error) {
      await Promise.all(holders.map(endHolder));
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  logs(): string {
    return this.all.map((machine) => machine.logs()).join('\n');
  }

  /** Ends everything and removes the folders. @throws Error if a process was left behind */
  async stop(): Promise<void> {
    await Promise.all(this.all.map((machine) => machine.end()));
    await endHolder(this.#switch);
    const left = () => processesOf(this.folder).filter(({ pid }) => isAlive(pid));
    try {
      await until('no process is left', () => left().length === 0, 5_000);
    } catch {
      const found = left();
      for (const { pid } of found) process.kill(pid, 'SIGKILL');
      throw new Error(`processes were left behind:\n${found.map(({ pid, about }) => `${pid} ${about}`).join('\n')}`);
    } finally {
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** A process in namespaces of its own in which the script was run; it ends when this process does. */
async function held(script: string): Promise<ChildProcess> {
  const holder = spawn('unshare', [...NAMESPACES, 'sh', '-c', `${script} && echo ready && exec cat`], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  holder.stdout.on('data', (text: Buffer) => (said += text.toString()));
  holder.stderr.on('data', (text: Buffer) => (said += text.toString()));
  await until(`namespaces: ${script}`, () => {
    if (holder.exitCode !== null) throw new Error(said);
    return said.includes('ready\n');
  });
  return holder;
}

function inNetworkOf(holder: { readonly pid?: number | undefined }, script: string): string {
  return execFileSync('nsenter', ['--target', String(holder.pid), '--net', 'sh', '-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function endHolder(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  holder.stdin?.end();
  await once(holder, 'exit');
}

async function endOf({ process: child, ended }: Started): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(timer);
}
