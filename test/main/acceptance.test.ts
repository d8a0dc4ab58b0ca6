/** What a peer's process makes of its owner's settings, and what it says about it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptanceFor, whyOnlyOwn } from '../../src/main/acceptance.ts';
import { Reports } from '../../src/main/reports.ts';
import type { LevelProbe } from '../../src/sandbox/levels.ts';
import type { ProvenLevel } from '../../src/main/box-proof.ts';
import type { AuditEvent } from '../../src/wire/index.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-acceptance-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const level = (reached: number): LevelProbe => ({ level: reached, cgroup: null, missing: 'bubblewrap is not installed', fix: 'apt install bubblewrap', walls: null }) as LevelProbe & ProvenLevel;
const trusting = { accept: 'members', trustMembers: true } as const;

describe('--trust-members', () => {
  it('is refused below the box where the pool\'s key lies, and nowhere else', () => {
    expect(acceptanceFor(trusting, folder, 'k', level(1), 1, 0)).toMatchObject({ trustMembers: true, level: 1 });
    writeFileSync(join(folder, 'pool.key'), '');
    expect(() => acceptanceFor(trusting, folder, 'k', level(1), 1, 0)).toThrowError(expect.objectContaining({ code: 'not_allowed' }));
    expect(acceptanceFor(trusting, folder, 'k', level(2), 2, 0)).toMatchObject({ level: 2 });
    expect(acceptanceFor({ accept: 'members', trustMembers: false }, folder, 'k', level(1), 1, 0)).toMatchObject({ trustMembers: false });
  });
});

describe('why only own tasks are taken', () => {
  it('comes with the one command that mends it', () => {
    expect(whyOnlyOwn({ accepts: 'members' }, level(2))).toBeUndefined();
    expect(whyOnlyOwn({ accepts: 'own', withheld: 'isolation' }, level(1))).toMatchObject({ problem: expect.stringContaining('isolation 1') as string, fix: 'apt install bubblewrap' });
    expect(whyOnlyOwn({ accepts: 'none', withheld: 'owner' }, level(2))?.fix).toBe('start it with --accept members');
    expect(whyOnlyOwn({ accepts: 'own', withheld: 'unconfirmed' }, level(2))?.problem).toMatch(/no tracker/);
  });
});

describe('reports for the audit', () => {
  it('wait for a link, counted and within a bound', () => {
    const sent: AuditEvent[][] = [];
    let isUp = false;
    const reports = new Reports(({ events }) => isUp && sent.push(events) > 0);
    for (let at = 0; at < 1_000; at += 1) {
      reports.add({ what: 'foreign_started', key: 'a', detail: 'x', count: 2 });
      reports.add({ what: 'refused', key: `k${at}`, detail: 'y', count: 1 });
    }
    reports.flush();
    expect(sent).toEqual([]);
    isUp = true;
    reports.flush();
    reports.flush();
    expect(sent).toHaveLength(1);
    expect(sent[0]).toHaveLength(64);
    expect(sent[0]?.[0]).toEqual({ what: 'foreign_started', key: 'a', detail: 'x', count: 2_000 });
  });
});
