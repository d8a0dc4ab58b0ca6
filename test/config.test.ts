import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { homeFolderOf, loadConfig } from '../src/config.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const file = (content: string) => writeFileSync(join(folder, 'config.json'), content);
const load = (env: Record<string, string> = {}) => loadConfig(env, folder);

describe('settings', () => {
  it('take the flag before the environment before the file before the default', () => {
    expect(load().get('tracker_port')).toEqual({ value: 8888, typed: false });
    file('{"tracker_port": 1}');
    expect(load().get('tracker_port')).toEqual({ value: 1, typed: true });
    expect(load({ POTLUCK_TRACKER_PORT: '2' }).get('tracker_port').value).toBe(2);
    expect(load({ POTLUCK_TRACKER_PORT: '2' }).get('tracker_port', '3').value).toBe(3);
  });

  it('name the nearest known key for one that is misspelt', () => {
    file('{"traker_port": 1}');
    expect(() => load()).toThrowError(expect.objectContaining({ code: 'config_invalid', why: expect.stringContaining('tracker_port') as string }));
    file('{}');
    expect(() => load({ POTLUCK_TRACKR_PORT: '1' })).toThrowError(expect.objectContaining({ code: 'config_invalid', fix: expect.stringContaining('POTLUCK_TRACKER_PORT') as string }));
  });

  it.each([
    ['{"slots": 1.5}', 'a whole number'],
    ['{"web_ui": "maybe"}', 'true or false'],
    ['[1]', 'name and value'],
    ['{"slots": 1,}', 'line 1, column 13'],
  ])('refuse %s', (content, why) => {
    file(content);
    expect(() => load()).toThrowError(expect.objectContaining({ code: 'config_invalid', why: expect.stringContaining(why) as string }));
  });

  it('refuse a flag as wrong use, by the name that was typed', () => {
    expect(() => load().get('peer_port', '70000')).toThrowError(expect.objectContaining({ code: 'usage', message: expect.stringContaining('--port 70000') as string }));
  });

  it('ignore variables that are not settings', () => {
    expect(load({ POTLUCK_HOME: folder, POTLUCK_PARENT_FD: '3', PATH: 'x', POTLUCK_NAME: '' }).get('name').value).toBeNull();
  });
});

it('the folder is absolute and by default in the home folder', () => {
  expect(homeFolderOf({})).toBe(join(homedir(), '.potluck'));
  expect(homeFolderOf({ POTLUCK_HOME: 'x' })).toBe(join(process.cwd(), 'x'));
  expect(homeFolderOf({ POTLUCK_HOME: 'x' }, '/y')).toBe('/y');
});
