/**
 * The level that is proven, from a peer's start to its end. A first look says what the machine seems to
 * reach; other members' tasks wait until the probes have shown it, own ones do not.
 *
 * Owns: when the probes run (once per box and boot, and again each day that a peer is up), that peers of one
 * folder do not all run them at once, and what is said when one broke.
 *
 * Invariant: while there is somebody whose tasks are foreign, the level is 2 only if the probes have shown it.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { causeText } from '../errors.ts';
import { limits } from '../limits.ts';
import { runProbes } from '../probes/battery.ts';
import { fingerprintOf, isFresh, keepProof, provenAgoMs } from '../probes/proof-cache.ts';
import { proofOf } from '../probes/verdict.ts';
import type { Interpreter } from '../sandbox/interpreters.ts';
import type { LevelProbe } from '../sandbox/levels.ts';
import { isAlive } from '../sandbox/processes.ts';

export interface BoxProofOptions {
  /** What the first look found. */
  found: LevelProbe;
  /** Whether there may be tasks of other members, and they would be taken. */
  wanted: () => boolean;
  homeFolder: string;
  guestsFolder: string;
  interpreters: readonly Interpreter[];
  /** The peer's own port. */
  port: number;
  /** The level that holds from now on. */
  onLevel: (level: number) => void;
}

/** What a peer may say of itself. */
export interface ProvenLevel {
  level: 0 | 1 | 2;
  /** Why not more; empty where nothing is missing. */
  missing: string;
  /** The one command that mends it, where there is one. */
  fix: string;
}

const UNTRIED: ProvenLevel = { level: 1, missing: 'its box is still being tried', fix: 'wait some seconds' };
/** Another peer of this folder is waited for this long; it then hangs. */
const OTHER_MS = 60_000;
const LOOK_EVERY_MS = 100;

export class BoxProof {
  readonly #o: BoxProofOptions;
  readonly #box: string;
  #proven: ProvenLevel;
  #timer: NodeJS.Timeout | undefined;
  #looked = false;
  #running: Promise<void> | undefined;
  readonly #ending = new AbortController();

  constructor(options: BoxProofOptions) {
    this.#o = options;
    this.#box = fingerprintOf({ ...options, level: options.found });
    const { level, missing, fix } = options.found;
    this.#proven = { level, missing, fix };
    if (this.#isDue()) this.#proven = UNTRIED;
  }

  get proven(): ProvenLevel {
    return this.#proven;
  }

  /** At the start, and when there are other members than before. Resolves when it is known what holds. */
  async look(): Promise<void> {
    const { found, wanted, homeFolder } = this.#o;
    if (this.#looked || !wanted() || found.level < 2) return;
    this.#looked = true;
    const agoMs = provenAgoMs(homeFolder, this.#box);
    if (!isFresh(agoMs)) {
      this.#tell(UNTRIED);
      await this.#measureOnce(agoMs === undefined);
    }
    this.#again(limits.boxProofMs - (isFresh(agoMs) ? agoMs : 0));
  }

  /** Resolves when no probe runs any more and their decoys are gone. */
  async stop(): Promise<void> {
    this.#ending.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #isDue(): boolean {
    const { found, wanted, homeFolder } = this.#o;
    return found.level === 2 && wanted() && !isFresh(provenAgoMs(homeFolder, this.#box));
  }

  #again(afterMs: number): void {
    if (this.#ending.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#measureOnce(false).then(() => this.#again(limits.boxProofMs)), afterMs);
    this.#timer.unref();
  }

  /** Or takes what another peer of this folder measures at this moment. */
  async #measureOnce(heavy: boolean): Promise<void> {
    const folder = join(this.#o.homeFolder, 'probes');
    const claim = join(folder, 'measuring');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const until = performance.now() + OTHER_MS;
    while (!claimed(claim) && performance.now() < until && !this.#ending.signal.aborted) {
      await delay(LOOK_EVERY_MS);
      if (isFresh(provenAgoMs(this.#o.homeFolder, this.#box))) return this.#tell(this.#o.found);
    }
    try {
      this.#running = this.#measure(heavy);
      await this.#running;
    } finally {
      rmSync(claim, { force: true });
    }
  }

  async #measure(heavy: boolean): Promise<void> {
    const { found, homeFolder, guestsFolder, interpreters, port } = this.#o;
    try {
      const findings = await runProbes({ homeFolder, guestsFolder, interpreters, level: found, heavy, peer: { host: '127.0.0.1', port }, signal: this.#ending.signal });
      const proof = proofOf(found.level, found.missing, findings);
      if (proof.level === found.level) keepProof(homeFolder, this.#box);
      this.#tell({ ...proof, fix: proof.level === found.level ? found.fix : 'potluck doctor' });
    } catch (error) {
      this.#tell({ level: 1, missing: `its box could not be tried: ${causeText(error)}`, fix: 'potluck doctor' });
    }
  }

  #tell({ level, missing, fix }: ProvenLevel): void {
    if (this.#ending.signal.aborted) return;
    this.#proven = { level, missing, fix };
    this.#o.onLevel(level);
  }
}

/** Whether this process may go ahead; a claim of one that is gone is taken over. */
function claimed(path: string): boolean {
  try {
    const fd = openSync(path, 'wx', 0o600);
    writeFileSync(fd, String(process.pid));
    closeSync(fd);
    return true;
  } catch {
    const holder = Number(readOr(path, ''));
    if (holder > 0 && !isAlive(holder)) rmSync(path, { force: true });
    return false;
  }
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise; // just removed by its holder
  }
}
