/** What is asked of the tracker from a machine that has none yet. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askTracker } from '../../src/main/admin.ts';
import { examine } from '../../src/main/doctor.ts';
import { freePorts } from '../e2e/processes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-admin-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('a machine that is in no pool', () => {
  const members = async (typed: boolean) => {
    const [port] = await freePorts(1);
    return askTracker(join(folder, 'home'), { host: { value: '127.0.0.1', typed: false }, port: { value: port!, typed } }, { kind: 'registry', what: 'members' });
  };

  it('is told to join one, not to look for a tracker', async () => {
    await expect(members(false)).rejects.toMatchObject({ code: 'tracker_unreachable', fix: expect.stringContaining('potluck join') as string });
  });

  it('is told that nobody is there, if it said where', async () => {
    await expect(members(true)).rejects.toMatchObject({ code: 'tracker_unreachable', why: 'nothing listens on that port' });
  });
});

it('doctor refuses an interpreter that was named and does not run, and tries nothing', async () => {
  await expect(examine({ homeFolder: join(folder, 'home'), python: '/nowhere/python', node: null })).rejects.toMatchObject({ code: 'interpreter_missing', fix: expect.stringContaining('--python') as string });
});
