/** The command as a process: exit statuses, streams, signals; against a home that does what the test says. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Listener } from '../../src/wire/tls-connection.ts';
import type { MessageOf } from '../../src/wire/messages.ts';
import { Counterpart } from '../sdk/counterpart.ts';
import { buildProgram, Program, type Ran } from './built.ts';

let built: Awaited<ReturnType<typeof buildProgram>>;
let folder: string;
let home: Counterpart;
let door: Listener;
let port: string;
beforeAll(async () => {
  built = await buildProgram();
});
afterAll(() => built.remove());
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'potluck-cli-'));
  home = new Counterpart();
  door = await home.listen(folder);
  port = String(door.port);
});
afterEach(async () => {
  home.drop();
  await door.close();
  rmSync(folder, { recursive: true });
});

const start = (...args: string[]) => new Program(built.cli, args, { POTLUCK_HOME: folder, POTLUCK_PORT: port });
const run = (...args: string[]): Promise<Ran> => start(...args).ended;
const cpu = (...more: string[]) => ['cpu', '--program', 'def main(): pass', ...more];
const ends = (state: MessageOf<'outcome'>['state'], code: string) => {
  home.onSubmit = ({ id }) => home.done(id, '', { state, error: { code, message: `it is ${code}` } });
};

describe('exit status', () => {
  const cases: [number, string, () => void, string[]][] = [
    [0, 'done', () => (home.onSubmit = ({ id }) => home.done(id, '1')), cpu()],
    [1, 'failed', () => ends('failed', 'exception'), cpu()],
    [1, 'out of memory', () => ends('out_of_memory', 'out_of_memory'), cpu()],
    [2, 'a flag that does not exist', () => undefined, cpu('--nope')],
    [2, 'a command that does not exist', () => undefined, ['nope']],
    [2, 'arguments that are not JSON', () => undefined, cpu('--args', '[1')],
    [3, 'no peer', () => void door.close(), cpu()],
    [4, 'cancelled by somebody', () => ends('cancelled', 'cancelled'), cpu()],
    [5, 'timed out', () => ends('timed_out', 'timed_out'), cpu()],
    [5, 'not started in time', () => ends('expired', 'expired'), cpu()],
    [6, 'refused', () => ((home.accepts = false), (home.onSubmit = ({ id }) => home.send({ kind: 'refused', id, error: { code: 'draining', message: 'going down' } }))), cpu()],
    [6, 'nothing could ever run it', () => ends('failed', 'impossible'), cpu()],
    [6, 'unknown task', () => (home.onWatch = ({ id }) => home.send({ kind: 'no_task', id, error: { code: 'unknown_task', message: 'no such task' } })), ['wait', 'x']],
  ];

  it.each(cases)('%d: %s', async (status, _, prepare, args) => {
    prepare();
    const plain = await run(...args);
    expect(plain.status, plain.err).toBe(status);
    if (status === 0) return;
    expect(plain.out).toBe('');
    expect(plain.err).toMatch(/^error: .+\n {2}why: .+/m);
    expect(plain.err).toMatch(/^ {2}fix: .+/m);
  });

  it.each(cases)('%d with --json: one document on stdout: %s', async (status, _, prepare, args) => {
    prepare();
    const json = await run(...args, '--json');
    expect(json.status, json.err).toBe(status);
    const document = JSON.parse(json.out) as { error?: { code: string; message: string; hint: string | null } };
    if (status !== 0) expect(document.error).toEqual({ code: expect.any(String) as string, message: expect.any(String) as string, hint: document.error!.hint });
  });
});

describe('the result', () => {
  it('alone is on stdout, what is said and printed on stderr', async () => {
    home.onSubmit = ({ id }) => {
      home.send({ kind: 'output', id, attempt: 1, peer: 'p1', stream: 'stdout', data: Buffer.from('hello\n') });
      home.done(id, '{"a": 1.0}');
    };
    const ran = await run(...cpu('--id', 'a'));
    expect(ran).toMatchObject({ status: 0, out: '{"a": 1.0}\n' });
    expect(ran.err).toBe(`task a\n[p1] hello\ndone on p1: waited 1 ms, ran 2 ms\nnext: potluck task a tells its whole story\n`);
    expect(await run(...cpu('--quiet', '--no-mark'))).toMatchObject({ out: '{"a": 1.0}\n', err: 'hello\n' });
  });

  it('of 10 MB comes whole through a pipe that is read slowly', async () => {
    const json = JSON.stringify('x'.repeat(10_000_000));
    home.onSubmit = ({ id }) => home.done(id, '', { result: home.hold(Buffer.from(json)) });
    const program = start(...cpu());
    program.process.stdout.pause();
    await program.said('task ');
    setTimeout(() => program.process.stdout.resume(), 500);
    const { status, out } = await program.ended;
    expect(status).toBe(0);
    expect(out.length).toBe(json.length + 1);
  });

  it('that nobody reads is no error', async () => {
    home.onSubmit = ({ id }) => home.done(id, '', { result: home.hold(Buffer.from(JSON.stringify('x'.repeat(1_000_000)))) });
    const program = start(...cpu('--quiet'));
    program.process.stdout.destroy();
    expect(await program.ended).toMatchObject({ status: 0, err: '' });
  });
});

describe('what was typed', () => {
  it('reaches the home byte for byte, also from standard input', async () => {
    home.onSubmit = ({ id }) => home.done(id, '1');
    const program = start(...cpu('--args', '-', '--kwargs', '{ "k" : 1e0 }', '--function', 'f', '--timeout', '2', '--retries', '0', '--once'));
    program.process.stdin.end('[ 1.0, 1606938044258990275541962092341162602522202993782792835301376 ]\n');
    expect((await program.ended).status).toBe(0);
    const [message] = home.of('submit');
    expect(message).toMatchObject({ function: 'f', options: { timeoutMs: 2000, once: true }, follow: true });
    expect(Buffer.from(message!.args as Uint8Array).toString()).toBe('[ 1.0, 1606938044258990275541962092341162602522202993782792835301376 ]\n');
    expect(Buffer.from(message!.kwargs as Uint8Array).toString()).toBe('{ "k" : 1e0 }');
  });

  it('may name the peer before or after the command', async () => {
    home.onAsk = ({ ask }) => home.send({ kind: 'answer', ask, json: Buffer.from('[]') });
    for (const args of [['client', '--port', port, 'peers', '--json'], ['client', 'peers', '--port', port, '--json'], ['peers', '--port', port, '--json']]) {
      const program = new Program(built.cli, args, { POTLUCK_HOME: folder });
      expect(await program.ended).toMatchObject({ status: 0, out: '[]\n', err: '' });
    }
  });

  it('is refused for a setting that does not exist', async () => {
    writeFileSync(join(folder, 'config.json'), '{"prt": 1}');
    expect(await run('peers')).toMatchObject({ status: 2, err: expect.stringContaining('the nearest it knows is port') as string });
  });
});

it('a peer that is not there: says where something answers', async () => {
  const server = createServer();
  const open = await new Promise<number>((resolve) => {
    let candidate = 9000;
    server.on('error', () => (candidate < 9009 ? server.listen(++candidate, '127.0.0.1') : resolve(9000)));
    server.on('listening', () => resolve(candidate));
    server.listen(candidate, '127.0.0.1');
  });
  await door.close();
  const { status, err } = await run('status');
  server.close();
  expect(status).toBe(3);
  expect(err).toMatch(new RegExp(`fix: on this machine something answers on port .*\\b${open}\\b`));
});

describe('Ctrl+C', () => {
  it('cancels the task and ends with 130', async () => {
    home.onCancel = (id) => home.done(id, '', { state: 'cancelled', error: { code: 'cancelled', message: 'cancelled' } });
    const program = start(...cpu('--json'));
    await home.until(() => home.kept.size === 1);
    program.process.kill('SIGINT');
    const { status, out } = await program.ended;
    expect(status).toBe(130);
    expect(JSON.parse(out)).toMatchObject({ state: 'cancelled' });
  });

  it('a second time leaves at once', async () => {
    const program = start(...cpu());
    await home.until(() => home.kept.size === 1);
    program.process.kill('SIGINT');
    await program.said('cancelling');
    program.process.kill('SIGINT');
    expect((await program.ended).status).toBe(130);
  });

  it('of wait leaves the task alone', async () => {
    const program = start('wait', 'a');
    await home.until(() => home.of('watch').length === 1);
    program.process.kill('SIGINT');
    await program.ended;
    expect(home.of('cancel')).toEqual([]);
  });
});

it('a lost link is no end', async () => {
  const program = start(...cpu());
  await home.until(() => home.kept.size === 1);
  home.onWatch = ({ id }) => home.done(id, '"after all"');
  home.drop();
  expect(await program.ended).toMatchObject({ status: 0, out: '"after all"\n', err: expect.stringContaining('reconnecting') as string });
});

it('a link that cannot come back ends with 3, and says that the task may still run', async () => {
  const program = start(...cpu('--id', 'a'));
  await home.until(() => home.kept.size === 1);
  home.link!.close({ code: 'not_a_member', message: 'this key was revoked' });
  expect(await program.ended).toMatchObject({ status: 3, out: '', err: expect.stringMatching(/error: this key was revoked\n.*\n {2}fix: .*may still run.*potluck task a/) as string });
});

describe('detach, wait, cancel', () => {
  it('detach prints the id and leaves once the task is accepted', async () => {
    expect(await run(...cpu('--detach', '--id', 'a'))).toMatchObject({ status: 0, out: 'a\n' });
    expect(await run(...cpu('--detach', '--id', 'b', '--json'))).toMatchObject({ status: 0, out: '{"id":"b","state":"queued"}\n' });
    expect([...home.kept.keys()]).toEqual(['a', 'b']);
  });

  it('wait gives the result of one, a line or document for each of several, and the first of any', async () => {
    home.onWatch = ({ id }) => {
      if (id === 'never') return;
      home.done(id, `"${id}"`, id === 'bad' ? { state: 'failed', error: { code: 'exception', message: 'no' } } : {});
    };
    expect(await run('wait', 'a', '--quiet')).toMatchObject({ status: 0, out: '"a"\n', err: '' });
    const several = await run('wait', 'a', 'bad', '--json');
    expect(several.status).toBe(1);
    expect(JSON.parse(several.out)).toMatchObject([{ id: 'a', result: 'a' }, { id: 'bad', error: { code: 'exception' } }]);
    expect((await run('wait', 'a', 'b')).out).toBe('a  done on p1: waited 1 ms, ran 2 ms\nb  done on p1: waited 1 ms, ran 2 ms\n');
    expect(JSON.parse((await run('wait', '--any', 'never', 'b', '--json')).out)).toMatchObject({ id: 'b' });
    expect(await run('wait', 'never', '--timeout', '0.2')).toMatchObject({ status: 5, out: '' });
  });

  it('cancel says whether there was something to cancel', async () => {
    home.onCancel = (id) => home.done(id, '1', id === 'runs' ? { state: 'cancelled', error: { code: 'cancelled', message: 'cancelled' } } : {});
    expect(await run('cancel', '--task-id', 'runs')).toMatchObject({ status: 0, out: 'cancelled task runs\n' });
    expect(await run('cancel', 'ended')).toMatchObject({ status: 0, out: 'task ended had already ended: done\n' });
    expect(await run('cancel')).toMatchObject({ status: 2 });
  });
});

it('--version is the version of the package, and nothing else', async () => {
  expect(await run('--version')).toMatchObject({ status: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string, err: '' });
});
