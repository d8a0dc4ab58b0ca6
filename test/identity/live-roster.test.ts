import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LiveRoster } from '../../src/identity/live-roster.ts';
import { openSeal, sealFromText, sealToText, type SealedRoster } from '../../src/identity/sealed-roster.ts';
import { folderOf, keyId, newAuthority, row } from '../helpers/rosters.ts';

const own = keyId('a');
const other = keyId('b');
const authority = newAuthority();
let parent: string;
let folder: string;
let said: string[];

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'potluck-roster-'));
  folder = await folderOf(join(parent, 'home'), authority);
  said = [];
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const open = (): Promise<LiveRoster> => new LiveRoster({ folder, ownKeyId: own, log: (line) => said.push(line) }).open();

describe('without a roster', () => {
  it('the own key is an admin and nobody else is anything', async () => {
    const roster = await open();
    expect([roster.roleOf(own), roster.roleOf(other), roster.number, roster.trackerKey, roster.confirmedMsAgo()]).toEqual(['admin', undefined, 0, own, 0]);
  });

  it('of a folder that has no pool yet, one is taken as soon as the pool is there', async () => {
    await rm(join(folder, 'pool.json'));
    const roster = await open();
    expect(await roster.take(authority.seal(1, [row(own)]))).toBe(false);
    await folderOf(folder, authority);
    expect(await roster.take(authority.seal(1, [row(own)]))).toBe(true);
  });
});

describe('a roster', () => {
  it('decides about every key, also the own one', async () => {
    const roster = await open();
    await roster.take(authority.seal(3, [row(other, { role: 'admin', name: 'laptop' }), row(own, { role: 'runner' }), row(keyId('c'), { state: 'revoked' })], other));
    expect([own, other, keyId('c'), keyId('d')].map((key) => roster.roleOf(key))).toEqual(['runner', 'admin', undefined, undefined]);
    expect([other, keyId('c')].map((key) => [roster.nameOf(key), roster.isRevoked(key)])).toEqual([['laptop', false], [undefined, true]]);
    expect(roster.trackerKey).toBe(other);
    expect(roster.problemOf(keyId('c'))).toMatchObject({ code: 'revoked' });
    expect(roster.problemOf(keyId('d'))).toMatchObject({ code: 'not_a_member' });
    expect(roster.problemOf(other)).toBeUndefined();
  });

  it('is told of once it is in force, and replaced only by a higher number', async () => {
    const roster = await open();
    const numbers: number[] = [];
    roster.onChange(() => numbers.push(roster.number));
    await Promise.all([2, 1, 4, 4, 3].map((number) => roster.take(authority.seal(number, [row(own)]))));
    expect(numbers).toEqual([2, 4]);
  });

  it('is found again after a restart, in files for the owner only, with the one before it', async () => {
    const roster = await open();
    for (const number of [1, 2, 3]) await roster.take(authority.seal(number, [row(own, { name: `n${number}` })]));
    expect((await readdir(join(folder, 'roster'))).toSorted()).toEqual(['2', '3']);
    expect((await stat(join(folder, 'roster', '3'))).mode & 0o777).toBe(0o600);
    expect((await open()).nameOf(own)).toBe('n3');
  });

  it('that is damaged on disk is passed over for the one before it', async () => {
    const roster = await open();
    for (const number of [1, 2]) await roster.take(authority.seal(number, [row(own)]));
    const path = join(folder, 'roster', '2');
    await writeFile(path, (await readFile(path, 'utf8')).replace('role\\":\\"member', 'role\\":\\"admin'));
    expect((await open()).number).toBe(1);
    await writeFile(path, '{"half');
    expect((await open()).number).toBe(1);
  });

  it('counts as confirmed since the tracker said so, also after a restart', async () => {
    const roster = await open();
    await roster.take(authority.seal(1, [row(own)]));
    expect(roster.confirmedMsAgo()).toBe(Infinity);
    roster.confirm();
    expect(roster.confirmedMsAgo()).toBeLessThan(1_000);
    await expect.poll(async () => (await open()).confirmedMsAgo()).toBeLessThan(10_000);
  });
});

describe('a roster that does not count', () => {
  const good = authority.seal(5, [row(own)]);
  const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));
  const bad: [string, SealedRoster][] = [
    ['of another pool', newAuthority().seal(5, [row(own)])],
    ['with another pool\'s key in place of its own', { ...newAuthority().seal(5, [row(own)]), pool_key: good.pool_key }],
    ['with one bit of its body altered', { ...good, body: flipped(good.body, 40) }],
    ['with one bit of its signature altered', { ...good, signature: flipped(good.signature, 3) }],
    ['with a number that it does not have', { ...good, number: 900 }],
    ['with a key that is none', { ...good, pool_key: new Uint8Array(44) }],
    ['with nothing in it', { ...good, body: new Uint8Array(), signature: new Uint8Array(), pool_key: new Uint8Array() }],
  ];
  it.each(bad)('%s changes nothing and is said', async (_, sealed) => {
    const roster = await open();
    expect(await roster.take(sealed)).toBe(false);
    expect([roster.number, said.length]).toEqual([0, 1]);
  });

  it('by any one bit of its text in the file is found', () => {
    const text = Buffer.from(sealToText(good));
    let accepted = 0;
    for (let at = 0; at < text.length; at += 1) {
      for (const bit of [0, 3, 6]) {
        const altered = Buffer.from(text);
        altered[at]! ^= 1 << bit;
        const sealed = sealFromText(altered.toString());
        const opened = sealed === undefined ? undefined : openSeal(sealed, authority.pool);
        // Spaces and base64's unused bits may change; what it says may not.
        if (opened !== undefined && 'body' in opened) {
          accepted += 1;
          expect(opened.body).toEqual((openSeal(good, authority.pool) as { body: unknown }).body);
        }
      }
    }
    expect(accepted).toBeLessThan(20);
  });
});
