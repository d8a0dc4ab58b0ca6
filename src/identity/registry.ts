/**
 * The shell of the registry, in the tracker's process: its log, the pool's key, the roster that follows.
 *
 * Owns: that what is decided is on disk before anybody sees it, and that the roster is signed and in force
 * before the answer goes out. Neighbours: registry-state.ts decides; joining.ts and registry-link.ts ask.
 *
 * Invariants
 * 1. Killed at any moment, the log holds a change whole or not at all. At the next start the roster is
 *    made of the log again if its file is older.
 * 2. A log that is older than the roster that a peer has is an old copy (somebody put a folder back). Numbers
 *    go on from the roster's, or no revocation would ever count again.
 * 3. After a failed flush nothing is changed any more until the tracker is started anew.
 */
import type { KeyObject } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { TickClock } from '../lib/clock.ts';
import { Driver } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import type { Audit } from './audit.ts';
import type { LiveRoster } from './live-roster.ts';
import { registryRecordSchema, type RegistryRecord } from './registry-records.ts';
import { RegistryState, type RegistryAfter, type RegistryAnswer, type RegistryEvent } from './registry-state.ts';
import type { RosterBody } from './roster.ts';
import { sealRoster } from './sealed-roster.ts';

/** The durable log. `append` only buffers and gives the record's number; `flush` makes all of them durable. */
export interface RegistryLog {
  append(record: Uint8Array): number;
  flush(): Promise<number>;
}

export interface RegistryOptions {
  pool: string;
  poolKey: KeyObject;
  /** The tracker's own: its key, the name of its row, its host. */
  own: { key: string; name: string; machine: string };
  roster: LiveRoster;
  log: RegistryLog;
  audit: Audit;
  say: (line: string) => void;
  broken: (error: unknown) => void;
}

type Asked = Extract<RegistryEvent, { asker: number }>;
type WithoutAsker<E> = E extends unknown ? Omit<E, 'asker'> : never;
export type RegistryQuestion = WithoutAsker<Asked>;

export class Registry {
  readonly state = new RegistryState();
  readonly #o: RegistryOptions;
  readonly #driver: Driver<RegistryEvent, never, RegistryRecord, RegistryAfter>;
  readonly #askers = new Map<number, (answer: RegistryAnswer) => void>();
  readonly #clock = new TickClock(limits.tickMsMax);
  #lastAsker = 0;
  /** Rosters are put in force one after another. */
  #published: Promise<void> = Promise.resolve();
  #started = false;
  #forgetRoster: (() => void) | undefined;

  constructor(options: RegistryOptions) {
    this.#o = options;
    const { log } = options;
    this.#driver = new Driver<RegistryEvent, never, RegistryRecord, RegistryAfter>({
      decider: this.state,
      clock: this.#clock,
      recorder: {
        append: (record) => log.append(Buffer.from(JSON.stringify(record))),
        flush: () => log.flush(),
      },
      tick: { type: 'tick' },
      commitFailed: (error, lost) => this.#commitFailed(error, lost),
      send: () => undefined,
      release: (effect) => this.#release(effect),
      broken: options.broken,
    });
  }

  /** A record of the log, when it is read before the start. Throws PotluckError `store_damaged`. */
  replay(bytes: Uint8Array): void {
    const parsed = registryRecordSchema.safeParse(JSON.parse(Buffer.from(bytes).toString()));
    if (!parsed.success) throw new PotluckError('store_too_new', 'the registry holds a record that this version does not know', { why: parsed.error.issues[0]?.message, fix: 'install the newer version again' });
    this.state.replay(parsed.data);
    this.#o.audit.changed(parsed.data);
  }

  /** Makes the tracker's key an admin if it is not yet. Resolves when the roster is in force. */
  async start(): Promise<void> {
    this.#started = true;
    this.#compareWithRoster();
    await this.#driver.settled();
    await this.#published;
    this.#forgetRoster = this.#o.roster.onChange(() => {
      if (this.#o.roster.number > this.state.number) this.#compareWithRoster();
    });
  }

  #compareWithRoster(): void {
    const { own, roster } = this.#o;
    const { body } = roster;
    this.#driver.dispatch({ type: 'started', ...own, roster: body && { number: body.number, members: body.members } });
  }

  async stop(): Promise<void> {
    this.#forgetRoster?.();
    await this.#driver.settled();
    await this.#published;
    this.#driver.stop();
  }

  /** What became of it, once it is on disk and in force. */
  ask(question: RegistryQuestion): Promise<RegistryAnswer> {
    if (!this.#started) throw new Error('the registry was not started');
    const asker = (this.#lastAsker += 1);
    return new Promise((resolve) => {
      this.#askers.set(asker, resolve);
      this.#driver.dispatch({ ...question, asker });
    });
  }

  #release(effect: RegistryAfter): void {
    if (effect.to === 'audit') this.#o.audit.changed(effect.record);
    else if (effect.to === 'publish') this.#published = this.#published.then(() => this.#publish());
    else void this.#published.then(() => this.#answer(effect.asker, effect.answer));
  }

  #answer(asker: number, answer: RegistryAnswer): void {
    const resolve = this.#askers.get(asker);
    this.#askers.delete(asker);
    resolve?.(answer);
  }

  async #publish(): Promise<void> {
    const { pool, poolKey, roster, say } = this.#o;
    const body = bodyOf(pool, this.state);
    if (body.number <= roster.number) return;
    try {
      await roster.take(sealRoster(body, poolKey));
    } catch (error) {
      // The change is on disk all the same, and the next start or change publishes it.
      say(`roster ${body.number} could not be written: ${String(error)}`);
    }
  }

  #commitFailed(error: unknown, lost: readonly RegistryAfter[]): RegistryEvent {
    this.#o.say(`the registry could not be written, and nothing of it can be changed until the tracker is started again: ${String(error)}`);
    for (const effect of lost) {
      if (effect.to === 'asker') this.#answer(effect.asker, { refused: { code: 'store_failed', message: 'the tracker\'s disk failed to keep the registry', hint: 'check the disk of the tracker, then start the tracker again' } });
    }
    return { type: 'commit_failed' };
  }
}

/** The roster as the registry has it: all active members, and the newest of the revoked. */
function bodyOf(pool: string, { number, tracker, members }: RegistryState): RosterBody {
  const rows = [...members.values()].map(({ key, name, role, state }) => ({ key, name, role, state }));
  const revoked = rows.filter(({ state }) => state === 'revoked').slice(-limits.revokedRowsMax);
  return { pool, number, tracker, members: [...rows.filter(({ state }) => state === 'active'), ...revoked] };
}
