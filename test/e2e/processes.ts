/**
 * Processes of a test: what one printed and how it ended, free ports, and who is left behind.
 *
 * Owns: nothing that lives longer than the call, but the process of a `Started`.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isFree } from '../../src/lib/ports.ts';

export const command = fileURLToPath(new URL('../../bin/potluck.js', import.meta.url));

export interface Ran {
  /** null if a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The environment of this process without what would steer potluck, plus `more`. Own tasks are not put in the box
 * unless that says so: most tests learn what ran from files that tasks write.
 */
export function environment(more: Readonly<Record<string, string>>): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:POTLUCK_|NODE_OPTIONS|VITEST|NO_COLOR|FORCE_COLOR|COLUMNS)/.test(name));
  // What tests open is open to this machine only, unless they say otherwise.
  return { ...(Object.fromEntries(inherited) as Record<string, string>), POTLUCK_LISTEN_HOST: '127.0.0.1', POTLUCK_ISOLATION: '1', ...more };
}

/** Ways to start a command that most tests need not choose. */
export interface StartOptions {
  readonly input?: string | undefined;
  /** What runs it in its place: a program and arguments, to which node and its own are appended. */
  readonly via?: readonly string[];
  /** It ends when this process does, however that comes (a pipe whose other end is here). */
  readonly endsWithTest?: boolean;
}

/** A command under way. */
export class Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ran>;
  stdout = '';
  stderr = '';
  #wake: (() => void)[] = [];

  constructor(args: readonly string[], env: Readonly<Record<string, string>>, { input, via = [], endsWithTest = false }: StartOptions = {}) {
    const [program, ...all] = [...via, process.execPath, command, ...args] as [string, ...string[]];
    const parent: Record<string, string> = endsWithTest ? { POTLUCK_PARENT_FD: '3' } : {};
    this.process = spawn(program, all, { env: environment({ ...env, ...parent }), stdio: endsWithTest ? ['pipe', 'pipe', 'pipe', 'pipe'] : 'pipe' });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => this.#heard(() => (this.stdout += text)));
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => this.#heard(() => (this.stderr += text)));
    // Whoever does not read its input closes it, and that is its own affair.
    this.process.stdin?.on('error', () => undefined);
    this.process.stdin?.end(input);
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject);
      this.process.once('close', (status, signal) => {
        this.#heard(() => undefined);
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Resolves when it has printed the text, on either stream. @throws Error if it ends before */
  async said(text: string): Promise<void> {
    while (!this.stdout.includes(text) && !this.stderr.includes(text)) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) throw new Error(`ended without saying ${JSON.stringify(text)}:\n${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #heard(take: () => void): void {
    take();
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Below the ports that systems hand out by themselves, so that nobody's outgoing connection sits on one after a restart. */
const PORT_FIRST = 12_000;
const PORT_LAST = 30_000;

/** @returns `count` ports of 127.0.0.1 on which nobody listened a moment ago */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = PORT_FIRST + Math.floor(Math.random() * (PORT_LAST - PORT_FIRST));
    if (await isFree('127.0.0.1', port)) found.add(port);
  }
  return [...found];
}

/** Whether a process of that number exists and is no zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  if (!existsSync('/proc/self/stat')) return true;
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // It ended between the two questions.
    return false;
  }
}

export interface Found {
  readonly pid: number;
  readonly about: string;
}

/** Processes that belong to a folder: it is their working folder, or stands in their arguments or environment. */
export function processesOf(folder: string): Found[] {
  if (!existsSync('/proc/self/stat')) return processesByArguments(folder);
  const found: Found[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const belongs = args.includes(folder) || readlinkSync(`/proc/${pid}/cwd`).startsWith(folder) || readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder);
      if (belongs && isAlive(pid)) found.push({ pid, about: args.replaceAll('\0', ' ').trim() });
    } catch {
      // It ended while it was looked at, or is somebody else's, who may not be looked at.
    }
  }
  return found;
}

function processesByArguments(folder: string): Found[] {
  const lines = execFileSync('ps', ['-axo', 'pid=,command='], { encoding: 'utf8' }).split('\n');
  return lines.filter((line) => line.includes(folder)).map((line) => ({ pid: Number.parseInt(line, 10), about: line.trim() }));
}
