/**
 * A chaos run: a pool of real processes, clients that give it work, and faults that strike meanwhile.
 *
 * Owns: all the processes, the proxies between them and the folder. Every link of the pool goes over a proxy:
 * peers announce the port of theirs and look for the tracker at its, clients dial their home's. What was promised is
 * judged by checker.ts from what is left on disk.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, closeSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Prng } from '../../src/lib/prng.ts';
import { connect } from '../../src/sdk/index.ts';
import { Part } from '../e2e/pool.ts';
import { environment, freePorts, isAlive, processesOf } from '../e2e/processes.ts';
import { until } from '../e2e/until.ts';
import { check, type Verdict } from './checker.ts';
import { type ChaosOptions, type Fault, peerNames, planFaults, planTasks, programOf, type TaskPlan } from './plan.ts';
import { FaultyProxy } from './proxy.ts';

const READY_MS = 60_000;
const LOOK_MS = 250;
/** After the last fault, all tasks have ended within this time. */
export const SETTLE_MS = 60_000;
const clientProgram = fileURLToPath(new URL('../../test/chaos/client.mjs', import.meta.url));

export interface Report extends Verdict {
  seed: number;
  /** Counted at the homes while they lived; one that is killed takes up to a look's worth with it. */
  staleRefused: number;
  faults: Record<string, number>;
  faultsEndedMs: number;
  /** From the last fault to the last outcome; below 0 if that came first. */
  settledMs: number;
  tookMs: number;
  /** Where everything lies, if it was kept. */
  folder: string | undefined;
}

/** @param given rejects when the run is to be given up: everything is ended then, too */
export async function chaos(options: ChaosOptions, { keep = false, say = () => {}, given = new Promise(() => {}) }: { keep?: boolean; say?: (line: string) => void; given?: Promise<never> } = {}): Promise<Report> {
  const run = new Run(options, say);
  let report: Report | undefined;
  try {
    report = await Promise.race([run.start().then(() => run.perform()), given]);
    return report;
  } finally {
    await run.stop();
    const failed = report === undefined || report.broken.length > 0;
    if (!keep || !failed) rmSync(run.folder, { recursive: true, force: true, maxRetries: 5 });
    else say(`everything of it lies in ${run.folder}`);
  }
}

class Run {
  readonly folder = mkdtempSync(join(tmpdir(), 'potluck-chaos-'));
  readonly #o: ChaosOptions;
  readonly #say: (line: string) => void;
  readonly #plans: TaskPlan[][];
  readonly #parts = new Map<string, Part>();
  readonly #proxies = new Map<string, FaultyProxy>();
  readonly #proxyPorts = new Map<string, number>();
  readonly #clients: ChildProcess[] = [];
  readonly #kills = new Map<string, number>();
  readonly #struck: Record<string, number> = {};
  readonly #stale = new Map<number, number>();
  readonly #broken: string[] = [];
  /** Of what a fault began and its end will undo. */
  readonly #pending = new Set<Promise<void>>();
  #startWall = 0;
  #stopped = false;

  constructor(options: ChaosOptions, say: (line: string) => void) {
    this.#o = options;
    this.#say = say;
    this.#plans = planTasks(options);
  }

