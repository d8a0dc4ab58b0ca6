import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerOptions } from '../../src/cli/commands/peer.ts';
import { runCommand } from '../../src/cli/program.ts';
import { requestOf, type CpuFlags } from '../../src/cli/run-cpu.ts';
import { filterOf } from '../../src/cli/run-history.ts';
import { upOptions } from '../../src/cli/run-up.ts';
import { pastMoment, secondsAsMs, wholeNumber } from '../../src/cli/values.ts';
import { loadConfig } from '../../src/config.ts';
import { fakeTerminal } from './fake-stream.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-flags-'));
  writeFileSync(join(folder, 'a.py'), 'def main(): pass');
  writeFileSync(join(folder, 'a.mjs'), 'export const main = () => 1');
  writeFileSync(join(folder, 'args.json'), '[ 1.0 ]');
  writeFileSync(join(folder, 'binary'), Buffer.from([0xff, 0xfe]));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const cpu = (flags: CpuFlags) => requestOf(flags);

describe('cpu', () => {
  it('takes the language from the ending of the file, else python', async () => {
    expect(await cpu({ program: 'x' })).toEqual({ language: 'python', program: 'x' });
    expect(await cpu({ file: join(folder, 'a.mjs') })).toMatchObject({ language: 'javascript', program: 'export const main = () => 1' });
    expect(await cpu({ file: join(folder, 'a.py') })).toMatchObject({ language: 'python' });
    expect(await cpu({ file: join(folder, 'a.py'), language: 'javascript' })).toMatchObject({ language: 'javascript' });
  });

  it('passes arguments on as they were typed', async () => {
    expect(await cpu({ program: 'x', args: `[ 1.0, ${2n ** 200n} ]` })).toMatchObject({ args: { json: `[ 1.0, ${2n ** 200n} ]` } });
    expect(await cpu({ program: 'x', args: `@${join(folder, 'args.json')}`, kwargs: '{"a": 1}' })).toMatchObject({ args: { json: '[ 1.0 ]' }, kwargs: { json: '{"a": 1}' } });
  });

  it('knows every option of a task', async () => {
    const flags: CpuFlags = { program: 'x', function: 'f', timeout: '1.5', wait: '0.0001', retries: '2', priority: '-3', memory: '64', confidential: true, once: true, fresh: true, id: 'a_b-1' };
    expect(await cpu(flags)).toEqual({ language: 'python', program: 'x', function: 'f', timeoutMs: 1500, waitMs: 1, retries: 2, priority: -3, memoryMb: 64, confidential: true, once: true, fresh: true, id: 'a_b-1' });
  });

  it.each<[CpuFlags, string]>([
    [{}, 'usage'],
    [{ program: 'x', file: 'y' }, 'usage'],
    [{ program: 'x', function: '' }, 'usage'],
    [{ file: '-', args: '-' }, 'usage'],
    [{ file: '/nowhere/at/all.py' }, 'file_unreadable'],
    [{ program: 'x', language: 'phyton' }, 'usage'],
    [{ program: 'x', args: '[1,' }, 'bad_json'],
    [{ program: 'x', args: '{}' }, 'bad_json'],
    [{ program: 'x', args: '@/nowhere' }, 'file_unreadable'],
    [{ program: 'x', kwargs: '[]' }, 'bad_json'],
    [{ program: 'x', language: 'javascript', kwargs: '{}' }, 'usage'],
    [{ program: 'x', timeout: '0' }, 'usage'],
    [{ program: 'x', timeout: 'soon' }, 'usage'],
    [{ program: 'x', retries: '-1' }, 'usage'],
    [{ program: 'x', memory: '1.5' }, 'usage'],
    [{ program: 'x', id: 'no spaces' }, 'usage'],
  ])('refuses %j with %s before it looks for a peer', async (flags, code) => {
    await expect(cpu(flags)).rejects.toMatchObject({ code, fix: expect.any(String) as string });
  });

  it('refuses a file that is not text', async () => {
    await expect(cpu({ file: join(folder, 'binary') })).rejects.toMatchObject({ code: 'file_unreadable', why: 'it is not UTF-8' });
  });
});

describe('values', () => {
  it('of time', () => {
    expect(secondsAsMs('--timeout', '0.25', 1e9)).toBe(250);
    expect(pastMoment('--since', '2h', 10_000_000).getTime()).toBe(2_800_000);
    expect(pastMoment('--since', '1.5min', 100_000).getTime()).toBe(10_000);
    expect(pastMoment('--since', '2026-01-31T08:00Z').toISOString()).toBe('2026-01-31T08:00:00.000Z');
    expect(() => pastMoment('--since', 'yesterday')).toThrowError(expect.objectContaining({ code: 'usage' }));
  });

  it('that are whole numbers', () => {
    expect(wholeNumber('--priority', '-5', -10, 10)).toBe(-5);
    for (const text of ['', '1e3', '0x1', '11', '--json']) expect(() => wholeNumber('--priority', text, -10, 10)).toThrowError(expect.objectContaining({ code: 'usage' }));
  });

  it('that filter history', () => {
    expect(filterOf({})).toEqual({ limit: 20 });
    expect(filterOf({ limit: '5', state: 'timed-out', peer: 'p' })).toEqual({ limit: 5, state: 'timed_out', peer: 'p' });
    expect(() => filterOf({ state: 'don' })).toThrowError(expect.objectContaining({ fix: 'did you mean --state done?' }));
  });
});

