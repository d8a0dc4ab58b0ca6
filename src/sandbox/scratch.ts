/**
 * Removing a folder that a task had: it may have closed it to everybody, itself included, or made a tree in
 * it that is deeper than a path can be long.
 */
import { execFile } from 'node:child_process';
import { chmod, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '../lib/system-errors.ts';

/** False when it stays: nobody depends on it, and the next start of the peer tries again. */
export async function removeFolder(path: string): Promise<boolean> {
  if (await tryRemove(path)) return true;
  await open(path);
  return (await tryRemove(path)) || (await removeDeep(path));
}

/** rm goes from folder to folder, and so comes to where no path leads. */
async function removeDeep(path: string): Promise<boolean> {
  try {
    await promisify(execFile)('rm', ['-rf', '--', path]);
    return true;
  } catch {
    return false; // what it says is what was said before
  }
}

async function tryRemove(path: string): Promise<boolean> {
  try {
    await rm(path, { recursive: true, force: true });
    return true;
  } catch (error) {
    if (REFUSALS.includes(codeOf(error))) return false;
    throw error;
  }
}

/** Makes a folder and those in it its owner's again. */
async function open(path: string): Promise<void> {
  try {
    await chmod(path, 0o700);
    const entries = await readdir(path, { withFileTypes: true });
    for (const entry of entries) if (entry.isDirectory()) await open(join(path, entry.name));
  } catch (error) {
    if (!REFUSALS.includes(codeOf(error))) throw error;
  }
}

/** Somebody else's, mounted, still being written to, or too deep. */
const REFUSALS = ['EACCES', 'EPERM', 'EBUSY', 'ENOTEMPTY', 'ENOENT', 'EROFS', 'ENAMETOOLONG'];
