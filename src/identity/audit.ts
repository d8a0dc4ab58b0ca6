/**
 * The pool's audit: what changed in the registry, and what was observed beside it (refusals, changed
 * policies, foreign tasks started).
 *
 * Owns: gathering observations and answering from the newest lines. Changes of the registry are its own
 * records, in its own log; here they are only told (auditRowOf).
 *
 * Invariants
 * 1. What is alike is counted for a few seconds and then written as one line, and what goes on and on in ever
 *    longer stretches, up to an hour: neither a flood nor patience makes many lines.
 * 2. What one key reports can push out neither the changes of the registry, which are kept elsewhere and
 *    for good, nor what others report in the same seconds.
 */
import * as z from 'zod';
import { limits } from '../limits.ts';
import type { AuditEvent } from '../wire/messages.ts';
import type { RegistryRecord } from './registry-records.ts';

/** Where observations are kept. `append` only buffers; `flush` makes durable. One flush at a time. */
export interface AuditLog {
  append(record: Uint8Array): number;
  flush(): Promise<number>;
}

const rowSchema = z.object({
  atWall: z.number(),
  what: z.string().max(40),
  /** The key that did it, or that it happened to. */
  key: z.string().max(64).optional(),
  detail: z.string().max(500),
  count: z.number().int().min(1),
});
export type AuditRow = z.infer<typeof rowSchema>;

export interface AuditOptions {
  log: AuditLog;
  /** The disk did not keep observations: said once, and the tracker goes on. */
  failed: (error: unknown) => void;
}

/** Something that was observed, as often as `row.count` says, since it was last written. */
interface Gathered {
  readonly row: AuditRow;
  readonly reporter: string;
}

/** When an observation of this kind may be written again. */
interface Pace {
  windowMs: number;
  /** Of the monotonic clock. */
  dueAt: number;
}

