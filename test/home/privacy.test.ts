/** Members at one home: each sees what is its own, an admin that the rest exists, and a runner's key nothing. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectInMemory, type Connection, type Message, type MessageOf } from '../../src/wire/index.ts';
import { acceptedIn, cancelled, ended, outcomesIn, submitted, TestHome, toClients, watched } from '../helpers/home.ts';
import { HomeOnDisk, workshop } from './home-on-disk.ts';

describe('the decider', () => {
  const alices = { submitter: 'alice' };
  const withTask = () => {
    const h = new TestHome().withRunners({ a: 1 }, { accepts: 'members' });
    h.tell(submitted('t', {}, alices));
    return h;
  };

  it('takes the task of another member for unknown: to watch, to cancel, running or ended', () => {
    const h = withTask();
    expect(h.tell(watched('t', { client: 2, by: 'bob', follow: true }), cancelled('t', 2, 'bob')).after).toEqual([
      { to: 'lookup', client: 2, id: 't', follow: true },
      { to: 'lookup', client: 2, id: 't', follow: false },
    ]);
    const attempt = { ...h.state.tasks.get('t')!.attempts[0]!, id: 't' };
    h.tell(ended(attempt));
    expect(h.tell(watched('t', { client: 2, by: 'bob' })).after).toEqual([{ to: 'lookup', client: 2, id: 't', follow: false }]);
    expect(outcomesIn(h.tell(watched('t', { client: 3, by: 'alice' })))).toMatchObject([{ id: 't', state: 'done' }]);
  });

  it('refuses the id of another member\'s task, the same content or not, waiting or ended, and says no more than to its submitter', () => {
    const h = withTask();
    const mine = toClients(h.tell(submitted('t', {}, { ...alices, digest: 'other' })), 'refused')[0]?.error;
    const conflict = () => toClients(h.tell(submitted('t', {}, { submitter: 'bob' })), 'refused')[0]?.error;
    expect(mine?.code).toBe('id_conflict');
    expect(conflict()).toEqual(mine);
    h.tell(ended({ ...h.state.tasks.get('t')!.attempts[0]!, id: 't' }));
    expect(conflict()).toEqual(mine);
    expect(acceptedIn(h.tell(submitted('t', {}, alices)))).toEqual(['t']);
  });

  it('gives what is left of a pruned task to its submitter only', () => {
    const h = new TestHome();
    const prior = { id: 't', digest: 'd@alice', state: 'done', endedWall: 1 } as const;
    const told = (submitter: string, digest: string) => h.tell({ type: 'submitted', client: 1, follow: false, prior, submission: { id: 't', program: 'p', language: 'python', function: 'main', args: new Uint8Array(), options: {}, digest, submitter } });
    expect(outcomesIn(told('alice', 'd@alice'))).toMatchObject([{ state: 'done' }]);
    expect(toClients(told('k', 'd'), 'refused')).toHaveLength(1);
  });
});

const program = Buffer.from('def main(): return "canary-of-alice"');
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a home', () => {
  let shop: Awaited<ReturnType<typeof workshop>>;
  let on: HomeOnDisk;
  let asks = 0;

  /** A link of a client with that key. */
  const client = (key: string): Connection & { next: <K extends Message['kind']>(kind: K) => Promise<MessageOf<K>>; ask: (question: Partial<MessageOf<'ask'>>) => Promise<{ json?: unknown; code?: string | undefined; text: string }> } => {
    const [ours, theirs] = connectInMemory(key, key);
    const waiting: { kind: string; resolve: (message: Message) => void }[] = [];
    const heard: Message[] = [];
    ours.onMessage = (message) => {
      const at = waiting.findIndex(({ kind }) => kind === message.kind);
      if (at >= 0) waiting.splice(at, 1)[0]!.resolve(message);
      else heard.push(message);
    };
    ours.serve(async (hash) => (hash === hashOf(program) ? program : undefined));
    on.home.accept(theirs);
    const next = <K extends Message['kind']>(kind: K) => {
      const at = heard.findIndex((message) => message.kind === kind);
      if (at >= 0) return Promise.resolve(heard.splice(at, 1)[0] as MessageOf<K>);
      return new Promise<MessageOf<K>>((resolve) => waiting.push({ kind, resolve: (message) => resolve(message as MessageOf<K>) }));
    };
    const ask = async (question: Partial<MessageOf<'ask'>>) => {
      ours.send({ kind: 'ask', ask: (asks += 1), what: 'status', ...question });
      const { json, error } = await next('answer');
      const text = json instanceof Uint8Array ? Buffer.from(json).toString() : '';
      return { text, code: error?.code, ...(text === '' ? {} : { json: JSON.parse(text) as unknown }) };
    };
    return Object.assign(ours, { next, ask });
  };

  const submit = (from: Connection, id: string) =>
    from.send({ kind: 'submit', id, program: hashOf(program), language: 'python', function: 'canary', args: Buffer.from('["canary-of-alice"]'), options: {}, follow: true });

  beforeAll(async () => {
    shop = await workshop();
    on = await new HomeOnDisk({ folder: await shop.folder(), indexWorker: shop.indexWorker }).start();
    const alice = client('alice');
    submit(alice, 'waits');
    await alice.next('accepted');
    submit(alice, 'ends');
    await alice.next('accepted');
    alice.send({ kind: 'cancel', id: 'ends' });
    await alice.next('outcome');
  });
  afterAll(async () => {
    await on.home.stop();
    await shop.remove();
    expect(on.broken).toEqual([]);
  });

  it('answers another member as if the task were not there', async () => {
    const bob = client('bob');
    const { id: _id, error: unknown, ...rest } = await (bob.send({ kind: 'watch', id: 'never', follow: true }), bob.next('no_task'));
    for (const id of ['waits', 'ends']) {
      for (const message of [{ kind: 'watch', id, follow: true }, { kind: 'cancel', id }] as const) {
        bob.send(message);
        const { error } = await bob.next('no_task');
        expect({ ...error, message: error.message.replace(id, 'never') }).toEqual(unknown);
      }
      expect(await bob.ask({ what: 'task', id })).toEqual({ text: '', code: 'unknown_task' });
    }
    expect(rest).toEqual({ kind: 'no_task' });
    expect((await bob.ask({ what: 'history' })).json).toEqual([]);
    expect((await bob.ask({ what: 'status' })).json).toMatchObject({ tasks: [] });
    expect(on.home.state.tasks.has('waits')).toBe(true);
  });

  it('shows an admin that it exists and whose it is, and nothing of what it says', async () => {
    const admin = client('k');
    for (const question of [{ what: 'task', id: 'waits' }, { what: 'task', id: 'ends' }, { what: 'history' }, { what: 'status' }] as const) {
      const { text } = await admin.ask(question);
      expect(text).not.toMatch(/canary/);
      expect(text).toContain('name of alice');
    }
    expect((await admin.ask({ what: 'task', id: 'ends' })).json).toMatchObject({ id: 'ends', state: 'cancelled', submitter: 'name of alice' });
    admin.send({ kind: 'cancel', id: 'waits' });
    expect((await admin.next('no_task')).error.code).toBe('not_allowed');
    expect(on.home.state.tasks.has('waits')).toBe(true);
  });

  it('shows its submitter all of it', async () => {
    const alice = client('alice');
    expect((await alice.ask({ what: 'task', id: 'waits' })).json).toMatchObject({ id: 'waits', function: 'canary', program: hashOf(program) });
    expect((await alice.ask({ what: 'history' })).json).toMatchObject([{ id: 'ends', function: 'canary' }, { id: 'waits', function: 'canary' }]);
    expect((await alice.ask({ what: 'status' })).json).toMatchObject({ tasks: [{ id: 'waits', function: 'canary' }] });
  });

  it('gives a program to nobody who knows its hash only', async () => {
    const bob = client('bob');
    await expect(bob.fetch(hashOf(program), 1_000)).rejects.toMatchObject({ reason: 'lacking' });
  });

  it('closes the link of a key that may only run tasks, its own user\'s too, with one sentence', async () => {
    const [ours, theirs] = connectInMemory('carl', 'carl');
    ours.onMessage = () => {};
    const closed = new Promise((resolve) => (ours.onClose = resolve));
    on.home.accept(theirs);
    expect(await closed).toMatchObject({ kind: 'bye', problem: { code: 'not_allowed' } });
  });
});
