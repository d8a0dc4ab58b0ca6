/** The index's files on disk. */
import { rmSync } from 'node:fs';

/**
 * Removes the index; the next start makes it from the journal. For a damaged one,
 * and before the journal is repaired: afterwards its numbers mean other records.
 */
export function removeIndex(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(path + suffix, { force: true });
}