export class Audit {
  readonly #o: AuditOptions;
  /** Oldest first. */
  readonly #rows: AuditRow[] = [];
  /** By kind: who reports what about whom. */
  readonly #gathered = new Map<string, Gathered>();
  readonly #kindsOf = new Map<string, number>();
  readonly #paces = new Map<string, Pace>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(options: AuditOptions) {
    this.#o = options;
  }

  /** A record of the log of observations, when it is read at the start. */
  replay(bytes: Uint8Array): void {
    const row = rowSchema.safeParse(JSON.parse(Buffer.from(bytes).toString()));
    if (row.success) this.#add(row.data);
  }

  /** A change of the registry, when it is read at the start or has become durable. */
  changed(record: RegistryRecord): void {
    this.#add(auditRowOf(record));
  }

  /** @param key the member that reports it; undefined: the tracker itself saw it */
  observed(event: AuditEvent, key?: string, by = ''): void {
    const detail = by === '' ? event.detail : `${by}: ${event.detail}`;
    this.#gather(key ?? '', { atWall: Date.now(), what: event.what, ...(event.key === undefined ? {} : { key: event.key }), detail, count: event.count });
    this.#plan();
  }

  #gather(reporter: string, row: AuditRow): void {
    const kind = JSON.stringify([reporter, row.what, row.key, row.detail]);
    const most = reporter === '' ? limits.auditKindsMax : limits.auditKindsPerKeyMax;
    const fits = this.#gathered.has(kind) || ((this.#kindsOf.get(reporter) ?? 0) < most && this.#gathered.size < 2 * limits.auditKindsMax);
    if (fits) this.#count(kind, reporter, row);
    else this.#count(JSON.stringify(['rest', row.what]), 'rest', { atWall: row.atWall, what: row.what, detail: 'others, too many kinds to be listed', count: row.count });
  }

  #count(kind: string, reporter: string, row: AuditRow): void {
    const known = this.#gathered.get(kind);
    if (known !== undefined) {
      known.row.count += row.count;
      return;
    }
    this.#gathered.set(kind, { row, reporter });
    this.#kindsOf.set(reporter, (this.#kindsOf.get(reporter) ?? 0) + 1);
  }

  #plan(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#writeDue();
      if (this.#gathered.size > 0) this.#plan();
    }, limits.auditGatherMs).unref();
  }

  /** What comes again and again is written less and less often: somebody who was put out may knock for weeks. */
  #writeDue(now = performance.now()): Promise<void> {
    const due: string[] = [];
    for (const kind of this.#gathered.keys()) if ((this.#paces.get(kind)?.dueAt ?? 0) <= now) due.push(kind);
    for (const [kind, pace] of this.#paces) if (pace.dueAt + pace.windowMs < now) this.#paces.delete(kind);
    for (const kind of due) this.#slowDown(kind, now);
    return this.#write(due);
  }

  #slowDown(kind: string, now: number): void {
    const windowMs = Math.min(limits.auditGatherMsMax, 2 * (this.#paces.get(kind)?.windowMs ?? limits.auditGatherMs / 2));
    this.#paces.delete(kind);
    this.#paces.set(kind, { windowMs, dueAt: now + windowMs });
    const [oldest] = this.#paces.keys();
    if (this.#paces.size > 4 * limits.auditKindsMax) this.#paces.delete(oldest!);
  }

  /** Writes all that was gathered. Resolves when it is on disk, or the disk has failed. */
  write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#write([...this.#gathered.keys()]);
  }

  #write(kinds: readonly string[]): Promise<void> {
    const rows = kinds.map((kind) => this.#take(kind));
    for (const row of rows) this.#add(row);
    if (rows.length > 0) this.#writing = this.#writing.then(() => this.#keep(rows));
    return this.#writing;
  }

  #take(kind: string): AuditRow {
    const { row, reporter } = this.#gathered.get(kind)!;
    this.#gathered.delete(kind);
    const left = this.#kindsOf.get(reporter)! - 1;
    if (left === 0) this.#kindsOf.delete(reporter);
    else this.#kindsOf.set(reporter, left);
    return row;
  }

  async #keep(rows: readonly AuditRow[]): Promise<void> {
    if (this.#failed) return;
    try {
      for (const row of rows) this.#o.log.append(Buffer.from(JSON.stringify(row)));
      await this.#o.log.flush();
    } catch (error) {
      this.#failed = true;
      this.#o.failed(error);
    }
  }

  /** The newest lines, newest first, with what is gathered and not written yet. */
  rows(limit: number): AuditRow[] {
    const gathered = [...this.#gathered.values()].map(({ row }) => ({ ...row }));
    return [...this.#rows, ...gathered].toReversed().toSorted((a, b) => b.atWall - a.atWall).slice(0, limit);
  }

  #add(row: AuditRow): void {
    this.#rows.push(row);
    // Twice as many, so that it is not moved at every line.
    if (this.#rows.length > 2 * limits.auditRowsMax) this.#rows.splice(0, limits.auditRowsMax);
  }
}

/** The line of the audit that a record of the registry is. */
function auditRowOf(record: RegistryRecord): AuditRow {
  const { atWall } = record;
  switch (record.type) {
    case 'founded':
      return { atWall, what: 'founded', key: record.tracker, detail: `the tracker on ${record.machine} is an admin; roster ${record.number}${record.outrun === true ? '; the registry was an old copy: members as peers knew them, open invitations ended' : ''}`, count: 1 };
    case 'invited':
      return { atWall, what: 'invited', key: record.by, detail: `invitation ${record.id}: ${record.joins === 1 ? '1 join' : `${record.joins} joins`} as ${record.role}${record.name === undefined ? '' : ` ${record.name}`}, until ${new Date(record.expiresWall).toISOString()}`, count: 1 };
    case 'joined':
      return { atWall, what: 'joined', key: record.key, detail: `${record.name} as ${record.role}, from ${record.address}, by invitation ${record.invitation}; roster ${record.number}`, count: 1 };
    case 'invitation_revoked':
      return { atWall, what: 'invitation_revoked', key: record.by, detail: `invitation ${record.id}`, count: 1 };
    case 'revoked':
      return { atWall, what: 'revoked', key: record.by, detail: `${record.name}, key ${record.key.slice(0, 16)}${record.invitations.length === 0 ? '' : `, with invitation ${record.invitations.join(', ')}`}; roster ${record.number}`, count: 1 };
  }
}
