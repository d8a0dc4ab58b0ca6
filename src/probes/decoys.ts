/**
 * What the probes are let loose on: files, sockets, listeners and a process that stand for the owner's. A
 * control really does the act, so nothing here is anybody's: all of it was made for this run, says one
 * random token, and is gone after it.
 *
 * Invariants
 *  1. Listeners are on loopback and on addresses of this machine: nothing a probe sends leaves it.
 *  2. What a killed run left is removed by the next; its process ended with it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../sandbox/processes.ts';
import { type Arch, machineProgram, structure } from './machine-code.ts';
import { syscallNumber } from './syscalls.ts';

export interface Endpoint {
  host: string;
  port: number;
}

/** undefined: this machine has nothing of the kind. */
export interface Decoys {
  readonly token: string;
  /** The run's own folder, below the pool's. */
  readonly folder: string;
  /** Secrets in the pool's folder, each holding the token. */
  readonly files: { readonly ssh: string; readonly key: string; readonly journal: string; readonly settings: string; readonly scratch: string };
  /** Outside of it, each holding the token. */
  readonly tmpFiles: readonly string[];
  /** In each is a file `secret` with the token. */
  readonly openFolder: string;
  readonly loopback: Endpoint | undefined;
  readonly loopback6: Endpoint | undefined;
  readonly lan: Endpoint | undefined;
  /** On the address of clouds' metadata service, where that is this machine's own. */
  readonly metadata: Endpoint | undefined;
  readonly datagrams: Endpoint | undefined;
  readonly page: string | undefined;
  readonly unixSockets: readonly string[];
  /** With @ for the first byte. */
  readonly abstractSocket: string | undefined;
  /** A process with the token in its environment and its arguments, that lets anybody trace it who may. */
  readonly pid: number | undefined;
  readonly arch: Arch | undefined;
}

