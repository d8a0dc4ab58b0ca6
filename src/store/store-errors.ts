/**
 * What the store can find wrong. `code` is stable; who must act and what they
 * should do is in each message.
 */

/** The journal holds bytes that no interrupted write explains. Nothing was changed. */
export class JournalDamaged extends Error {
  readonly code = 'journal_damaged';
  readonly segment: string;
  readonly offset: number;
  readonly reason: string;

  /** `segment`: path of the file; `offset`: bytes into it. */
  constructor(segment: string, offset: number, reason: string) {
    super(`the journal is damaged: ${segment}, byte ${offset}: ${reason}; run \`potluck journal repair\``);
    this.name = 'JournalDamaged';
    this.segment = segment;
    this.offset = offset;
    this.reason = reason;
  }
}

/** The journal was written by a newer version. Nothing was changed. */
export class JournalTooNew extends Error {
  readonly code = 'journal_too_new';
  readonly segment: string;
  readonly version: number;

  constructor(segment: string, version: number, supported: number) {
    super(`${segment} has journal format ${version}; this version reads up to ${supported}; install the newer potluck`);
    this.name = 'JournalTooNew';
    this.segment = segment;
    this.version = version;
  }
}

/** A write or flush failed. This log object is of no further use: open a new one and replay. */
export class JournalFailed extends Error {
  readonly code = 'journal_failed';

  constructor(directory: string, cause: unknown) {
    super(`the journal in ${directory} could not be written: ${messageOf(cause)}`, { cause });
    this.name = 'JournalFailed';
  }
}

/** Another process holds the store. `pid` is undefined if it did not say who it is. */
export class StoreInUse extends Error {
  readonly code = 'store_in_use';
  readonly pid: number | undefined;
  readonly directory: string;

  constructor(directory: string, pid: number | undefined) {
    super(`${directory} is in use by ${pid === undefined ? 'another process' : `process ${pid}`}`);
    this.name = 'StoreInUse';
    this.pid = pid;
    this.directory = directory;
  }
}

/** A stored value is missing or is no longer what its name says. */
export class BlobDamaged extends Error {
  readonly code = 'blob_damaged';
  readonly hash: string;

  constructor(hash: string, reason: string) {
    super(`stored value ${hash} is ${reason}`);
    this.name = 'BlobDamaged';
    this.hash = hash;
  }
}

/** History cannot be searched; tasks and the journal are not affected. */
export class HistoryUnavailable extends Error {
  readonly code = 'history_unavailable';

  constructor(cause: unknown) {
    super(`history is unavailable: ${messageOf(cause)}; it is rebuilt at the next start`, { cause });
    this.name = 'HistoryUnavailable';
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
