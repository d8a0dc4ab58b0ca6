import { describe, expect, it } from 'vitest';
import { auditLines, type AuditLine } from '../../src/cli/run-audit.ts';
import { joinedLines } from '../../src/cli/run-join.ts';
import { membersLines, type MemberRow } from '../../src/cli/run-members.ts';
import { widthOf } from '../../src/cli/text.ts';

const plain = (text: string): string => text;
const evil = 'a\u001b[31mred\u001b]0;title\u0007\nb';
const member: MemberRow = { name: 'laptop', role: 'admin', state: 'active', machine: evil, connected: false, last_seen: null, fingerprint: 'c73f-9624-fec2-c093', tracker: true };
const line: AuditLine = { at: '2026-01-31T08:00:00.000Z', what: 'foreign_started', who: 'attic', detail: `${evil} ${'x'.repeat(200)}`, count: 3 };

describe.each([0, 20, 40, 80, 200])('at %d columns', (width) => {
  it.each([
    ['members', () => membersLines([member, { ...member, state: 'revoked', tracker: false }], width, plain)],
    ['the audit', () => auditLines([line, { ...line, who: null, count: 1 }], width, plain)],
  ])('%s fit and show no control code of others', (_, lines) => {
    for (const shown of lines()) {
      if (width > 0) expect(widthOf(shown)).toBeLessThanOrEqual(width);
      expect(shown).not.toMatch(/\p{Cc}/u);
    }
  });
});

it('who joined reads what it joined and what to type next, whatever the pool is called', () => {
  const lines = joinedLines({ pool: '8'.repeat(64), poolName: evil, name: 'attic', role: 'runner', tracker: { host: '10.0.0.1', port: 8888 }, already: false });
  expect(lines[0]).toBe('joined ared b as attic (runner)');
  expect(lines.join('\n')).toMatch(/10\.0\.0\.1:8888[\s\S]*next: potluck peer/);
});