  async start(): Promise<void> {
    for (const name of ['logs', 'effects', 'home', 'scratch']) mkdirSync(join(this.folder, name), { mode: 0o700 });
    const names = ['tracker', ...peerNames(this.#o)];
    const ports = await freePorts(2 * names.length);
    const prng = new Prng(this.#o.seed ^ 0xde1a);
    for (const [at, name] of names.entries()) {
      const [port, proxyPort] = [ports[2 * at]!, ports[2 * at + 1]!];
      const proxy = new FaultyProxy(name, port, () => prng.below(1000) / 1000);
      await proxy.start(proxyPort);
      this.#proxies.set(name, proxy);
      this.#proxyPorts.set(name, proxyPort);
      this.#parts.set(name, this.#part(name, port, proxyPort));
    }
    for (const part of this.#parts.values()) part.spawn();
    await Promise.all([...this.#parts.values()].map((part) => part.ready()));
  }

  #part(name: string, port: number, proxyPort: number): Part {
    const about = { name, port, env: { POTLUCK_HOME: join(this.folder, 'home') }, logFolder: join(this.folder, 'logs') };
    if (name === 'tracker') return new Part({ ...about, args: ['tracker', '--port', String(port)], ready: async () => undefined });
    const tracker = this.#proxyPorts.get('tracker');
    const args = ['peer', '--port', String(port), '--name', name, '--tracker-port', String(tracker), '--announce', `127.0.0.1:${proxyPort}`, '--slots', String(this.#o.slots), '--drain-seconds', '0'];
    return new Part({ ...about, args, ready: (part) => this.#isUp(part) });
  }

  async #isUp(part: Part): Promise<void> {
    const names = peerNames(this.#o);
    await until(`${part.name} knows all peers`, async () => {
      if (!part.running) throw new Error(`${part.name} has ended:\n${part.log()}`);
      const link = await connect({ host: '127.0.0.1', port: part.port, home: join(this.folder, 'home') });
      try {
        const up = (await link.peers()).filter(({ state }) => state === 'up');
        return up.length === names.length;
      } finally {
        await link.close();
      }
    }, READY_MS);
  }

  async perform(): Promise<Report> {
    const faults = planFaults(this.#o);
    this.#startWall = Date.now();
    const since = performance.now();
    const nowMs = () => performance.now() - since;
    for (let at = 0; at < this.#o.clients; at += 1) this.#startClient(at);
    const homes = peerNames(this.#o).slice(0, this.#o.clients);
    const watching = homes.map((name) => this.#countStale(this.#parts.get(name)!));
    for (const fault of faults) {
      await sleep(Math.max(0, fault.atMs - nowMs()));
      this.#strike(fault, nowMs());
    }
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    const faultsEndedMs = nowMs();
    this.#say(`the last fault is over after ${seconds(faultsEndedMs)}`);
    const settleUntil = Math.max(faultsEndedMs, this.#o.windowMs) + SETTLE_MS;
    while (this.#clients.some(isRunning) && nowMs() < settleUntil) await sleep(LOOK_MS);
    for (const [at, client] of this.#clients.entries()) if (client.exitCode !== 0) this.#broken.push(`client ${at} ${isRunning(client) ? 'still waits' : `ended with status ${String(client.exitCode)}`}`);
    // What the homes counted last.
    await sleep(2 * LOOK_MS);
    this.#stopped = true;
    await Promise.all(watching);
    await this.#endParts();
    const verdict = await check({ clients: homes.map((name, at) => ({ plan: this.#plans[at]!, records: this.#path(`records-${at}.jsonl`), store: join(this.folder, 'home', 'peers', name), homeKills: this.#kills.get(name) ?? 0 })), effects: this.#path('effects'), scratch: this.#path('scratch') });
    const settledMs = verdict.lastOutcomeMs - Math.max(faultsEndedMs, this.#o.windowMs);
    const staleRefused = [...this.#stale.values()].reduce((sum, count) => sum + count, 0);
    return { ...verdict, broken: [...this.#broken, ...verdict.broken], seed: this.#o.seed, staleRefused, faults: this.#struck, faultsEndedMs, settledMs, tookMs: nowMs(), folder: this.folder };
  }

  // --- clients -----------------------------------------------------------------------------

  #startClient(at: number): void {
    const plan = this.#path(`plan-${at}.json`);
    writeFileSync(plan, JSON.stringify(this.#plans[at]));
    const about = {
      port: this.#proxyPorts.get(`p${at}`),
      home: join(this.folder, 'home'),
      plan,
      records: this.#path(`records-${at}.jsonl`),
      effects: this.#path('effects'),
      programs: Array.from({ length: 5 }, (_, program) => programOf(program)),
      startWall: this.#startWall,
    };
    const log = openSync(this.#path(`logs/client-${at}.log`), 'a', 0o600);
    this.#clients[at] = spawn(process.execPath, [clientProgram, JSON.stringify(about)], { env: environment({ POTLUCK_HOME: about.home }), stdio: ['ignore', log, log] });
    closeSync(log);
  }

  /** Asks a home, again and again and past its proxy, how many stale results it has refused. */
  async #countStale(part: Part): Promise<void> {
    while (!this.#stopped) {
      await sleep(LOOK_MS);
      const { pid } = part;
      if (!part.running || this.#paused.has(part.name)) continue;
      const counted = await Promise.race([this.#staleOf(part), sleep(5_000)]);
      if (counted !== undefined && part.pid === pid) this.#stale.set(pid, Math.max(this.#stale.get(pid) ?? 0, counted));
    }
  }

  async #staleOf(part: Part): Promise<number | undefined> {
    try {
      const link = await connect({ host: '127.0.0.1', port: part.port, home: join(this.folder, 'home'), giveUpMs: 1 });
      try {
        return (JSON.parse(await link.askText({ what: 'status' })) as { stale_results: number }).stale_results;
      } finally {
        await link.close();
      }
    } catch {
      // It was killed meanwhile, which is what this is about.
      return undefined;
    }
  }

  // --- faults ------------------------------------------------------------------------------

  readonly #paused = new Set<string>();

  #strike(fault: Fault, nowMs: number): void {
    const about = 'part' in fault ? fault.part : `client ${fault.client}`;
    this.#struck[fault.what] = (this.#struck[fault.what] ?? 0) + 1;
    this.#say(`${seconds(nowMs)} ${fault.what} ${about}${'ms' in fault ? ` for ${seconds(fault.ms)}` : ''}`);
    const undone = this.#act(fault).catch((error: unknown) => void this.#broken.push(`${fault.what} ${about}: ${String(error)}`));
    this.#pending.add(undone);
    void undone.then(() => this.#pending.delete(undone));
  }

  /** Resolves when the fault is over. */
  async #act(fault: Fault): Promise<void> {
    switch (fault.what) {
      case 'kill':
        return this.#kill(this.#parts.get(fault.part)!, fault.downMs);
      case 'pause':
        return this.#pause(this.#parts.get(fault.part)!, fault.ms);
      case 'kill client':
        return this.#killClient(fault.client, fault.downMs);
      default:
        return this.#trouble(this.#proxies.get(fault.part)!, fault);
    }
  }

  async #trouble(proxy: FaultyProxy, fault: Exclude<Fault, { what: 'kill' | 'pause' | 'kill client' }>): Promise<void> {
    switch (fault.what) {
      case 'cut':
        return proxy.cut();
      case 'half-open':
        return proxy.halfOpen(fault.hidden);
      case 'refuse':
        proxy.refuse(fault.ms);
        break;
      case 'stall':
        proxy.stall(fault.ms);
        break;
      case 'delay':
        proxy.delay(fault.delayMsMax);
        break;
    }
    await sleep(fault.ms);
    if (fault.what === 'delay') proxy.delay(0);
  }

  async #kill(part: Part, downMs: number): Promise<void> {
    await until(`${part.name} runs`, () => part.running || part.crashed, READY_MS);
    this.#lookAt(part);
    this.#kills.set(part.name, (this.#kills.get(part.name) ?? 0) + 1);
    await part.kill('SIGKILL');
    await sleep(downMs);
    if (!part.running && !this.#stopped) part.spawn();
  }

  async #pause(part: Part, ms: number): Promise<void> {
    await until(`${part.name} runs`, () => part.running || part.crashed, READY_MS);
    const { pid } = part;
    await part.kill('SIGSTOP');
    this.#paused.add(part.name);
    await sleep(ms);
    this.#paused.delete(part.name);
    // Another one that bears the name by now was not stopped.
    if (part.pid === pid) await part.kill('SIGCONT');
  }

  async #killClient(at: number, downMs: number): Promise<void> {
    const client = this.#clients[at]!;
    if (!isRunning(client)) return;
    const gone = new Promise((resolve) => client.once('exit', resolve));
    client.kill('SIGKILL');
    await gone;
    await sleep(downMs);
    if (this.#clients[at] === client && !this.#stopped) this.#startClient(at);
  }

  /** One that ended by itself is a finding, and is started again so that the run goes on. */
  #lookAt(part: Part): void {
    if (!part.crashed) return;
    this.#broken.push(`${part.name} ended by itself: ${part.log().trimEnd().split('\n').slice(-6).join(' | ')}`);
    part.spawn();
  }

  // --- the end -----------------------------------------------------------------------------

  async #endParts(): Promise<void> {
    const parts = [...this.#parts.values()].toReversed();
    for (const part of parts) this.#lookAt(part);
    await Promise.all(parts.map(async (part) => {
      if (!part.running) return;
      await part.kill('SIGCONT');
      const timer = setTimeout(() => {
        this.#broken.push(`${part.name} did not stop when it was told to`);
        void part.kill('SIGKILL');
      }, 20_000);
      await part.kill('SIGTERM');
      clearTimeout(timer);
    }));
  }

  /** Ends everything, however far it got. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const client of this.#clients) if (isRunning(client)) client.kill('SIGKILL');
    for (const part of this.#parts.values()) {
      if (!part.running) continue;
      await part.kill('SIGCONT');
      await part.kill('SIGKILL');
    }
    for (const proxy of this.#proxies.values()) await proxy.stop();
    await until('no process is left', () => processesOf(this.folder).length === 0, 10_000).catch((error: unknown) => {
      for (const { pid } of processesOf(this.folder)) if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      throw error;
    });
  }

  #path(name: string): string {
    return join(this.folder, name);
  }
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;
export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
