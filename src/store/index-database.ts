/**
 * The history's SQLite file. Owns its schema and every statement; runs in the
 * history's thread (index-worker.ts), where its blocking hurts nobody.
 *
 * Everything in it can be made again from the journal. So a file that is missing,
 * damaged or of another schema, also a newer one, is dropped and begun again.
 *
 * Invariants:
 * 1. `appliedSeq` changes in the transaction that adds the rows: after any crash
 *    the two agree. (WAL with synchronous=NORMAL can lose the latest transactions
 *    in a power cut, never part of one. OFF would be faster and could leave a file
 *    that is damaged without showing it.)
 * 2. A row is served only if its check holds: a changed bit is an error, not an answer.
 */
import { chmodSync, existsSync, statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { codeOf } from '../lib/system-errors.ts';
import Database from 'libsql';
import { removeIndex } from './index-file.ts';
import type { Batch, HistoryEntry, HistoryFilter, HistoryPage, HistoryQuery, HistoryRow, OpenedIndex, PrunedEntry } from './index-messages.ts';

const SCHEMA_VERSION = 3;

/** Up to this size the whole file is looked through at the start; that takes about 0.1 s. */
const LOOKED_THROUGH_BYTES_MAX = 64 * 1024 * 1024;

/** Rows deleted per transaction, so that a search waits for one step and not for all. */
const DROP_STEP_ROWS = 5000;

const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('appliedSeq', 0);
  CREATE TABLE task (
    id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, peer TEXT, attempt INTEGER NOT NULL, language TEXT NOT NULL,
    function TEXT NOT NULL, program TEXT NOT NULL, submitter TEXT, accepted_at REAL NOT NULL, ended_at REAL NOT NULL,
    queued_ms REAL NOT NULL, run_ms REAL, error TEXT, seq INTEGER NOT NULL,
    record BLOB NOT NULL, record_crc INTEGER NOT NULL, row_crc INTEGER NOT NULL
  );
  CREATE INDEX task_accepted ON task (accepted_at, seq);
  CREATE INDEX task_state ON task (state, accepted_at, seq);
  CREATE INDEX task_peer ON task (peer, accepted_at, seq);
  CREATE INDEX task_submitter ON task (submitter, accepted_at, seq) WHERE submitter IS NOT NULL;
  CREATE INDEX task_seq ON task (seq);
  CREATE TABLE pruned (id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, state TEXT NOT NULL, ended_at REAL NOT NULL, seq INTEGER NOT NULL, row_crc INTEGER NOT NULL);
  CREATE INDEX pruned_seq ON pruned (seq);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

const COLUMNS = [
  'id', 'state', 'peer', 'attempt', 'language', 'function', 'program', 'submitter', 'accepted_at', 'ended_at',
  'queued_ms', 'run_ms', 'error', 'seq', 'record_crc', 'row_crc',
] as const;
const ENTRY = COLUMNS.join(', ');

interface StoredEntry {
  id: string;
  state: string;
  peer: string | null;
  attempt: number;
  language: string;
  function: string;
  program: string;
  submitter: string | null;
  accepted_at: number;
  ended_at: number;
  queued_ms: number;
  run_ms: number | null;
  error: string | null;
  seq: number;
  record_crc: number;
  row_crc: number;
}

const PRUNED = 'id, digest, state, ended_at, seq, row_crc';

interface StoredPruned {
  id: string;
  digest: string;
  state: string;
  ended_at: number;
  seq: number;
  row_crc: number;
}

export class IndexDatabase {
  readonly #path: string;
  #database: Database.Database | undefined;
  readonly #statements = new Map<string, Database.Statement>();
  #rows = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file, or drops it and begins a new one. */
  open(): OpenedIndex {
    let reason = existsSync(this.#path) ? undefined : 'it did not exist';
    if (reason === undefined) reason = this.#tryOpen();
    if (reason !== undefined) {
      this.drop();
      this.#connect();
      this.#db.exec(SCHEMA);
    }
    this.#rows = this.#number('SELECT count(*) AS n FROM task');
    const appliedSeq = this.#number("SELECT value AS n FROM meta WHERE name = 'appliedSeq'");
    return reason === undefined ? { appliedSeq, rebuilt: false } : { appliedSeq, rebuilt: true, reason };
  }

  /** Adds the rows, replacing those of the same id, in one transaction. */
  apply(batch: Batch): void {
    this.#transaction(() => {
      const values = `(${ENTRY}, record) VALUES (${'?, '.repeat(COLUMNS.length)}?)`;
      const add = this.#statement(`INSERT OR IGNORE INTO task ${values}`);
      const replace = this.#statement(`REPLACE INTO task ${values}`);
      let from = 0;
      let added = 0;
      for (const [at, entry] of batch.entries.entries()) {
        const to = batch.ends[at] ?? from;
        const record = Buffer.from(batch.records.buffer, batch.records.byteOffset + from, to - from);
        const recordCrc = crc32(record);
        const row = [...valuesOf(entry), recordCrc, rowCrc(entry, recordCrc), record];
        if (add.run(row).changes === 1) added += 1;
        else replace.run(row);
        from = to;
      }
      added -= this.#applyPruned(batch.pruned);
      this.#statement("UPDATE meta SET value = ? WHERE name = 'appliedSeq'").run(batch.appliedSeq);
      return added;
    });
  }

  /** Returns how many rows went. A row made from a later record than the pruning is another task's. */
  #applyPruned(entries: readonly PrunedEntry[]): number {
    let gone = 0;
    const add = this.#statement(`REPLACE INTO pruned (${PRUNED}) VALUES (?, ?, ?, ?, ?, ?)`);
    const remove = this.#statement('DELETE FROM task WHERE id = ? AND seq < ?');
    for (const entry of entries) {
      add.run([...prunedValues(entry), prunedCrc(entry)]);
      gone += remove.run([entry.id, entry.seq]).changes;
    }
    return gone;
  }

  getPruned(id: string): PrunedEntry | undefined {
    const stored = this.#statement(`SELECT ${PRUNED} FROM pruned WHERE id = ?`).get(id) as StoredPruned | undefined;
    if (stored === undefined) return undefined;
    const { digest, state, ended_at: endedAt, seq } = stored;
    const entry = { id: stored.id, digest, state, endedAt, seq };
    if (entry.id !== id || prunedCrc(entry) !== stored.row_crc) throw new IndexDamaged(id);
    return entry;
  }

  get(id: string): HistoryRow | undefined {
    const stored = this.#statement(`SELECT ${ENTRY}, record FROM task WHERE id = ?`).get(id) as (StoredEntry & { record: Uint8Array }) | undefined;
    if (stored === undefined) return undefined;
    const entry = entryOf(stored);
    if (entry.id !== id || crc32(stored.record) !== stored.record_crc) throw new IndexDamaged(id);
    return { ...entry, record: new Uint8Array(stored.record) };
  }

  query(query: HistoryQuery): HistoryPage {
    const { where, values } = conditionsOf(query);
    const found = this.#statement(`SELECT ${ENTRY} FROM task${where} ORDER BY accepted_at DESC, seq DESC LIMIT ? OFFSET ?`).all(...values, query.limit, query.offset ?? 0) as StoredEntry[];
    const rows = found.map(entryOf);
    return { rows, total: this.count(query) };
  }

  /** How many rows match. */
  count(filter: HistoryFilter): number {
    const { where, values } = conditionsOf(filter);
    return where === '' ? this.#rows : this.#number(`SELECT count(*) AS n FROM task${where}`, ...values);
  }

  /** Deletes at most one step's rows of those made from older records; 0 when nothing is left to delete. */
  dropStep(beforeSeq: number): number {
    let rows = 0;
    for (const name of ['task', 'pruned']) {
      this.#transaction(() => {
        const { changes } = this.#statement(`DELETE FROM ${name} WHERE rowid IN (SELECT rowid FROM ${name} WHERE seq < ? LIMIT ?)`).run(beforeSeq, DROP_STEP_ROWS);
        rows += changes;
        return name === 'task' ? -changes : 0;
      });
    }
    return rows;
  }

  close(): void {
    this.#statements.clear();
    this.#database?.close();
    this.#database = undefined;
  }

  /** Removes the file, so that the next open begins a new one. */
  drop(): void {
    this.close();
    removeIndex(this.#path);
  }

  get #db(): Database.Database {
    if (this.#database === undefined) throw new Error('the index is not open');
    return this.#database;
  }

  #connect(): void {
    this.#database = new Database(this.#path);
    // It holds results. SQLite gives the files that it makes beside it the same mode.
    chmodSync(this.#path, 0o600);
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
  }

  /** Why the file cannot be used, or undefined if it can. */
  #tryOpen(): string | undefined {
    try {
      this.#connect();
      const version = this.#number('SELECT user_version AS n FROM pragma_user_version');
      if (version !== SCHEMA_VERSION) return `it has schema ${version} and this version makes ${SCHEMA_VERSION}`;
      this.#statement(`SELECT ${ENTRY}, record FROM task LIMIT 1`);
      if (statSync(this.#path).size > LOOKED_THROUGH_BYTES_MAX) return undefined;
      const [verdict] = this.#statement('PRAGMA integrity_check(1)').all() as { integrity_check: string }[];
      return verdict?.integrity_check === 'ok' ? undefined : `it is damaged: ${verdict?.integrity_check ?? 'no verdict'}`;
    } catch (error) {
      if (isDamage(error)) return `it is damaged: ${error.message}`;
      if (error instanceof Error && codeOf(error) === 'SQLITE_ERROR') return `it is another database: ${error.message}`;
      throw error;
    }
  }

  /** `work` returns by how much it changed the number of rows. */
  #transaction(work: () => number): void {
    this.#db.exec('BEGIN IMMEDIATE');
    let change: number;
    try {
      change = work();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
    this.#rows += change;
  }

  #number(sql: string, ...values: (string | number)[]): number {
    return (this.#statement(sql).get(...values) as { n: number }).n;
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** A row is not what was stored. */
export class IndexDamaged extends Error {
  constructor(id: string) {
    super(`the row of task ${id} is damaged`);
    this.name = 'IndexDamaged';
  }
}

/** Whether the error says that the file's bytes are wrong, so that making it again helps. */
export function isDamage(error: unknown): error is Error {
  if (error instanceof IndexDamaged) return true;
  const code = codeOf(error);
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
}

function conditionsOf(query: HistoryFilter): { where: string; values: (string | number)[] } {
  const conditions: string[] = [];
  const values: (string | number)[] = [];
  const add = (condition: string, value: string | number | undefined): void => {
    if (value === undefined) return;
    conditions.push(condition);
    values.push(value);
  };
  const addList = (column: string, list: readonly string[] | undefined): void => {
    if (list === undefined) return;
    conditions.push(`${column} IN (${list.map(() => '?').join(', ')})`);
    values.push(...list);
  };
  add('state = ?', query.state);
  add('peer = ?', query.peer);
  if (query.submitter === null) conditions.push('submitter IS NULL');
  else add('submitter = ?', query.submitter);
  add('accepted_at >= ?', query.since);
  add('accepted_at < ?', query.before);
  addList('state', query.states);
  addList('id', query.ids);
  const { contentOf = null } = query;
  const isReaders = contentOf === null ? 'submitter IS NULL' : 'submitter = ?';
  const reader = contentOf === null ? [] : [contentOf];
  if (query.program !== undefined) {
    conditions.push(`program LIKE ? ESCAPE '\\' AND ${isReaders}`);
    values.push(`${literal(query.program)}%`, ...reader);
  }
  if (query.retried === true) conditions.push('attempt > 1');
  if (query.text !== undefined) {
    const like = (...columns: string[]) => columns.map((column) => `${column} LIKE ? ESCAPE '\\'`).join(' OR ');
    const word = `%${literal(query.text)}%`;
    conditions.push(`(${like('id', 'peer')} OR (${isReaders} AND (${like('function', 'error')})))`);
    values.push(word, word, ...reader, word, word);
  }
  return { where: conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`, values };
}

/** For LIKE: signs that would stand for others stand for themselves. */
const literal = (text: string): string => text.replaceAll(/[\\%_]/g, (sign) => `\\${sign}`);

function valuesOf(entry: HistoryEntry): (string | number | null)[] {
  const values = [
    entry.id, entry.state, entry.peer, entry.attempt, entry.language, entry.function, entry.program, entry.submitter,
    entry.acceptedAt, entry.endedAt, entry.queuedMs, entry.runMs, entry.error, entry.seq,
  ];
  return values.map((value) => (typeof value === 'string' ? storable(value) : value));
}

/**
 * As it will be read back. A task's own words may hold half a surrogate pair, which
 * has no UTF-8, or the character NUL, at which libsql cuts a text off.
 */
function storable(text: string): string {
  if (!/[\0\p{Surrogate}]/u.test(text)) return text;
  return Buffer.from(text.replaceAll('\0', '\u2400')).toString();
}

const prunedValues = ({ id, digest, state, endedAt, seq }: PrunedEntry): (string | number)[] => [id, digest, state, endedAt, seq];

const prunedCrc = (entry: PrunedEntry): number => crc32(JSON.stringify(prunedValues(entry)));

function rowCrc(entry: HistoryEntry, recordCrc: number): number {
  return crc32(JSON.stringify(valuesOf(entry)), recordCrc);
}

function entryOf(stored: StoredEntry): HistoryEntry {
  const entry: HistoryEntry = {
    id: stored.id,
    state: stored.state,
    peer: stored.peer,
    attempt: stored.attempt,
    language: stored.language,
    function: stored.function,
    program: stored.program,
    submitter: stored.submitter,
    acceptedAt: stored.accepted_at,
    endedAt: stored.ended_at,
    queuedMs: stored.queued_ms,
    runMs: stored.run_ms,
    error: stored.error,
    seq: stored.seq,
  };
  if (rowCrc(entry, stored.record_crc) !== stored.row_crc) throw new IndexDamaged(entry.id);
  return entry;
}