const config = (env: Record<string, string> = {}) => () => loadConfig(env, folder);

describe('a process', () => {
  it('knows which ports were asked for', () => {
    expect(peerOptions({ flags: {}, config: config() })).toEqual({
      homeFolder: folder, host: '0.0.0.0', port: 9000, portTyped: false, announce: null, webUi: false, webHost: '127.0.0.1', webPort: 5000, webPortTyped: false, webName: null, name: null,
      tracker: { host: { value: '127.0.0.1', typed: false }, port: { value: 8888, typed: false } }, slots: null, python: null, node: null, accept: 'members', trustMembers: false, isolation: null, maxMemoryMb: null, drainSeconds: 30, json: false, quiet: false,
    });
    expect(peerOptions({ flags: { port: '9001', webUi: true }, config: config({ POTLUCK_WEB_PORT: '5007', POTLUCK_SLOTS: '2' }) })).toMatchObject({ port: 9001, portTyped: true, webUi: true, webPort: 5007, webPortTyped: true, slots: 2 });
    expect(peerOptions({ flags: { announce: '[fd00::2]:9000' }, config: config() }).announce).toEqual({ host: 'fd00::2', port: 9000 });
    expect(() => peerOptions({ flags: { announce: '9000' }, config: config() })).toThrowError(expect.objectContaining({ code: 'usage', message: '--announce 9000 will not do' }));
  });

  it('knows whose tasks its owner lets it take', () => {
    const flags = { accept: 'own', trustMembers: true, isolation: '1', maxMemory: '512' };
    expect(peerOptions({ flags, config: config({ POTLUCK_ACCEPT: 'none' }) })).toMatchObject({ accept: 'own', trustMembers: true, isolation: 1, maxMemoryMb: 512 });
    expect(peerOptions({ flags: {}, config: config({ POTLUCK_ACCEPT: 'none', POTLUCK_TRUST_MEMBERS: 'true', POTLUCK_ISOLATION: '0' }) })).toMatchObject({ accept: 'none', trustMembers: true, isolation: 0 });
    for (const wrong of [{ accept: 'all' }, { isolation: '3' }]) expect(() => peerOptions({ flags: wrong, config: config() })).toThrowError(expect.objectContaining({ code: 'usage' }));
  });

  it('up takes three peers from the ports of the guide on', () => {
    expect(upOptions({ flags: {}, config: config() })).toMatchObject({ peers: 3, port: { port: 9000, typed: false }, webPort: { port: 5000 }, trackerPort: { port: 8888 } });
    expect(() => upOptions({ flags: {}, config: config({ POTLUCK_NAME: 'me' }) })).toThrowError(expect.objectContaining({ code: 'config_invalid' }));
    expect(() => upOptions({ flags: { peers: '0' }, config: config() })).toThrowError(expect.objectContaining({ code: 'usage' }));
  });
});

const run = async (...argv: string[]) => {
  const { terminal, out } = fakeTerminal();
  const status = await runCommand(argv, terminal);
  return { status, out: out.text };
};

describe('the command line', () => {
  const commands = ['invite', 'join', 'members', 'revoke', 'audit', 'tracker', 'peer', 'cpu', 'status', 'peers', 'history', 'task', 'cancel', 'wait', 'page', 'up', 'down', 'doctor', 'journal', 'client'];

  it.each([...commands.map((command) => [command]), ...['cpu', 'status', 'peers', 'history', 'task', 'cancel', 'wait'].map((command) => ['client', command])])('%s %s --help has examples, and fits a terminal of 80 columns', async (...words) => {
    const { status, out } = await run(...words.filter((word) => word !== undefined), '--help');
    expect(status).toBe(0);
    expect(out).toMatch(/Examples:\n {2}\S/);
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('without a command, or with help, shows the commands', async () => {
    for (const { status, out } of [await run(), await run('help'), await run('client')]) {
      expect(status).toBe(0);
      expect(out).toContain('cpu');
    }
  });

  it.each([
    ['potluck has no command cpuu', 'did you mean potluck cpu?', ['cpuu', '--program', 'x']],
    ['potluck client has no command stats', 'did you mean potluck client status?', ['client', '--port', '9001', 'stats']],
    ['potluck has no flag --jsno', 'see potluck --help', ['--jsno']],
    ['potluck client has no flag --prt', 'did you mean --port?', ['client', '--prt', '9001', 'status']],
    ['potluck has no command banana', 'see potluck --help', ['banana']],
    ['potluck cpu has no flag --prog', 'did you mean --program?', ['cpu', '--prog', 'x']],
    ["option '--limit <n>' argument missing", 'see potluck history --help', ['history', '--limit']],
    ["missing required argument 'id'", 'see potluck task --help', ['task']],
    ['too many arguments', 'see potluck client status --help', ['client', 'status', 'x']],
  ])('%s: %s', async (what, fix, argv) => {
    await expect(run(...argv)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(what) as string, fix });
  });
});
