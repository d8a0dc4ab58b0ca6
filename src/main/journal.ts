/**
 * Looking at and mending a peer's journal while the peer is stopped.
 *
 * The lock comes first, so that nobody writes meanwhile. `check` changes nothing. `repair` keeps what stands
 * before the first damage and sets the rest aside (store/log-repair.ts); the index is made anew afterwards,
 * because its numbers mean other records then.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PotluckError } from '../errors.ts';
import { removeIndex } from '../store/index-file.ts';
import { Log } from '../store/log.ts';
import { repairLog } from '../store/log-repair.ts';
import { StoreLock } from '../store/lock.ts';
import { StoreInUse } from '../store/store-errors.ts';
import { realFiles } from '../store/real-files.ts';

export interface JournalReport {
  peer: string;
  folder: string;
  /** Records of the log that are whole. */
  records: number;
  /** Bytes of an interrupted, never acknowledged write that were cut off the end. */
  cutBytes: number;
  /** What a repair took out, as files beside the journal. */
  setAside: string[];
  damage: string | null;
}

/** The peers that have a store in this folder. */
export function storesIn(homeFolder: string): string[] {
  const peers = join(homeFolder, 'peers');
  return existsSync(peers) ? readdirSync(peers).filter((name) => existsSync(join(peers, name, 'journal'))) : [];
}

/** Throws `store_in_use`, JournalDamaged, JournalTooNew. */
export async function checkJournal(homeFolder: string, peer: string): Promise<JournalReport> {
  return withStore(homeFolder, peer, async (folder) => {
    const log = new Log(realFiles, { directory: join(folder, 'journal') });
    const { records, cutBytes } = await log.open(() => undefined);
    await log.close();
    return { peer, folder, records, cutBytes, setAside: [], damage: null };
  });
}

/** Throws `store_in_use`, JournalTooNew, JournalFailed. */
export async function repairJournal(homeFolder: string, peer: string): Promise<JournalReport> {
  return withStore(homeFolder, peer, async (folder) => {
    removeIndex(join(folder, 'history.db'));
    const { damage, records, setAside } = await repairLog(realFiles, join(folder, 'journal'));
    return { peer, folder, records, cutBytes: 0, setAside, damage: damage === undefined ? null : damage.message };
  });
}

async function withStore<T>(homeFolder: string, peer: string, act: (folder: string) => Promise<T>): Promise<T> {
  const stores = storesIn(homeFolder);
  if (!stores.includes(peer)) {
    throw new PotluckError('usage', `there is no peer ${peer} in ${homeFolder}`, {
      why: stores.length === 0 ? 'no peer has a store there' : `it has ${stores.join(', ')}`,
      fix: 'give the name of one of them',
    });
  }
  const folder = join(homeFolder, 'peers', peer);
  const lock = new StoreLock(folder);
  try {
    lock.acquire();
  } catch (error) {
    if (!(error instanceof StoreInUse)) throw error;
    throw new PotluckError('store_in_use', `the journal of ${peer} is in use by ${error.pid === undefined ? 'another process' : `process ${error.pid}`}`, { why: 'it is looked at while its peer is stopped', fix: 'stop that process first' });
  }
  try {
    return await act(folder);
  } finally {
    lock.release();
  }
}
