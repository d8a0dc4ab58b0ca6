/**
 * What the store can find wrong, as errors of the catalogue (../errors.ts) that
 * also carry the place, for those who act on it.
 */
import { causeText, PotluckError } from '../errors.ts';

/** The journal holds bytes that no interrupted write explains. Nothing was changed. */
export class JournalDamaged extends PotluckError {
  override name = 'JournalDamaged';
  /** Path of the file. */
  readonly segment: string;
  /** Bytes into it. */
  readonly offset: number;
  readonly reason: string;

  constructor(segment: string, offset: number, reason: string) {
    super('store_damaged', `the journal is damaged at byte ${offset} of ${segment}`, {
      why: reason,
      fix: 'restore the folder from a copy, or see what can be saved: potluck journal repair',
    });
    this.segment = segment;
    this.offset = offset;
    this.reason = reason;
  }
}

/** The journal was written by a newer version. Nothing was changed. */
export class JournalTooNew extends PotluckError {
  override name = 'JournalTooNew';
  readonly segment: string;
  readonly version: number;

  constructor(segment: string, version: number, supported: number) {
    super('store_too_new', `${segment} was written by a newer potluck`, {
      why: `it has journal format ${version}, and this version reads up to ${supported}`,
      fix: 'install the newer version again',
    });
    this.segment = segment;
    this.version = version;
  }
}

/** A write or flush failed. The log object is of no further use: open a new one and replay. */
export class JournalFailed extends PotluckError {
  override name = 'JournalFailed';

  constructor(directory: string, cause: unknown) {
    super(diskCode(cause), `the journal in ${directory} could not be written`, diskDetails(cause));
  }
}

/** A large value could not be kept. Trying again is safe. */
export class BlobFailed extends PotluckError {
  override name = 'BlobFailed';
  readonly hash: string;

  constructor(hash: string, cause: unknown) {
    super(diskCode(cause), `the value ${hash} could not be written`, diskDetails(cause));
    this.hash = hash;
  }
}

/** Another process holds the store. */
export class StoreInUse extends PotluckError {
  override name = 'StoreInUse';
  readonly directory: string;
  /** Undefined if the holder has not written down who it is. */
  readonly pid: number | undefined;

  constructor(directory: string, pid: number | undefined) {
    const holder = pid === undefined ? 'another process' : `process ${pid}`;
    super('store_in_use', `the store in ${directory} is in use by ${holder}`, {
      why: 'a store belongs to one process at a time',
      fix: 'stop that process, or start this one under another name (--name)',
    });
    this.directory = directory;
    this.pid = pid;
  }
}

/** A stored value is missing or no longer what its name says. */
export class BlobDamaged extends PotluckError {
  override name = 'BlobDamaged';
  readonly hash: string;

  constructor(hash: string, path: string, reason: string) {
    super('store_damaged', `the stored value ${hash} is ${reason}`, { fix: `restore ${path} from a copy` });
    this.hash = hash;
  }
}

/** History cannot be searched. Tasks and the journal are not affected. */
export class HistoryUnavailable extends Error {
  override name = 'HistoryUnavailable';
  readonly code = 'history_unavailable';

  constructor(cause: unknown) {
    super(`history cannot be searched: ${causeText(cause)}`, { cause });
  }
}

function diskCode(cause: unknown): 'store_full' | 'store_failed' {
  return isDiskFull(cause) ? 'store_full' : 'store_failed';
}

function diskDetails(cause: unknown): { why: string; fix: string; cause: unknown } {
  const fix = isDiskFull(cause) ? 'free some space on that disk' : 'check that disk';
  return { why: causeText(cause), fix, cause };
}

function isDiskFull(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
