/** The report of `potluck doctor`, as a person reads it. */
import { describe, expect, it } from 'vitest';
import { doctorLines } from '../../src/cli/run-doctor.ts';
import type { DoctorReport } from '../../src/main/doctor.ts';
import { catalogue } from '../../src/probes/catalogue.ts';

const report: DoctorReport = {
  level: 1,
  missing: 'bubblewrap is not installed',
  fix: 'sudo apt-get install bubblewrap',
  notes: ['packages in /home/a/.local are not in the box'],
  interpreters: [{ language: 'python', path: '/usr/bin/python3', version: '3.11.2' }],
  without: [{ language: 'javascript', why: 'node \u001b[31mfailed' }],
  findings: catalogue.map(({ name, group, level, tries }, at) => ({ name, group, level, tries, verdict: (['held', 'broken', 'not applicable'] as const)[at % 3]!, why: at % 2 === 0 ? '' : `/${'x'.repeat(90)}`, languages: {} })),
  tookMs: 1234,
};

describe('the report', () => {
  it('fits in 80 columns whatever it holds, names every probe, and has no control codes', () => {
    const lines = doctorLines(report, 80);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    for (const { name } of catalogue) expect(lines.some((line) => line.includes(`  ${name}  `))).toBe(true);
    expect(lines.join('')).not.toContain('\u001b');
  });

  it('at 40 columns is still sentences', () => {
    const lines = doctorLines({ ...report, findings: report.findings.map((finding) => ({ ...finding, why: '' })) }, 40);
    expect(lines.filter((line) => line.length > 40)).toEqual([]);
    expect(lines.slice(12).filter((line) => line.includes('…') && !line.startsWith('A task'))).toEqual([]);
  });

  it('begins with what holds, why not more, and the command that mends it', () => {
    expect(doctorLines(report, 80).slice(0, 7)).toEqual([
      'level 1, limits: memory and processes are bounded',
      'This machine takes no tasks but those of its own user.',
      '  why: bubblewrap is not installed',
      '  fix: sudo apt-get install bubblewrap',
      'note: packages in /home/a/.local are not in the box',
      'python 3.11.2, /usr/bin/python3',
      'no javascript: node failed',
    ]);
  });
});
