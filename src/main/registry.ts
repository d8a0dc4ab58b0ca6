/**
 * The registry of a pool put together: its two logs, the roster, what is said when somebody joins.
 *
 * Order: the lock before the logs (there is one writer), both logs before the roster is made of them, the
 * roster before the port opens.
 *
 * `registry/journal` has who joined, was invited and revoked, for good. `registry/audit` has what was
 * observed beside that, and loses its oldest part when it is large.
 */
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { causeText, PotluckError } from '../errors.ts';
import { Audit } from '../identity/audit.ts';
import type { PoolInfo } from '../identity/home-folder.ts';
import { replaceFile } from '../identity/key-file.ts';
import { Joining } from '../identity/joining.ts';
import { LastSeen } from '../identity/last-seen.ts';
import type { LiveRoster } from '../identity/live-roster.ts';
import { Registry } from '../identity/registry.ts';
import { RegistryLink } from '../identity/registry-link.ts';
import { ifMissing } from '../lib/system-errors.ts';
import { limits } from '../limits.ts';
import { StoreLock } from '../store/lock.ts';
import { Log } from '../store/log.ts';
import { realFiles } from '../store/real-files.ts';
import { JournalDamaged, StoreInUse } from '../store/store-errors.ts';
import type { Address, Connection, MessageOf } from '../wire/index.ts';
import type { JoinChannel } from '../wire/join-channel.ts';

export interface RegistryKeeperOptions {
  /** The home folder. */
  folder: string;
  pool: PoolInfo;
  poolKey: KeyObject;
  own: { key: string; name: string; machine: string };
  roster: LiveRoster;
  addresses: () => Address[];
  /** Keys that are linked to the tracker now. */
  linkedNow: () => ReadonlySet<string>;
  say: (line: string) => void;
  onJoined: (line: string) => void;
  broken: (error: unknown) => void;
}

const auditSegmentBytes = 8 * 1024 * 1024;
const minuteMs = 60_000;

export class RegistryKeeper {
  readonly audit: Audit;
  readonly #o: RegistryKeeperOptions;
  readonly #folder: string;
  readonly #lock: StoreLock;
  readonly #log: Log;
  readonly #auditLog: Log;
  /** Decides and keeps; asked by links, and by who sits in this process. */
  readonly registry: Registry;
  readonly #joining: Joining;
  readonly #seen = new LastSeen();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RegistryKeeperOptions) {
    this.#o = options;
    const { pool, poolKey, own, roster, say, broken, addresses } = options;
    this.#folder = join(options.folder, 'registry');
    this.#lock = new StoreLock(this.#folder);
    this.#log = new Log(realFiles, { directory: join(this.#folder, 'journal') });
    this.#auditLog = new Log(realFiles, { directory: join(this.#folder, 'audit'), segmentBytesMax: auditSegmentBytes });
    this.audit = new Audit({ log: this.#auditLog, failed: (error) => say(`the audit could not be written, and is not until the tracker is started again: ${causeText(error)}`) });
    this.registry = new Registry({ pool: pool.pool, poolKey, own, roster, log: this.#log, audit: this.audit, say, broken });
    this.#joining = new Joining({
      poolKey,
      poolName: pool.name,
      registry: this.registry,
      roster,
      addresses,
      onRefused: (address, why) => this.refused(address, `join: ${why}`),
      onJoined: (name, role, address) => options.onJoined(`${name} joined as ${role}, from ${address}`),
    });
  }

  /** Resolves when the roster is in force. Throws PotluckError `store_in_use`, `store_damaged`, JournalTooNew, JournalFailed. */
  async start(): Promise<void> {
    this.#takeLock();
    try {
      await this.#read(this.#log, 'journal', (record) => this.registry.replay(record));
      await this.#read(this.#auditLog, 'audit', (record) => this.audit.replay(record));
      this.#seen.load(await readFile(this.#seenPath, 'utf8').catch(ifMissing('')));
      await this.registry.start();
    } catch (error) {
      this.#lock.release();
      throw error;
    }
    this.#timer = setInterval(() => void this.#everyMinute().catch(this.#o.broken), minuteMs).unref();
  }

  #takeLock(): void {
    try {
      this.#lock.acquire();
    } catch (error) {
      if (!(error instanceof StoreInUse)) throw error;
      const who = error.pid === undefined ? 'another process' : `process ${error.pid}`;
      throw new PotluckError('store_in_use', `the tracker of this pool runs already, as ${who}`, { why: 'a pool has one tracker', fix: 'use it, or stop it first; a pool of its own needs another POTLUCK_HOME', cause: error });
    }
  }

  async #read(log: Log, name: string, replay: (record: Uint8Array) => void): Promise<void> {
    try {
      await log.open(replay);
    } catch (error) {
      if (!(error instanceof JournalDamaged)) throw error;
      const lost = name === 'audit' ? 'what was observed until now is not shown any more, and nothing else is lost' : 'members are taken from the roster, open invitations are not';
      throw new PotluckError('store_damaged', error.message, { why: error.reason, fix: `put ${join(this.#folder, name)} back from a copy, or move it away: ${lost}`, cause: error });
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.registry.stop();
    await this.audit.write();
    await this.#keepSeen();
    await this.#log.close();
    await this.#auditLog.close();
    this.#lock.release();
  }

  /** Somebody who speaks the protocol of joining. */
  welcome(channel: JoinChannel): void {
    // A stranger who finds a fault in this must not be able to stop the tracker by it.
    this.#joining.welcome(channel).catch((error: unknown) => this.#o.say(`joining failed, by a fault in potluck itself: ${error instanceof Error ? error.stack : causeText(error)}`));
  }

  /** A link of a member's client, on which it said hello. */
  accept(connection: Connection): void {
    const { roster, addresses, linkedNow, broken } = this.#o;
    new RegistryLink(connection, {
      registry: this.registry,
      roster,
      audit: this.audit,
      addresses,
      linkedNow,
      lastSeen: (key) => this.#seen.of(key),
      onRefused: (key, what) => this.audit.observed({ what: 'refused', key, detail: `its role does not allow ${what}`, count: 1 }),
      broken,
    }).start();
  }

  /** A member was linked just now, or until just now. */
  seen(key: string): void {
    this.#seen.seen(key);
  }

  /** Somebody at the door was turned away. */
  refused(address: string, why: string): void {
    this.audit.observed({ what: 'refused', detail: `${why}, from ${address}`, count: 1 });
  }

  /** What a peer reports. */
  reported({ events }: MessageOf<'audit'>, key: string, peer: string): void {
    for (const event of events) this.audit.observed(event, key, peer);
  }

  async #everyMinute(): Promise<void> {
    for (const key of this.#o.linkedNow()) this.seen(key);
    await this.#keepSeen();
    const segments = this.#auditLog.segments();
    let bytes = this.#auditLog.bytes;
    for (const { lastSeq, bytes: size } of segments.slice(0, -1)) {
      if (bytes <= limits.auditBytesMax) break;
      await this.#auditLog.dropSegmentsBefore(lastSeq + 1);
      bytes -= size;
    }
  }

  async #keepSeen(): Promise<void> {
    const text = this.#seen.toText();
    if (text === undefined) return;
    await replaceFile(this.#seenPath, text).catch((error: unknown) => this.#o.say(`when members were seen could not be written down: ${causeText(error)}`));
  }

  get #seenPath(): string {
    return join(this.#folder, 'seen.json');
  }
}
