/**
 * A private key in a file, made by whoever comes first.
 *
 * Owns: making and reading one Ed25519 key file (PKCS#8 PEM, mode 0600). The folder it lies in is
 * home-folder.ts.
 *
 * Invariants
 * 1. However many processes start at once, all end up with the same key: each writes a file of its
 *    own and links it to the name; the first link wins, the others read the winner's.
 * 2. Under its name the file is whole: it is written and flushed before it is linked.
 * 3. A file that others can read is not used, and one that is damaged is not replaced.
 */
import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { link, open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { causeText, PotluckError } from '../errors.ts';
import { codeOf, ifMissing } from '../lib/system-errors.ts';

/** The key in the file, made if there is none. Throws PotluckError `home_exposed`, `key_damaged`. */
export async function keyFromFile(path: string): Promise<KeyObject> {
  return (await readKey(path)) ?? (await makeKey(path));
}

async function readKey(path: string): Promise<KeyObject | undefined> {
  let pem: string;
  try {
    await refuseExposed(path, 0o600);
    pem = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) === 'EACCES') throw unreadable(path, error);
    throw error;
  }
  return parseKey(path, pem);
}

async function makeKey(path: string): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ed25519');
  await createOnce(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const winner = await readKey(path);
  if (winner === undefined) throw new PotluckError('key_damaged', `the key file ${path} vanished while it was made`);
  return winner;
}

/** Gives the file this content unless it exists already; never leaves half a file, whatever the umask. */
export async function createOnce(path: string, content: string): Promise<void> {
  const draft = await writeDraft(path, content);
  try {
    await link(draft, path).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft);
  }
}

/** Gives the file this content in place of what it had. The content is on disk under its name when this resolves. */
export async function replaceFile(path: string, content: string): Promise<void> {
  await rename(await writeDraft(path, content), path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** A file beside `path`, for the owner only, whole and flushed. */
async function writeDraft(path: string, content: string): Promise<string> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await unlink(draft).catch(ifMissing(undefined));
    throw error;
  }
  return draft;
}

function parseKey(path: string, pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw damaged(path, 'it holds no private key', error);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw damaged(path, `it holds a key of the kind ${key.asymmetricKeyType}, not Ed25519`);
  return key;
}

const damaged = (path: string, why: string, cause?: unknown): PotluckError =>
  new PotluckError('key_damaged', `the key file ${path} cannot be used`, {
    why,
    fix: `put it back from a copy; or move it away to get a new key, which the pool does not know yet`,
    cause,
  });

const unreadable = (path: string, cause: unknown): PotluckError =>
  new PotluckError('home_exposed', `${path} belongs to somebody else`, { why: causeText(cause), fix: 'set POTLUCK_HOME to a folder of your own', cause });

/** Throws PotluckError `home_exposed` if anybody but this user may use the file or folder. */
export async function refuseExposed(path: string, mode: 0o600 | 0o700): Promise<void> {
  const found = await stat(path);
  const self = process.getuid?.();
  if (self !== undefined && found.uid !== self) throw unreadable(path, new Error(`its owner is user ${found.uid}, this is user ${self}`));
  if ((found.mode & 0o077) === 0) return;
  throw new PotluckError('home_exposed', `other users of this machine can read ${path}`, {
    why: `its mode is ${(found.mode & 0o777).toString(8)}, and it holds the keys of your pool`,
    fix: `chmod ${mode.toString(8)} ${shellQuoted(path)}`,
  });
}

const shellQuoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
