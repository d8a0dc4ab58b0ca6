/**
 * Runs what the docs show, and compares it with what they say is printed.
 *
 * Owns: the form of a session in Markdown, and the processes that a session starts. A block of
 *
 *   ```console          is typed line by line into one shell: `$ ` begins a command, `> ` continues it, the
 *                       lines after it are what must be printed;
 *   ```console stays    is a terminal of its own, whose command goes on; `^C` in it is Ctrl+C, after which it
 *                       must end;
 *   ```console tower    is typed on the machine of that name (`stays` may follow);
 *   ```sh run           is pasted as it is; a ```text block right after it is what must be printed;
 *   ```js               is a program; what it prints stands in the comments behind its `console.log`s;
 *   <!-- test: SIGINT potluck tracker -->   is what the text asks the reader to do to such a terminal
 *                       (`tower: SIGINT …` on the machine of that name).
 *
 * `…` alone in a line stands for any lines, within a line for any text. What differs from run to run and
 * from machine to machine is compared by its kind (`plain` below), a list of addresses by its first. The ports that docs name are replaced by free ones.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { isFree } from '../src/lib/ports.ts';
import { hostLabel } from '../src/main/machine.ts';
import { environment } from './e2e/processes.ts';
import { until } from './e2e/until.ts';

export interface Step {
  kind: 'typed' | 'stays' | 'program' | 'signal';
  /** What is typed or run; of a signal, its name and the beginning of the command it goes to. */
  text: string;
  /** Lines that must be printed. */
  printed: string[];
  /** Ended by Ctrl+C within its block: lines printed after that. */
  afterInterrupt: string[] | undefined;
  /** In its file, from 1. */
  line: number;
  /** Where it is typed; undefined: on the only one. */
  machine?: string;
}

const step = (kind: Step['kind'], text: string, line: number, printed: string[] = []): Step => ({ kind, text, printed, afterInterrupt: undefined, line });

const on = (machine: string | undefined): { machine?: string } => (machine === undefined ? {} : { machine });

