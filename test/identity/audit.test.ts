import { describe, expect, it, vi } from 'vitest';
import { Audit, type AuditRow } from '../../src/identity/audit.ts';
import { limits } from '../../src/limits.ts';

interface Kept {
  audit: Audit;
  written: AuditRow[];
  failures: unknown[];
}

function newAudit({ failing = false } = {}): Kept {
  const written: AuditRow[] = [];
  const failures: unknown[] = [];
  let buffered: Uint8Array[] = [];
  const log = {
    append: (record: Uint8Array) => buffered.push(record),
    flush: async () => {
      if (failing) throw new Error('the disk is full');
      written.push(...buffered.map((record) => JSON.parse(Buffer.from(record).toString()) as AuditRow));
      buffered = [];
      return written.length;
    },
  };
  return { audit: new Audit({ log, failed: (error) => failures.push(error) }), written, failures };
}

const refused = (detail: string) => ({ what: 'refused' as const, detail, count: 1 });

describe('the audit', () => {
  it('of a flood has one line with a count, however many they were', async () => {
    const { audit, written } = newAudit();
    for (let at = 0; at < 10_000; at += 1) audit.observed(refused('unknown key, from 10.0.0.1'));
    audit.observed(refused('plain text, from 10.0.0.2'));
    await audit.write();
    expect(written.map(({ detail, count }) => [detail, count])).toEqual([['unknown key, from 10.0.0.1', 10_000], ['plain text, from 10.0.0.2', 1]]);
    expect(audit.rows(10)).toHaveLength(2);
  });

  it('of a flood from ever new addresses has a bounded number of lines, and counts the rest', async () => {
    const { audit, written } = newAudit();
    for (let at = 0; at < 10_000; at += 1) audit.observed(refused(`unknown key, from 10.0.${at >> 8}.${at & 255}`));
    await audit.write();
    expect(written.length).toBe(limits.auditKindsMax + 1);
    expect(written.reduce((sum, { count }) => sum + count, 0)).toBe(10_000);
  });

  it('of somebody who knocks every two seconds for a week has fewer than two hundred lines, and every knock is counted', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    try {
      const { audit, written } = newAudit();
      const knocks = 7 * 86_400 / 2;
      for (let at = 0; at < knocks; at += 1) {
        audit.observed(refused('revoked key, from 10.0.0.1'));
        vi.advanceTimersByTime(2_000);
      }
      await audit.write();
      expect(written.length).toBeLessThan(200);
      expect(written.reduce((sum, { count }) => sum + count, 0)).toBe(knocks);
    } finally {
      vi.useRealTimers();
    }
  }, 60_000);

  it('shows at once what is not written yet', () => {
    const { audit, written } = newAudit();
    audit.observed(refused('plain text'));
    audit.observed(refused('plain text'));
    expect([audit.rows(5), written]).toEqual([[expect.objectContaining({ detail: 'plain text', count: 2 })], []]);
  });

  it('does not let one member push out what others report', async () => {
    const { audit, written } = newAudit();
    for (let at = 0; at < 5_000; at += 1) audit.observed({ what: 'policy', detail: `noise ${at}`, count: 1 }, 'a'.repeat(64), 'loud');
    audit.observed({ what: 'foreign_started', detail: 'main', count: 3 }, 'b'.repeat(64), 'quiet');
    audit.observed(refused('plain text'));
    await audit.write();
    expect(written.filter(({ detail }) => detail.startsWith('loud:')).length).toBeLessThan(20);
    expect(written).toContainEqual(expect.objectContaining({ what: 'foreign_started', detail: 'quiet: main', count: 3 }));
    expect(written).toContainEqual(expect.objectContaining({ what: 'refused', detail: 'plain text' }));
  });

  it('answers from the newest lines, in bounded memory', async () => {
    const { audit } = newAudit();
    for (let at = 0; at < 3 * limits.auditRowsMax; at += 1) audit.replay(Buffer.from(JSON.stringify({ atWall: at, what: 'refused', detail: `${at}`, count: 1 })));
    expect(audit.rows(2).map(({ atWall }) => atWall)).toEqual([3 * limits.auditRowsMax - 1, 3 * limits.auditRowsMax - 2]);
    expect(audit.rows(Infinity).length).toBeLessThanOrEqual(2 * limits.auditRowsMax);
  });

  it('goes on without its disk, and says that once', async () => {
    const { audit, failures } = newAudit({ failing: true });
    for (const detail of ['a', 'b']) {
      audit.observed(refused(detail));
      await audit.write();
    }
    expect([failures.length, audit.rows(10).length]).toEqual([1, 2]);
  });
});
