/** `potluck doctor` as a person and as a program see it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { command, environment } from './processes.ts';
import { spawnSync } from 'node:child_process';

describe('potluck doctor', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'potluck-doctor-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const doctor = (args: string[], env: Record<string, string> = {}) =>
    spawnSync(process.execPath, [command, 'doctor', ...args], { encoding: 'utf8', env: environment({ POTLUCK_HOME: join(folder, 'none'), ...env }), timeout: 50_000 });

  it('prints one document with every probe, and leaves no folder where there was none', () => {
    const { stdout, status } = doctor(['--json']);
    const report = JSON.parse(stdout) as { level: number; takes_foreign_work: boolean; missing: string | null; probes: { name: string; verdict: string; level: number; tries: string; why: string }[] };
    expect(report.probes.length).toBeGreaterThanOrEqual(40);
    for (const probe of report.probes) expect(['held', 'broken', 'not applicable']).toContain(probe.verdict);
    expect(report.takes_foreign_work).toBe(report.level === 2);
    expect(status).toBe(report.level === 2 ? 0 : 6);
    if (report.level === 2) expect(report.missing).toBeNull();
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });

  it('says in 80 columns what holds, and what of it was tried', () => {
    const { stdout } = doctor([], { COLUMNS: '80' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^level [012], /);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).toMatch(/\d+ probes in .+: \d+ held, \d+ broken, \d+ not applicable/);
  });
});
