import { spawn } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeFolderPath, openHomeFolder, openPool, readPool } from '../../src/identity/home-folder.ts';
import { keyIdOf } from '../../src/wire/key-id.ts';

let parent: string;
let home: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'potluck-home-'));
  home = join(parent, 'deep', 'home');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

/** A process that waits at the line, so that all of them run at the same moment. */
function starter(script: string): { ready: Promise<void>; go: () => void; result: Promise<string> } {
  const child = spawn(process.execPath, [script], { env: { ...process.env, POTLUCK_HOME: home }, stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  let isReady: () => void;
  const ready = new Promise<void>((resolve) => {
    isReady = resolve;
  });
  child.stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
    if (output.startsWith('ready ')) isReady();
  });
  const result = new Promise<string>((resolve, reject) => {
    child.on('close', (code) => (code === 0 ? resolve(output.slice('ready '.length)) : reject(new Error(`exit status ${code}`))));
  });
  return { ready, go: () => child.stdin.end('go'), result };
}

describe('the home folder', () => {
  it('is where POTLUCK_HOME says, else under the home directory', () => {
    expect(homeFolderPath({ POTLUCK_HOME: '/x/y' })).toBe('/x/y');
    expect(homeFolderPath({}).endsWith('/.potluck')).toBe(true);
    expect(homeFolderPath({ POTLUCK_HOME: '' }).endsWith('/.potluck')).toBe(true);
  });

  it.each([0o000, 0o022, 0o077, 0o277])('is made for its owner only under the umask %o, with a key that stays', async (umask) => {
    const before = process.umask(umask);
    try {
      const first = await openHomeFolder(home);
      await openPool(home, 'test');
      const again = await openHomeFolder(home);
      expect(again).toEqual(first);
      expect(await modeOf(home)).toBe('700');
      for (const file of ['member.key', 'pool.key', 'pool.json']) expect(await modeOf(join(home, file))).toBe('600');
      expect((await readdir(home)).toSorted()).toEqual(['member.key', 'pool.json', 'pool.key']);
    } finally {
      process.umask(before);
    }
  });

  it('gives a certificate that holds the key, names only its id, signs itself and is valid for all time', async () => {
    const { identity } = await openHomeFolder(home);
    const certificate = new X509Certificate(identity.certPem);
    expect(keyIdOf(certificate.publicKey)).toBe(identity.keyId);
    expect(certificate.verify(createPublicKey(identity.keyPem))).toBe(true);
    expect(certificate.subject).toBe(`CN=${identity.keyId}`);
    expect(certificate.issuer).toBe(certificate.subject);
    expect(certificate.validFrom).toContain('1970');
    expect(certificate.validTo).toContain('9999');
  });

  it('that others can read is refused with the command that mends it', async () => {
    await openHomeFolder(home);
    await chmod(home, 0o750);
    await expect(openHomeFolder(home)).rejects.toMatchObject({ code: 'home_exposed', fix: `chmod 700 ${home}` });
    await chmod(home, 0o700);
    await chmod(join(home, 'member.key'), 0o640);
    await expect(openHomeFolder(home)).rejects.toMatchObject({ code: 'home_exposed', fix: `chmod 600 ${join(home, 'member.key')}` });
  });

  it('that cannot be made is an error a person understands', async () => {
    await writeFile(join(parent, 'file'), '');
    await expect(openHomeFolder(join(parent, 'file', 'home'))).rejects.toMatchObject({ code: 'file_unreadable' });
  });

  it.each([
    ['empty', ''],
    ['half written', '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw'],
    ['of another kind', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ])('with a key file that is %s says so, and does not replace it', async (_, content) => {
    await openHomeFolder(home);
    const file = join(home, 'member.key');
    await writeFile(file, content);
    await expect(openHomeFolder(home)).rejects.toMatchObject({ code: 'key_damaged' });
    expect(await readFile(file, 'utf8')).toBe(content);
  });
});

describe('the pool', () => {
  it('is unknown before its tracker first started, then named by its key', async () => {
    await openHomeFolder(home);
    expect(await readPool(home)).toBeUndefined();
    const { pool: made } = await openPool(home, 'kitchen');
    expect(made.name).toBe('kitchen');
    expect((await openPool(home, 'other name')).pool).toEqual(made);
    expect(await readPool(home)).toEqual(made);
  });

  it('whose public file is damaged, or belongs to another key, is refused', async () => {
    await openHomeFolder(home);
    const { pool: made } = await openPool(home, 'kitchen');
    await writeFile(join(home, 'pool.json'), '{"pool":');
    await expect(readPool(home)).rejects.toMatchObject({ code: 'key_damaged' });
    await writeFile(join(home, 'pool.json'), JSON.stringify({ ...made, pool: '0'.repeat(64) }));
    await expect(openPool(home, 'kitchen')).rejects.toMatchObject({ code: 'key_damaged' });
  });
});

describe('processes that start at once on an empty folder', () => {
  it('end with one member key and one pool, 20 of them', async () => {
    const script = join(parent, 'start.mjs');
    const source = `
      import { openHomeFolder, openPool } from './src/identity/home-folder.ts';
      process.stdin.once('data', async () => {
        const { path, identity } = await openHomeFolder(process.env.POTLUCK_HOME);
        const { pool: { pool } } = await openPool(path, 'p');
        process.stdout.write(JSON.stringify([identity.keyId, pool]), () => process.exit());
      });
      process.stdout.write('ready ');
    `;
    await build({ stdin: { contents: source, resolveDir: process.cwd(), loader: 'ts' }, bundle: true, platform: 'node', format: 'esm', outfile: script, logLevel: 'error' });
    const starters = Array.from({ length: 20 }, () => starter(script));
    await Promise.all(starters.map((one) => one.ready));
    for (const one of starters) one.go();
    const ids = await Promise.all(starters.map((one) => one.result));
    expect(new Set(ids).size).toBe(1);
    const { identity } = await openHomeFolder(home);
    expect(ids[0]).toContain(identity.keyId);
    expect((await readdir(home)).toSorted()).toEqual(['member.key', 'pool.json', 'pool.key']);
  });
});