/** The steps of a document, in order. */
export function stepsOf(markdown: string): Step[] {
  const steps: Step[] = [];
  const lines = markdown.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const signal = /^<!-- test: (?:(\w+): )?(SIG[A-Z]+ .+) -->$/.exec(lines[at]!);
    if (signal !== null) steps.push({ ...step('signal', signal[2]!, at + 1), ...on(signal[1]) });
    const fence = /^```(\S+)?(?: (.+))?$/.exec(lines[at]!);
    if (fence === null) continue;
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`line ${at + 1}: a block without an end`);
    const block = lines.slice(at + 1, end);
    if (fence[1] === 'console') steps.push(...consoleSteps(block, fence[2]?.split(' ') ?? [], at + 2));
    if (fence[1] === 'sh' && fence[2] === 'run') steps.push(step('typed', block.join('\n'), at + 2));
    if (fence[1] === 'text') expected(steps, at).printed.push(...block);
    if (fence[1] === 'js') steps.push(step('program', block.join('\n'), at + 2, block.flatMap((line) => /console\.log\(.*\); \/\/ (.+)$/.exec(line)?.[1] ?? [])));
    at = end;
  }
  return steps;
}

/** The step whose output a block shows. */
function expected(steps: readonly Step[], at: number): Step {
  const last = steps.at(-1);
  if (last?.kind !== 'typed' || last.printed.length > 0) throw new Error(`line ${at + 1}: output of nothing`);
  return last;
}

function consoleSteps(block: readonly string[], about: readonly string[], firstLine: number): Step[] {
  const kind = about.includes('stays') ? 'stays' : 'typed';
  const machine = about.find((word) => word !== 'stays');
  const steps: Step[] = [];
  block.forEach((line, at) => {
    const last = steps.at(-1);
    if (line.startsWith('$ ')) steps.push({ ...step(kind, line.slice(2), firstLine + at), ...on(machine) });
    else if (last === undefined) throw new Error(`line ${firstLine + at}: output before the first command`);
    else if (line.startsWith('> ') && last.printed.length === 0) last.text += `\n${line.slice(2)}`;
    else if (line === '^C' && kind === 'stays') last.afterInterrupt = [];
    else (last.afterInterrupt ?? last.printed).push(line);
  });
  return steps;
}

// --- comparing -----------------------------------------------------------------------------

/** Kinds of what may differ; applied to the docs and to what was printed alike. */
const kinds: readonly [RegExp, string][] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'ID'],
  [/\b(program|pool) [0-9a-f]{12}\b/g, '$1 HASH'],
  [/\b\d+(?:\.\d+)? (?:ms|s|min|h)\b(?: \d+ (?:s|min)\b)?/g, 'TIME'],
  [/\b\d\d:\d\d:\d\d\b/g, 'CLOCK'],
  [/\b\d{8}-\d{6}\b/g, 'STAMP'],
  [/\bpl1-(?:…|[\w-]+)/g, 'TOKEN'],
  [/\b[0-9a-f]{4}(?:-[0-9a-f]{4}){3}\b/g, 'FINGERPRINT'],
  [/\b[0-9a-f]{12,16}\b/g, 'HASH'],
  [/\b\d+ (%|MB|slots)/g, 'N $1'],
  [/\b\d+ of \d+ (slots|\d)/g, 'N of N $1'],
  [/\b\d+ of \d+\b/g, 'N of N'],
  [/^why PEER: .+$/g, 'why PEER: REASON'],
  [/^(tracker|peer) +\d+ /g, '$1 PID '],
  [/^Python \/\S+$/g, 'Python PATH'],
  [/ \d +(?:all tasks|own only(?: \(\w+\))?)$/g, ' N TAKES'],
  [/(\d+\.\d+\.\d+\.\d+:\d+)(?:, \d+\.\d+\.\d+\.\d+:\d+)+/g, '$1'],
  [/\b(python|javascript) \d+\.\d+\.\d+/g, '$1 VERSION'],
  [/ --port 9000\b| --tracker-port 8888\b/g, ''],
  [/ +/g, ' '],
];

/** A line as it is compared. `peer` is the beginning of peers' names there. */
export function plain(line: string, peer: string): string {
  let text = line.replaceAll(new RegExp(`\\b${peer}-900\\d\\b`, 'g'), 'PEER');
  for (const [pattern, kind] of kinds) text = text.replace(pattern, kind);
  return text.trim();
}

/** The machine that the docs were written on. */
const docsPeer = 'laptop';

function patternOf(expected: readonly string[], whole: boolean): RegExp {
  const parts = expected.map((line) => plain(line, docsPeer)).filter((line) => line !== '');
  const source = parts.map((line) => (line === '…' ? String.raw`(?:.*\n)*?` : `${line.split('…').map((text) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)).join('.*')}\\n`));
  return new RegExp(`^${source.join('')}${whole ? '$' : ''}`);
}

/** Progress, which a terminal paints over and a slow machine shows. */
const progress = /^(?:starting|building|installing packages|waiting|running on) ?.*$/;

const comparable = (printed: string, host: string): string =>
  printed
    .split('\n')
    .filter((line) => !progress.test(line))
    .map((line) => plain(line, host))
    .filter((line) => line !== '')
    .map((line) => `${line}\n`)
    .join('');

/** Whether that was printed; with `whole: false`, whether it was printed first. */
export const says = (printed: string, expected: readonly string[], whole = true, host = hostLabel()): boolean => patternOf(expected, whole).test(comparable(printed, host));

// --- ports ---------------------------------------------------------------------------------

/** Ports that docs name, and those used in their place. */
export type Ports = ReadonlyMap<string, string>;

/** A free port for the tracker, and four in a row for peers and for pages. */
export async function findPorts(): Promise<Ports> {
  for (;;) {
    const base = 12_000 + 20 * Math.floor(Math.random() * 900);
    const rows = [[8888, base, 1], [9000, base + 1, 4], [5000, base + 5, 4]] as const;
    const pairs = rows.flatMap(([documented, used, count]) => Array.from({ length: count }, (_, at) => [documented + at, used + at] as const));
    const free = await Promise.all(pairs.map(([, used]) => isFree('127.0.0.1', used)));
    if (free.every(Boolean)) return new Map(pairs.map(([documented, used]) => [String(documented), String(used)]));
  }
}

const replace = (text: string, by: Iterable<readonly [string, string]>): string => {
  const table = new Map(by);
  return text.replaceAll(/\d+/g, (digits) => table.get(digits) ?? digits);
};

// --- running -------------------------------------------------------------------------------

const STEP_MS = 60_000;

/** A process whose output is kept; both streams in one, as on a terminal. */
class Terminal {
  readonly process: ChildProcess;
  printed = '';

  constructor(command: string, args: readonly string[], cwd: string, env: Record<string, string>) {
    this.process = spawn(command, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (this.printed += text));
  }

  get over(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }
}

export interface SessionOptions {
  readonly cwd: string;
  /** POTLUCK_HOME, which the docs call `~/.potluck`. */
  readonly folder: string;
  /** Folder in which `potluck` is a command. */
  readonly bin: string;
  readonly ports: Ports;
  /** What makes a command run on another machine when put before it. */
  readonly via?: readonly string[];
  /** What is called otherwise in the docs: by the name there. */
  readonly names?: Readonly<Record<string, string>>;
  /** What the docs call `laptop`, where names of peers begin with it. */
  readonly host?: string;
}

export class Session {
  readonly #cwd: string;
  readonly #via: readonly string[];
  readonly #names: readonly (readonly [string, string])[];
  readonly #host: string;
  readonly #env: Record<string, string>;
  readonly #ports: Ports;
  readonly #folder: string;
  readonly #shell: Terminal;
  readonly #terminals: { text: string; terminal: Terminal }[] = [];
  #commands = 0;

  constructor({ cwd, folder, bin, ports, via = [], names = {}, host = hostLabel() }: SessionOptions) {
    this.#cwd = cwd;
    this.#folder = folder;
    this.#ports = ports;
    this.#via = via;
    this.#names = Object.entries(names);
    this.#host = host;
    const of = (documented: string) => ports.get(documented)!;
    // What a machine does by default is shown on machines of the test's own, where nobody else is.
    const elsewhere = via.length > 0 ? ['POTLUCK_LISTEN_HOST', 'POTLUCK_ISOLATION'] : [];
    const inherited = Object.entries(environment({})).filter(([name]) => !name.startsWith('npm_') && !elsewhere.includes(name));
    this.#env = {
      ...(Object.fromEntries(inherited) as Record<string, string>),
      PATH: `${bin}:${process.env.PATH ?? ''}`,
      POTLUCK_HOME: folder,
      POTLUCK_PORT: of('9000'),
      POTLUCK_PEER_PORT: of('9000'),
      POTLUCK_TRACKER_PORT: of('8888'),
      POTLUCK_WEB_PORT: of('5000'),
    };
    this.#shell = this.#terminal('--noprofile', '--norc', '-O', 'expand_aliases');
    this.#shell.process.stdin?.write('exec 2>&1\n');
  }

  /** @throws Error with what was to be printed and what was */
  async run(one: Step): Promise<void> {
    switch (one.kind) {
      case 'typed':
        return this.#expect(one, await this.#type(one.text));
      case 'stays':
        return this.#open(one);
      case 'program':
        return this.#expect(one, await this.#type(`node --input-type=module <<'END OF PROGRAM'\n${one.text}\nEND OF PROGRAM`));
      case 'signal':
        return this.#signal(one.text);
    }
  }

  /** Ends what was started. */
  async stop(): Promise<void> {
    await this.#type('potluck down');
    this.#shell.process.stdin?.end();
    for (const { terminal } of this.#terminals.toReversed()) await this.#end(terminal, 'SIGTERM');
  }

  /** The last that was printed of what looks like that. */
  latest(pattern: RegExp): string | undefined {
    return [...this.#shell.printed.matchAll(new RegExp(pattern, 'g'))].at(-1)?.[0];
  }

  #terminal(...args: string[]): Terminal {
    const [command, ...all] = [...this.#via, 'bash', ...args] as [string, ...string[]];
    return new Terminal(command, all, this.#cwd, this.#env);
  }

  #asUsed(typed: string): string {
    return replace(this.#names.reduce((text, [documented, used]) => text.replaceAll(documented, used), typed), this.#ports);
  }

  #asDocumented(printed: string): string {
    const named = this.#names.reduce((text, [documented, used]) => text.replaceAll(used, documented), printed.replaceAll(this.#folder, '~/.potluck'));
    return replace(named, [...this.#ports].map(([documented, used]) => [used, documented]));
  }

  #expect({ text, printed, line }: Step, was: string): void {
    const shown = this.#asDocumented(was);
    if (!says(shown, printed, true, this.#host)) throw new Error(`line ${line}: ${text}\n--- should print\n${printed.join('\n')}\n--- printed\n${shown}`);
  }

  /** Types a command into the one shell. */
  async #type(text: string): Promise<string> {
    this.#commands += 1;
    const mark = `--- end of command ${this.#commands} ---`;
    const before = this.#shell.printed.length;
    this.#shell.process.stdin?.write(`{ ${this.#asUsed(text)}\n} </dev/null; was=$?; echo; echo '${mark}'; (exit $was)\n`);
    await until(`the end of: ${text}`, () => this.#shell.printed.includes(mark) || this.#shell.over, STEP_MS);
    const printed = this.#shell.printed.slice(before);
    return printed.slice(0, printed.indexOf(mark));
  }

  async #open({ text, printed, afterInterrupt, line }: Step): Promise<void> {
    const terminal = this.#terminal('--noprofile', '--norc', '-c', `exec ${this.#asUsed(text)}`);
    this.#terminals.push({ text, terminal });
    await this.#printed(terminal, printed, line, text);
    if (afterInterrupt === undefined) return;
    await this.#end(terminal, 'SIGINT');
    await this.#printed(terminal, [...printed, '…', ...afterInterrupt], line, text);
  }

  async #printed(terminal: Terminal, expected: readonly string[], line: number, text: string): Promise<void> {
    try {
      await until('it prints that', () => says(this.#asDocumented(terminal.printed), expected, false, this.#host), STEP_MS / 2);
    } catch (cause) {
      throw new Error(`line ${line}: ${text}\n--- should print\n${expected.join('\n')}\n--- printed\n${this.#asDocumented(terminal.printed)}`, { cause });
    }
  }

  async #signal(text: string): Promise<void> {
    const [name, ...words] = text.split(' ');
    const command = words.join(' ');
    const found = this.#terminals.findLast((one) => one.text.startsWith(command) && !one.terminal.over);
    if (found === undefined) throw new Error(`nothing runs that begins with: ${command}`);
    await this.#end(found.terminal, name as NodeJS.Signals);
  }

  async #end(terminal: Terminal, signal: NodeJS.Signals): Promise<void> {
    terminal.process.kill(signal);
    await until(`the end of process ${terminal.process.pid} after ${signal}`, () => terminal.over, STEP_MS);
  }
}
