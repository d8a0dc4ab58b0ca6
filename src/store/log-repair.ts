/**
 * What `potluck journal repair` does to a damaged log: keeps everything before the
 * first damage and sets the rest aside, unchanged, for whoever wants to look.
 *
 * The whole prefix is kept and nothing after it, because a record means something
 * only in order: a later one may rest on one that is lost. The caller holds the
 * store's lock and no open log.
 *
 * A crash in between leaves a log that is damaged still, and the repair can be run
 * again: later segments go first, the damaged one is replaced by one rename.
 */
import { join } from 'node:path';
import type { Files } from './files.ts';
import { Log } from './log.ts';
import { JournalDamaged } from './store-errors.ts';

const ASIDE = '.damaged';

export interface RepairReport {
  /** Undefined if there was nothing to repair. */
  damage: JournalDamaged | undefined;
  /** Records that remain. */
  records: number;
  /** Names of the files that now hold what was taken out. */
  setAside: string[];
}

/** Throws JournalTooNew, and JournalFailed if the disk does. */
export async function repairLog(files: Files, directory: string): Promise<RepairReport> {
  const damage = await damageOf(files, directory);
  const setAside = damage === undefined ? [] : await cutAt(files, directory, damage);
  const log = new Log(files, { directory });
  const { records } = await log.open(() => {});
  await log.close();
  return { damage, records, setAside };
}

async function damageOf(files: Files, directory: string): Promise<JournalDamaged | undefined> {
  const log = new Log(files, { directory });
  try {
    await log.open(() => {});
  } catch (error) {
    if (error instanceof JournalDamaged) return error;
    throw error;
  }
  await log.close();
  return undefined;
}

async function cutAt(files: Files, directory: string, damage: JournalDamaged): Promise<string[]> {
  const names = (await files.list(directory)).filter((name) => name.endsWith('.log')).toSorted();
  const from = names.findIndex((name) => join(directory, name) === damage.segment);
  const setAside: string[] = [];
  for (const name of names.slice(from + 1).toReversed()) {
    const aside = await freeName(files, directory, name);
    await files.rename(join(directory, name), join(directory, aside));
    await files.syncDirectory(directory);
    setAside.unshift(aside);
  }
  const damaged = names[from];
  if (damaged === undefined) return setAside;
  const aside = await freeName(files, directory, damaged);
  await copy(files, damage.segment, join(directory, aside));
  if (damage.offset === 0) {
    await files.remove(damage.segment);
  } else {
    await copy(files, damage.segment, `${damage.segment}.part`, damage.offset);
    await files.rename(`${damage.segment}.part`, damage.segment);
  }
  await files.syncDirectory(directory);
  return [aside, ...setAside];
}

/** What an earlier repair set aside stays. */
async function freeName(files: Files, directory: string, name: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const free = name + ASIDE + (n === 1 ? '' : `-${n}`);
    if ((await files.size(join(directory, free))) === undefined) return free;
  }
}

async function copy(files: Files, from: string, to: string, length?: number): Promise<void> {
  const source = await files.open(from);
  const target = await files.open(to);
  try {
    await target.truncate(0);
    await target.write(0, await source.read(0, length ?? (await source.size())));
    await target.sync();
  } finally {
    await source.close();
    await target.close();
  }
}
