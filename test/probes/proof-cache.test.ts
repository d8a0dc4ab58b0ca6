/** What is kept of a proof, and when it is not believed. */
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type BoxParts, fingerprintOf, isFresh, keepProof, provenAgoMs } from '../../src/probes/proof-cache.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-proof-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = () => join(folder, 'probes', 'proven.json');

describe('a proof', () => {
  it('is kept for the box that it is of, and for no other', () => {
    keepProof(folder, 'a');
    expect(isFresh(provenAgoMs(folder, 'a'))).toBe(true);
    expect(provenAgoMs(folder, 'b')).toBeUndefined();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
  });

  it('is not believed when another user could have written it', () => {
    keepProof(folder, 'a');
    chmodSync(file(), 0o620);
    expect(provenAgoMs(folder, 'a')).toBeUndefined();
  });

  it('is old after a day of uptime, and of no use from a later time', () => {
    keepProof(folder, 'a');
    const kept = JSON.parse(readFileSync(file(), 'utf8')) as { provenAtS: number };
    writeFileSync(file(), JSON.stringify({ ...kept, box: 'a', provenAtS: kept.provenAtS - limits.boxProofMs / 1000 }));
    expect(isFresh(provenAgoMs(folder, 'a'))).toBe(false);
    expect(provenAgoMs(folder, 'a')).toBeGreaterThan(0);
    writeFileSync(file(), JSON.stringify({ ...kept, box: 'a', provenAtS: kept.provenAtS + 1000 }));
    expect(provenAgoMs(folder, 'a')).toBeUndefined();
  });

  it.each(['', '{}', '[1]', '{"box":"a"}', '{"box":"a","provenAtS":"1"}', 'null'])('that reads %j is none', (text) => {
    keepProof(folder, 'a');
    writeFileSync(file(), text);
    expect(provenAgoMs(folder, 'a')).toBeUndefined();
  });
});

describe('a box', () => {
  const parts = (): BoxParts => {
    const path = join(folder, 'python3');
    copyFileSync('/bin/true', path);
    utimesSync(path, 1, 1);
    const walls = { bwrap: path, root: null, filter: Uint8Array.of(1, 2, 3), shown: ['/opt/python'], guestsFolder: folder };
    return { level: { level: 2, cgroup: null, walls, missing: '', fix: '', notes: [] }, interpreters: [{ language: 'python', path, version: '3.11.7', env: {} }], guestsFolder: folder };
  };

  it('is the same as long as nothing of it changed', () => {
    const box = parts();
    expect(fingerprintOf(box)).toBe(fingerprintOf(structuredClone(box)));
  });

  it('is another one with another filter, program, interpreter, guest or view', () => {
    const box = parts();
    const { level } = box;
    const walls = level.walls!;
    const others: BoxParts[] = [
      { ...box, level: { ...level, walls: { ...walls, filter: Uint8Array.of(1, 2, 4) } } },
      { ...box, level: { ...level, walls: { ...walls, bwrap: '/bin/false' } } },
      { ...box, level: { ...level, walls: { ...walls, shown: ['/home'] } } },
      { ...box, level: { ...level, cgroup: { version: 2, all: '/sys/fs/cgroup/x' } } },
      { ...box, interpreters: [{ ...box.interpreters[0]!, version: '3.12.0' }] },
      { ...box, interpreters: [] },
    ];
    const prints = [box, ...others].map(fingerprintOf);
    writeFileSync(join(folder, 'guest.py'), 'pass');
    prints.push(fingerprintOf(box));
    utimesSync(walls.bwrap, 2, 2);
    prints.push(fingerprintOf(box));
    expect(new Set(prints).size).toBe(prints.length);
  });
});
