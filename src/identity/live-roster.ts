/**
 * The roster that a process goes by: read from the home folder at the start, replaced whenever a newer
 * one comes over a link or from the registry.
 *
 * Owns: which roster is in force. Links ask it (wire/membership.ts) whom to trust, exchange it by its
 * number, and end when their other side is no member any more.
 *
 * Invariants
 * 1. Numbers only rise. A roster is on disk before it is in force.
 * 2. Without a roster the own key is an admin and nobody else is anything: that is a pool of one user on
 *    one machine before its tracker was first started.
 * 3. With a roster the own key is what its row says, like any other.
 */
import { PotluckError } from '../errors.ts';
import { HOW_TO_JOIN, type LinkMembership } from '../wire/membership.ts';
import type { Problem } from '../wire/messages.ts';
import { readPool } from './home-folder.ts';
import { readConfirmed, readNewestRoster, rememberConfirmed, writeRoster } from './roster-files.ts';
import type { Role, Roster, RosterBody, RosterRow } from './roster.ts';
import { openSeal, type SealedRoster } from './sealed-roster.ts';

export interface LiveRosterOptions {
  /** The home folder. */
  folder: string;
  ownKeyId: string;
  /** For what a person should know: a roster that was refused, a disk that did not keep one. */
  log?: (line: string) => void;
  /** Only the tracker: every change goes to every link. Others tell it when a link opens. */
  pushes?: boolean;
}

/** A confirmation is written down at most this often: 24 h without one need no finer record. */
const REMEMBER_MS = 60_000;

export class LiveRoster implements Roster, LinkMembership {
  readonly pushes: boolean;
  readonly #folder: string;
  readonly #ownKeyId: string;
  readonly #log: (line: string) => void;
  readonly #listeners = new Set<() => void>();
  #pool: string | undefined;
  #sealed: SealedRoster | undefined;
  #body: RosterBody | undefined;
  #rows = new Map<string, RosterRow>();
  /** Of the monotonic clock. */
  #confirmedAt = -Infinity;
  #rememberedAt = -Infinity;
  /** What was offered is taken one after another. */
  #taking: Promise<unknown> = Promise.resolve();

  constructor({ folder, ownKeyId, log = () => undefined, pushes = false }: LiveRosterOptions) {
    this.#folder = folder;
    this.#ownKeyId = ownKeyId;
    this.#log = log;
    this.pushes = pushes;
  }

  /** Reads what the folder holds. Throws PotluckError `key_damaged` if its pool.json is. */
  async open(): Promise<this> {
    const pool = await readPool(this.#folder);
    return pool === undefined ? this : this.openFor(pool.pool);
  }

  /** Looks again: another process of this user may have joined a pool, or been told of a newer roster. */
  async refresh(): Promise<void> {
    const pool = this.#pool ?? (await readPool(this.#folder))?.pool;
    const found = pool === undefined ? undefined : await readNewestRoster(this.#folder, pool);
    if (found === undefined || found.body.number <= this.number) return;
    this.#pool = pool;
    this.#use(found.sealed, found.body);
  }

  /** As `open`, for a folder that is about to join that pool. */
  async openFor(pool: string): Promise<this> {
    this.#pool = pool;
    const found = await readNewestRoster(this.#folder, this.#pool);
    if (found !== undefined) this.#use(found.sealed, found.body);
    const confirmed = await readConfirmed(this.#folder);
    // A wall clock that was set back makes it look confirmed in the future; that is no age.
    if (confirmed !== undefined) this.#confirmedAt = performance.now() - Math.max(0, Date.now() - confirmed);
    return this;
  }

  get number(): number {
    return this.#body?.number ?? 0;
  }

  get trackerKey(): string {
    return this.#body?.tracker ?? this.#ownKeyId;
  }

  /** What is in force; undefined before the first roster. */
  get body(): RosterBody | undefined {
    return this.#body;
  }

  roleOf(keyId: string): Role | undefined {
    if (this.#body === undefined) return keyId === this.#ownKeyId ? 'admin' : undefined;
    return this.#active(keyId)?.role;
  }

  nameOf(keyId: string): string | undefined {
    return this.#active(keyId)?.name;
  }

  isRevoked(keyId: string): boolean {
    return this.#rows.get(keyId)?.state === 'revoked';
  }

  confirmedMsAgo(): number {
    return this.#body === undefined ? 0 : performance.now() - this.#confirmedAt;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The tracker is linked now and says nothing newer. Cheap: called with every beat. */
  confirm(): void {
    const now = performance.now();
    this.#confirmedAt = now;
    if (this.#body === undefined || now - this.#rememberedAt < REMEMBER_MS) return;
    this.#rememberedAt = now;
    rememberConfirmed(this.#folder).catch((error: unknown) => this.#log(`that the roster was confirmed could not be written down: ${String(error)}`));
  }

  /** Takes a newer roster of this pool: on disk, then in force. Resolves with whether that is so now. */
  async take(sealed: SealedRoster): Promise<boolean> {
    return (await this.#inTurn(sealed)) === 'taken';
  }

  #inTurn(sealed: SealedRoster): Promise<'taken' | 'passed_over' | 'forged'> {
    const taken = this.#taking.then(() => this.#takeNow(sealed));
    this.#taking = taken.catch(() => undefined);
    return taken;
  }

  async #takeNow(sealed: SealedRoster): Promise<'taken' | 'passed_over' | 'forged'> {
    if (sealed.number <= this.number) return 'passed_over';
    this.#pool ??= (await readPool(this.#folder))?.pool;
    if (this.#pool === undefined) return 'passed_over';
    const opened = openSeal(sealed, this.#pool);
    if ('why' in opened) {
      this.#log(`a roster was refused: ${opened.why}`);
      return 'forged';
    }
    await writeRoster(this.#folder, sealed);
    this.#use(sealed, opened.body);
    return 'taken';
  }

  #use(sealed: SealedRoster, body: RosterBody): void {
    this.#sealed = sealed;
    this.#body = body;
    this.#rows = new Map(body.members.map((row) => [row.key, row]));
    // A Set allows that a listener goes, or another comes, meanwhile.
    for (const listener of this.#listeners) listener();
  }

  #active(keyId: string): RosterRow | undefined {
    const row = this.#rows.get(keyId);
    return row?.state === 'active' ? row : undefined;
  }

  // --- LinkMembership: what links need -------------------------------------------------------

  get sealed(): SealedRoster | undefined {
    return this.#sealed;
  }

  trusts(keyId: string): boolean {
    return this.roleOf(keyId) !== undefined;
  }

  problemOf(keyId: string): Problem | undefined {
    if (this.trusts(keyId)) return undefined;
    return this.isRevoked(keyId)
      ? { code: 'revoked', message: 'this key was revoked by an admin of the pool', hint: 'to come back with a new invitation, remove member.key and pool.json in the folder of the pool (~/.potluck) first' }
      : { code: 'not_a_member', message: 'the other side does not know this key', hint: HOW_TO_JOIN };
  }

  async offered(sealed: SealedRoster, from: string): Promise<boolean> {
    try {
      return (await this.#inTurn(sealed)) !== 'forged';
    } catch (error) {
      this.#log(`a newer roster, from ${from}, could not be kept: ${String(error)}`);
      return true;
    }
  }
}

/** For the holder of the key, on whatever it tries. */
export const keyRevoked = (folder: string): PotluckError =>
  new PotluckError('revoked', 'the key of this machine was revoked by an admin of the pool', { why: 'a revoked key never comes back', fix: `to come back with a new invitation, remove ${folder}/member.key and ${folder}/pool.json first` });