const METADATA_ADDRESS = '169.254.169.254';
const RUN_FOLDER = /^run-(\d+)-[0-9a-f]+$/;
/** What a run has in folders that it shares with others. */
const RUN_FILE = /^potluck-run-(\d+)-[0-9a-f]+(?:\.sock)?$/;
const OPEN_FOLDERS = [...new Set([tmpdir(), '/dev/shm', '/var/tmp'])];
const SOCKET_FOLDERS = [...new Set(['/run', process.env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.getuid?.() ?? 0}`, tmpdir()])];
/** A program that waits ends by itself after this, should nobody end it. */
export const WAITS_S = 30;

export class DecoyGround {
  readonly #homeFolder: string;
  #folder = '';
  #made = false;
  #process: ChildProcess | undefined;
  readonly #servers: Server[] = [];
  readonly #links = new Set<Socket>();
  readonly #datagrams: DatagramSocket[] = [];
  readonly #leftOutside: string[] = [];

  constructor(homeFolder: string) {
    this.#homeFolder = homeFolder;
  }

  async make(): Promise<Decoys> {
    const root = join(this.#homeFolder, 'probes');
    this.#made = !existsSync(this.#homeFolder);
    mkdirSync(root, { recursive: true, mode: 0o700 });
    removeStale(root, RUN_FOLDER);
    for (const folder of sharedFolders()) doesIt(() => removeStale(folder, RUN_FILE));
    const token = `decoy${randomBytes(12).toString('hex')}`;
    const name = `run-${process.pid}-${randomBytes(4).toString('hex')}`;
    this.#folder = join(root, name);
    const files = this.#files(token);
    const openFolder = join(this.#folder, 'open');
    this.#write(join(openFolder, 'secret'), token);
    const tmpFiles = OPEN_FOLDERS.flatMap((folder) => this.#outside(folder, `potluck-${name}`, token));
    const lanAddress = addresses().find((address) => !address.startsWith('169.254.'));
    const [loopback, loopback6, lan, metadata, page, datagrams, abstract] = await Promise.all([
      this.#tcp('127.0.0.1', token),
      this.#tcp('::1', token),
      lanAddress === undefined ? undefined : this.#tcp(lanAddress, token),
      addresses().includes(METADATA_ADDRESS) ? this.#tcp(METADATA_ADDRESS, token) : undefined,
      this.#page(token),
      this.#udp(token),
      process.platform === 'linux' ? this.#listen(greeter(token), { path: `\0potluck-${name}` }) : false,
    ]);
    const unixSockets = await this.#unixSockets(token, `potluck-${name}.sock`);
    const arch = process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64') ? process.arch : undefined;
    const pid = arch === undefined ? undefined : await this.#decoyProcess(token, arch);
    const abstractSocket = abstract ? `@potluck-${name}` : undefined;
    return { token, folder: this.#folder, files, tmpFiles, openFolder, loopback, loopback6, lan, metadata, datagrams, page, unixSockets, abstractSocket, pid, arch };
  }

  async remove(): Promise<void> {
    const child = this.#process;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.ref();
      child.kill('SIGKILL');
      await exit;
    }
    for (const server of this.#servers) server.close();
    for (const link of this.#links) link.destroy();
    for (const socket of this.#datagrams) socket.close();
    for (const path of this.#leftOutside) rmSync(path, { force: true });
    if (this.#folder === '') return;
    rmSync(this.#folder, { recursive: true, force: true });
    // A look at a machine that has no pool yet leaves no folder of one.
    if (this.#made && doesIt(() => rmdirSync(join(this.#homeFolder, 'probes')))) doesIt(() => rmdirSync(this.#homeFolder));
  }

  #files(token: string): Decoys['files'] {
    const at = (...parts: string[]) => join(this.#folder, ...parts);
    const files = {
      ssh: at('.ssh', 'id_ed25519'),
      key: at('member.key'),
      journal: at('journal', '0000000000000001.log'),
      settings: at('config.json'),
      scratch: at('scratch', 'other', 'notes.txt'),
    };
    for (const path of Object.values(files)) this.#write(path, token);
    return files;
  }

  #write(path: string, token: string): void {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(path, token, { mode: 0o600 });
  }

  /** Open to all users: only the walls are in the way. */
  #outside(folder: string, name: string, token: string): string[] {
    const path = join(folder, name);
    if (!doesIt(() => writeFileSync(path, token, { mode: 0o644, flag: 'wx' }))) return [];
    this.#leftOutside.push(path);
    return [path];
  }

  async #tcp(host: string, token: string): Promise<Endpoint | undefined> {
    const server = greeter(token);
    return (await this.#listen(server, { host, port: 0 })) ? { host, port: (server.address() as AddressInfo).port } : undefined;
  }

  async #page(token: string): Promise<string | undefined> {
    const server = createHttpServer((_, response) => response.end(token));
    return (await this.#listen(server, { host: '127.0.0.1', port: 0 })) ? `http://127.0.0.1:${(server.address() as AddressInfo).port}/` : undefined;
  }

  async #udp(token: string): Promise<Endpoint | undefined> {
    const socket = createSocket('udp4');
    socket.on('message', (_, from) => socket.send(token, from.port, from.address));
    try {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
    } catch {
      return undefined; // no network at all: nothing to reach
    }
    socket.unref();
    this.#datagrams.push(socket);
    return { host: '127.0.0.1', port: socket.address().port };
  }

  /** Where daemons have theirs, as far as this user may make one there. */
  async #unixSockets(token: string, name: string): Promise<string[]> {
    const made: string[] = [];
    for (const folder of [...SOCKET_FOLDERS, this.#folder]) {
      const path = join(folder, name);
      // The kernel's own bound on such a path; what is longer would be cut, and made elsewhere.
      if (path.length > 100 || !(await this.#listen(greeter(token), { path }))) continue;
      this.#leftOutside.push(path);
      made.push(path);
    }
    return made;
  }

  async #listen(server: Server, where: ListenOptions): Promise<boolean> {
    try {
      server.listen(where);
      await once(server, 'listening');
    } catch {
      return false; // not here: no such address, or not ours to use
    }
    server.on('connection', (link: Socket) => {
      this.#links.add(link);
      link.once('close', () => this.#links.delete(link));
    });
    server.unref();
    this.#servers.push(server);
    return true;
  }

  async #decoyProcess(token: string, arch: Arch): Promise<number | undefined> {
    const path = join(this.#folder, 'decoy');
    writeProgram(path, waitingProgram(arch, true));
    const child = spawn(path, [token], { stdio: 'ignore', env: { PROBE_DECOY: token } });
    try {
      await once(child, 'spawn');
    } catch {
      return undefined; // programs may not be run from this folder
    }
    this.#process = child;
    child.unref();
    return child.pid;
  }
}

/** Waits. @param traceable lets any process trace it that the kernel lets, and ends with its parent */
export function waitingProgram(arch: Arch, traceable: boolean): Uint8Array {
  const prctl = syscallNumber('prctl', arch);
  const [endWithParent, traceableByAll] = [1, 0x59_61_6d_61];
  const before = traceable ? [{ number: prctl, args: [endWithParent, 9] }, { number: prctl, args: [traceableByAll, -1], mayFail: true }] : [];
  return machineProgram([...before, { number: syscallNumber('ppoll', arch), args: [0, 0, structure(16, WAITS_S), 0, 8] }], arch);
}

function writeProgram(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, 'wx', 0o700);
  writeFileSync(fd, bytes);
  closeSync(fd);
}

function greeter(token: string): Server {
  const server = createServer((link) => {
    link.on('error', () => undefined); // who asked has gone
    link.end(token);
  });
  return server;
}

const addresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);

const sharedFolders = (): string[] => [...new Set([...OPEN_FOLDERS, ...SOCKET_FOLDERS])].filter((folder) => existsSync(folder));

/** Of runs whose process is gone; what is another user's stays. */
function removeStale(folder: string, ofRun: RegExp): void {
  for (const name of readdirSync(folder)) {
    const pid = ofRun.exec(name)?.[1];
    if (pid !== undefined && Number(pid) !== process.pid && !isAlive(Number(pid))) doesIt(() => rmSync(join(folder, name), { recursive: true, force: true }));
  }
}

function doesIt(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false; // not ours to do here; the probe that wanted it is not applicable
  }
}
