import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PotluckError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { TaskError } from '../../src/sdk/outcome.ts';
import { Pool } from '../../src/sdk/pool.ts';
import type { StateChange, TaskRequest } from '../../src/sdk/submission.ts';
import { Counterpart } from './counterpart.ts';

let home: Counterpart;
let pool: Pool;
beforeEach(async () => {
  home = new Counterpart();
  pool = new Pool({ dial: home.dial });
  await pool.start();
});
afterEach(async () => {
  home.drop();
  await pool.close();
});

const request = (more: Partial<TaskRequest> = {}): TaskRequest => ({ language: 'python', program: 'def main(x): return x', args: [5], ...more });
const text = (data: Uint8Array) => Buffer.from(data).toString();

describe('a task', () => {
  it('starts without being awaited, and gives its result when it is', async () => {
    home.onSubmit = ({ id }) => home.done(id, '25');
    const task = pool.submit(request());
    await home.until(() => home.of('submit').length === 1);
    expect(home.of('submit')[0]).toMatchObject({ function: 'main', language: 'python', options: {}, id: task.id });
    expect(await task).toBe(25);
    expect(await task.outcome()).toEqual({ id: task.id, state: 'done', peer: 'p1', attempt: 1, queuedMs: 1, runMs: 2, receipt: null, resultJson: '25' });
    await task.accepted;
  });

  it('passes whole numbers of any size both ways, and JSON text verbatim', async () => {
    home.onSubmit = ({ id, args }) => home.done(id, text(args as Uint8Array));
    expect(await pool.submit(request({ args: [2n ** 200n] }))).toEqual([2n ** 200n]);
    const verbatim = '[ 1.0 , "\\u00e9" ]';
    expect((await pool.submit(request({ args: { json: verbatim } })).outcome()).resultJson).toBe(verbatim);
  });

  it('that ends otherwise throws a TaskError with the outcome; outcome() does not throw', async () => {
    home.onSubmit = ({ id }) => home.done(id, '', { state: 'failed', error: { code: 'exception', type: 'ValueError', message: 'no', traceback: 'line 1', hint: 'mend it' } });
    const task = pool.submit(request());
    expect(await task.outcome()).toMatchObject({ state: 'failed', error: { code: 'exception' } });
    const error = await task.then(() => undefined, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({ message: 'ValueError: no', code: 'exception', state: 'failed' });
    await expect(task.finally()).rejects.toBe(error);
  });

  it('that nobody awaits does not end the process when it is refused', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    home.accepts = false;
    home.onSubmit = ({ id }) => home.send({ kind: 'refused', id, error: { code: 'draining', message: 'going down' } });
    const task = pool.submit(request());
    void task.accepted;
    void task.outcome();
    await home.until(() => home.received.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    await expect(task.accepted).rejects.toMatchObject({ code: 'draining' });
    await expect(task).rejects.toBeInstanceOf(PotluckError);
  });

  it('fetches a large result, and hands over a large argument and the program when asked', async () => {
    const large = JSON.stringify('x'.repeat(limits.inlineBytesMax * 3));
    home.accepts = false;
    home.onSubmit = (message) => {
      const args = message.args as { hash: string; size: number };
      void Promise.all([home.link!.fetch(message.program, limits.programBytesMax), home.link!.fetch(args.hash, args.size)]).then(([program, bytes]) => {
        expect(text(program)).toBe('def main(x): return x');
        home.accept(message);
        home.done(message.id, '', { result: home.hold(Buffer.from(text(bytes).slice(1, -1))) });
      });
    };
    expect(await pool.submit(request({ args: { json: `[${large}]` } }))).toBe(JSON.parse(large));
  });

  it('is cancelled wherever it is', async () => {
    home.onCancel = (id) => home.done(id, '', { state: 'cancelled', error: { code: 'cancelled', message: 'cancelled' } });
    const task = pool.submit(request());
    expect(await task.cancel()).toMatchObject({ state: 'cancelled' });
    expect(await task.cancel()).toMatchObject({ state: 'cancelled' });
    expect(home.of('cancel')).toHaveLength(1);
  });

  it('tells states and output in order, before its outcome', async () => {
    const heard: string[] = [];
    home.onSubmit = ({ id, follow }) => {
      expect(follow).toBe(true);
      home.send({ kind: 'task_state', id, state: 'queued', attempt: 0, peer: null, waiting_for: 'no slot is free' });
      home.send({ kind: 'output', id, attempt: 1, peer: 'p1', stream: 'stdout', data: Buffer.from('hello') });
      home.done(id, 'null');
    };
    const onState = ({ waitingFor }: StateChange) => heard.push(waitingFor!);
    const task = pool.submit(request({ onState, onOutput: ({ data }) => heard.push(text(data)) }));
    await task.then(() => heard.push('done'));
    expect(heard).toEqual(['no slot is free', 'hello', 'done']);
  });
});

describe('the same id', () => {
  it('with the same content is one task, also within one program', async () => {
    const [one, other] = [pool.submit(request({ id: 'a' })), pool.submit(request({ id: 'a', retries: 0 }))];
    await home.until(() => home.of('submit').length > 0);
    home.done('a', '1');
    expect(await Promise.all([one, other])).toEqual([1, 1]);
    expect(home.of('submit')).toHaveLength(1);
  });

  it('with other content is refused', () => {
    pool.submit(request({ id: 'a' }));
    expect(() => pool.submit(request({ id: 'a', args: [6] }))).toThrowError(expect.objectContaining({ code: 'id_conflict' }));
  });
});

describe('what is wrong at first sight is refused before anything is sent', () => {
  it.each<[string, Partial<TaskRequest>]>([
    ['bad_submission', { language: 'cobol' as 'python' }],
    ['bad_submission', { id: 'a b' }],
    ['bad_submission', { function: '' }],
    ['bad_submission', { timeoutMs: -1 }],
    ['bad_submission', { language: 'javascript', kwargs: {} }],
    ['bad_submission', { args: 5 as unknown as [] }],
    ['bad_json', { args: { json: '[1' } }],
    ['bad_json', { args: [Number.NaN] }],
    ['program_too_large', { program: 'x'.repeat(limits.programBytesMax + 1) }],
    ['arguments_too_large', { args: { json: `["${'x'.repeat(limits.valueBytesMax)}"]` } }],
  ])('%s', (code, wrong) => {
    expect(() => pool.submit(request(wrong))).toThrowError(expect.objectContaining({ code }));
    expect(home.received).toEqual([]);
  });
});

describe('too much under way', () => {
  it('waits in this process, and ready() says when there is room', async () => {
    home.accepts = false;
    for (let index = 0; index < limits.unacceptedTasksMax; index += 1) pool.submit(request());
    const extra = pool.submit(request({ id: 'extra' }));
    let ready = false;
    const waiting = pool.ready().then(() => (ready = true));
    await home.until(() => home.received.length === limits.unacceptedTasksMax);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(home.received).toHaveLength(limits.unacceptedTasksMax);
    expect(ready).toBe(false);
    home.accept(home.of('submit')[0]!);
    home.accept(home.of('submit')[1]!);
    await waiting;
    await home.until(() => home.of('submit').some(({ id }) => id === extra.id));
  });

  it('bounds bytes too, but lets a single large submission pass', async () => {
    home.accepts = false;
    const half = { json: `["${'x'.repeat(limits.unacceptedBytesMax / 2)}"]` };
    for (let index = 0; index < 3; index += 1) pool.submit(request({ args: half }));
    await home.until(() => home.received.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(home.of('submit')).toHaveLength(1);
  });

  it('cancels what stands in line without asking the home', async () => {
    home.accepts = false;
    for (let index = 0; index < limits.unacceptedTasksMax; index += 1) pool.submit(request());
    const task = pool.submit(request());
    expect(await task.cancel()).toMatchObject({ state: 'cancelled', attempt: 0, peer: null });
    await home.until(() => home.received.length === limits.unacceptedTasksMax);
    for (const message of home.of('submit')) home.accept(message);
    await pool.ready();
    expect(home.of('submit').some(({ id }) => id === task.id)).toBe(false);
  });

  it('asks the home about a cancelled id that was chosen: it may know it from an earlier process', async () => {
    home.accepts = false;
    for (let index = 0; index < limits.unacceptedTasksMax; index += 1) pool.submit(request());
    const outcome = pool.submit(request({ id: 'chosen' })).cancel();
    await home.until(() => home.received.length === limits.unacceptedTasksMax);
    home.onSubmit = ({ id }) => home.done(id, '25');
    for (const message of home.of('submit')) home.accept(message);
    await home.until(() => home.of('cancel').length === 1);
    expect(home.of('cancel')[0]).toMatchObject({ id: 'chosen' });
    expect(await outcome).toMatchObject({ id: 'chosen', state: 'done' });
  });
});

describe('a lost link', () => {
  it('is dialled again: what was not accepted is submitted again, what was is watched', async () => {
    home.onSubmit = ({ id }) => (home.accepts = id === 'kept');
    const kept = pool.submit(request({ id: 'kept' }));
    await kept.accepted;
    const lost = pool.submit(request({ id: 'lost' }));
    await home.until(() => home.of('submit').length === 2);
    home.drop();
    home.received.length = 0;
    home.onSubmit = ({ id }) => {
      home.accepts = true;
      home.done(id, '2');
    };
    home.onWatch = ({ id }) => home.done(id, '1');
    expect(await Promise.all([kept, lost])).toEqual([1, 2]);
    expect(home.of('submit').map(({ id }) => id)).toEqual(['lost']);
    expect(home.of('watch').map(({ id }) => id)).toEqual(['kept']);
  });

  it('repeats a cancel that may not have arrived', async () => {
    const task = pool.submit(request());
    await task.accepted;
    const outcome = task.cancel();
    await home.until(() => home.of('cancel').length === 1);
    home.onCancel = (id) => home.done(id, '', { state: 'cancelled', error: { code: 'cancelled', message: 'cancelled' } });
    home.drop();
    expect(await outcome).toMatchObject({ state: 'cancelled' });
  });

  it('tells no byte of output twice', async () => {
    const heard: string[] = [];
    const print = (id: string, data: string, attempt = 1) => home.send({ kind: 'output', id, attempt, peer: 'p1', stream: 'stdout', data: Buffer.from(data) });
    home.onSubmit = ({ id }) => print(id, 'one ');
    home.onWatch = ({ id }) => {
      print(id, 'one two ');
      print(id, 'three ');
      print(id, 'again', 2);
      home.done(id, '1');
    };
    const task = pool.submit(request({ onOutput: ({ data }) => heard.push(text(data)) }));
    await task.accepted;
    await new Promise((resolve) => setImmediate(resolve));
    home.drop();
    await task;
    expect(heard.join('')).toBe('one two three again');
  });

  it('tells by its place what a home that was started again says anew, and counts what is missing', async () => {
    const heard: [number, number, string][] = [];
    const print = (id: string, offset: number, data: string) => home.send({ kind: 'output', id, attempt: 1, peer: 'p1', stream: 'stdout', offset, data: Buffer.from(data) });
    home.onSubmit = ({ id }) => print(id, 0, 'before ');
    home.onWatch = ({ id }) => {
      print(id, 0, 'before after ');
      print(id, 20, 'late');
      print(id, 22, 'te');
      print(id, 30, '');
      home.done(id, '1');
    };
    const task = pool.submit(request({ onOutput: ({ offset, dropped, data }) => heard.push([offset, dropped, text(data)]) }));
    await task.accepted;
    await new Promise((resolve) => setImmediate(resolve));
    home.incarnation = 'second';
    home.drop();
    await task;
    expect(heard).toEqual([[0, 0, 'before '], [7, 0, 'after '], [20, 7, 'late'], [30, 6, '']]);
  });

  it('asks again what was not answered', async () => {
    home.onAsk = () => {
      home.onAsk = ({ ask }) => home.send({ kind: 'answer', ask, json: Buffer.from('{"peer":"p1"}') });
      home.drop();
    };
    expect(await pool.status()).toEqual({ peer: 'p1' });
  });

  it('is told to whoever wants to know, and given up only if that was asked for', async () => {
    const changes: boolean[] = [];
    const impatient = new Pool({ dial: home.dial, giveUpMs: 50, onLink: ({ up }) => changes.push(up) });
    await impatient.start();
    const task = impatient.submit(request());
    await task.accepted;
    home.unreachable = new PotluckError('peer_unreachable', 'nobody is there');
    home.drop();
    await expect(task.outcome()).rejects.toMatchObject({ code: 'link_lost', why: 'nobody is there' });
    expect(changes).toEqual([true, false]);
    expect(() => impatient.submit(request())).toThrowError(expect.objectContaining({ code: 'link_lost' }));
  });

  it('is not dialled again when the other side says that it knows us no more', async () => {
    const task = pool.submit(request());
    await task.accepted;
    home.link!.close({ code: 'not_a_member', message: 'this key was revoked' });
    await expect(task).rejects.toMatchObject({ code: 'not_a_member' });
    expect(home.dials).toBe(1);
  });
});

describe('questions', () => {
  it('are answered exactly, small or large', async () => {
    const json = JSON.stringify([{ id: 'x'.repeat(limits.inlineBytesMax) }]);
    home.onAsk = ({ ask, what }) => home.send(what === 'history' ? { kind: 'answer', ask, json: home.hold(Buffer.from(json)) } : { kind: 'answer', ask, error: { code: 'unknown_task', message: 'no such task' } });
    expect(await pool.askText({ what: 'history' })).toBe(json);
    await expect(pool.task('nope')).rejects.toMatchObject({ code: 'unknown_task' });
  });

  it('carry their filter', async () => {
    home.onAsk = ({ ask }) => home.send({ kind: 'answer', ask, json: Buffer.from('[]') });
    expect(await pool.history({ limit: 3, state: 'done', peer: 'p1', since: new Date(5) })).toEqual([]);
    expect(home.of('ask')[0]).toMatchObject({ what: 'history', limit: 3, state: 'done', peer: 'p1', sinceWall: 5 });
  });
});

describe('watching', () => {
  it('a task of another program gives its outcome; an unknown one says so', async () => {
    home.onWatch = ({ id }) => (id === 'there' ? home.done(id, '7') : home.send({ kind: 'no_task', id, error: { code: 'unknown_task', message: 'no such task' } }));
    expect(await pool.watch('there')).toBe(7);
    await expect(pool.watch('nope').outcome()).rejects.toMatchObject({ code: 'unknown_task' });
  });

  it('a task that was submitted here begins to follow it', async () => {
    const task = pool.submit(request());
    await task.accepted;
    const heard: string[] = [];
    pool.watch(task.id, { onState: ({ state }) => heard.push(state) });
    await home.until(() => home.of('watch').length === 1);
    expect(home.of('watch')[0]).toMatchObject({ follow: true });
    home.send({ kind: 'task_state', id: task.id, state: 'running', attempt: 1, peer: 'p1' });
    home.done(task.id, '1');
    await task;
    expect(heard).toEqual(['running']);
  });
});

it('close waits until what was submitted is accepted, and fails what has not ended', async () => {
  const task = pool.submit(request());
  await pool.close();
  expect(home.kept.has(task.id)).toBe(true);
  await expect(task.outcome()).rejects.toMatchObject({ code: 'link_lost' });
});

it('the first dial is tried once', async () => {
  home.unreachable = new PotluckError('peer_unreachable', 'nobody is there');
  await expect(new Pool({ dial: home.dial }).start()).rejects.toMatchObject({ code: 'peer_unreachable' });
  expect(home.dials).toBe(2);
});
