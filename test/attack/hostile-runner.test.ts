/** A runner that lies, with a real key of a member: what it says is refused or shown as what it is, and harms nobody else. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Pool } from '../../src/sdk/index.ts';
import { limits } from '../../src/limits.ts';
import type { PeerSelf } from '../../src/wire/messages.ts';
import { until } from '../e2e/until.ts';
import { done, HostilePeer, type Attempt } from './hostile-peer.ts';
import { PoolOfKeys, type RunningPeer } from './pool-of-keys.ts';

let pool: PoolOfKeys;
/** Ada's home runs nothing itself; her second peer is honest. */
let home: RunningPeer;
let honest: RunningPeer;
let client: Pool;
let liar: HostilePeer;
let helper: HostilePeer;
beforeAll(async () => {
  pool = await PoolOfKeys.make({ ada: 'admin', bea: 'member', cyd: 'member' });
  await pool.startTracker('ada');
  home = await pool.startPeer('ada', ['--slots', '0']);
  client = await pool.client('ada', home);
  liar = new HostilePeer(pool, 'bea', 'liar');
  helper = new HostilePeer(pool, 'cyd', 'helper');
  await liar.start(1);
  await until('the liar is known', async () => (await client.peers()).some(({ peer, state }) => peer === 'liar' && state === 'up'));
});
afterAll(async () => {
  liar.stop();
  helper.stop();
  await pool.stop();
});
beforeEach(() => {
  liar.attempts.length = 0;
  liar.onAttempt = () => undefined;
});

const stale = async (): Promise<number> => ((await client.status()) as unknown as { stale_results: number }).stale_results;
const rssMiB = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${home.process.pid}/status`, 'utf8'))?.[1]) / 1024;
const submit = (program = 'def main(): return "true"') => client.submit<string>({ language: 'python', program, args: [] });
/** The liar gives everything away from now on. */
const liarSteps = (aside: boolean) => {
  liar.tellLoad(aside ? { slots: 1, draining: true } : { slots: 1 });
};

describe('what a peer says of itself', () => {
  const codes = '\u001b]0;owned\u0007\u001b[2J';
  it.each<[string, number, Partial<PeerSelf>]>([
    ['a million slots', 1_000_000, {}],
    ['less than no slots', -1, {}],
    ['a path as a name', 1, { peer: '../../../etc/cron.d/x' }],
    ['control codes in its name', 1, { peer: `x${codes}` }],
    ['control codes in a version', 1, { languages: { python: codes } }],
    ['control codes in an address', 1, { addresses: [{ host: codes, port: 1 }] }],
    ['control codes in the address of its page', 1, { web: `http://${codes}/` }],
    ['control codes in where it runs', 1, { machine: { boot: codes, net: codes } }],
    ['text that runs backwards', 1, { version: '\u202egnp.exe' }],
    ['a level that there is not', 1, { isolation: 9 }],
  ])('is refused if it is %s', async (_, slots, lies) => {
    await expect(helper.register(slots, lies)).rejects.toMatchObject({ code: 'link_lost' });
    expect((await client.peers()).map(({ peer }) => peer).toSorted()).toEqual([home.name, 'liar'].toSorted());
  });

  it('is refused if it is a load beyond all slots', async () => {
    await helper.register(1);
    helper.tellLoad({ slots: 1_000_000, running: 0 });
    await until('the tracker cut the link', async () => (await client.peers()).some(({ peer, state }) => peer === 'helper' && state !== 'up'));
  });
});

describe('what it says of attempts', () => {
  it('about one that another holds is refused, even with its true key', async () => {
    const task = submit();
    const attempt = await liar.given();
    await helper.start(1);
    const other = submit();
    // Both are given something now, so the home has links to both.
    const helpers = await helper.given();
    const before = await stale();
    for (const link of helper.homes) link.send(done(attempt));
    await until('it was counted', async () => (await stale()) === before + 1);
    expect((await client.task(attempt.id)).state).not.toBe('done');
    liar.homes.at(-1)!.send(done(attempt, { result: Buffer.from('"mine"') }));
    helper.homes.at(-1)!.send(done(helpers, { result: Buffer.from('"mine"') }));
    expect(await Promise.all([task, other])).toEqual(['mine', 'mine']);
    helper.stop();
  });

  it('with another key, another number, or for a task that there is not, is refused', async () => {
    const task = submit();
    const attempt = await liar.given();
    const before = await stale();
    const wrong: Partial<Attempt>[] = [{ key: '0'.repeat(16) }, { attempt: 2 }, { attempt: 1_000_000 }, { id: 'no-such-task' }];
    for (const change of wrong) liar.homes.at(-1)!.send(done({ ...attempt, ...change }));
    await until('they were counted', async () => (await stale()) === before + wrong.length);
    expect((await client.task(attempt.id)).state).not.toBe('done');
    liar.homes.at(-1)!.send(done(attempt));
    expect(await task).toBe('a lie');
  });

  it('after another runner has it is stale, and changes nothing', async () => {
    const gate = join(pool.root, 'gate');
    liar.onAttempt = ({ id, attempt, key }, link) => {
      liarSteps(true);
      link.send({ kind: 'turned_away', id, attempt, key, reason: 'draining' });
    };
    const task = submit(`import os, time\ndef main():\n    while not os.path.exists(${JSON.stringify(gate)}): time.sleep(0.02)\n    return "true"`);
    const attempt = await liar.given();
    honest = await pool.startPeer('ada', ['--slots', '1', '--isolation', '1']);
    await until('the honest one runs it', async () => (await client.task(attempt.id)).peer === honest.name);
    const before = await stale();
    liar.homes.at(-1)!.send(done(attempt));
    await until('it was counted', async () => (await stale()) === before + 1);
    writeFileSync(gate, '');
    expect(await task).toBe('true');
    expect(await client.task(attempt.id)).toMatchObject({ state: 'done', peer: honest.name, result: 'true' });
    liarSteps(false);
  });

  it('the second time changes nothing: the first word stands', async () => {
    liar.onAttempt = (attempt, link) => {
      link.send(done(attempt, { result: Buffer.from('"first"') }));
      link.send(done(attempt, { result: Buffer.from('"second"') }));
    };
    const task = await onLiar();
    expect(task.result).toBe('first');
    expect(await client.task(task.id)).toMatchObject({ result: 'first', peer: 'liar' });
  });

  it('is shown with its name: who made a result up can be found', async () => {
    liar.onAttempt = (attempt, link) => link.send(done(attempt, { runUs: 0 }));
    const { id } = await onLiar();
    const shown = await pool.cli('ada', ['task', id, '--port', String(home.port)]);
    expect(shown.stdout).toMatch(/liar/);
  });
});

/** Tasks until one runs on the liar. */
async function onLiar(): Promise<{ id: string; result: string }> {
  return until('a task ran on the liar', async () => {
    const task = submit();
    const { id, state, peer } = await task.outcome();
    return state === 'done' && peer === 'liar' && { id, result: await task };
  });
}

/** Tasks until the liar has had one to lie about; gives that one when it has ended. */
async function lyingAbout(lie: (attempt: Attempt, link: HostilePeer['homes'][number]) => void): Promise<string> {
  let lied: string | undefined;
  liar.onAttempt = (attempt, link) => {
    lied ??= attempt.id;
    lie(attempt, link);
  };
  await until('the liar had its turn', async () => {
    await submit().then(() => undefined, () => undefined);
    return lied !== undefined;
  });
  return lied!;
}

describe('what it tells the tracker', () => {
  it('a demand of the largest kind, over and over in few bytes, keeps the tracker from nobody', async () => {
    const many = Array.from({ length: 1_024 }, (_, at) => ({ peer: `p${at}`, slots: 1_024, used: 1_024 }));
    const waiting = Array.from({ length: 64 }, (_, at) => ({ need: { language: 'python' as const, memoryMb: at }, count: 1_000_000 }));
    const demand = { kind: 'demand', seen: 1_000_000, waiting, held: many } as const;
    for (let row = 0; row < 4_096; row += 1) liar.tellTracker(demand);
    const startedAt = performance.now();
    await helper.register(1);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });
});

describe('what it sends', () => {
  it('a result of a gigabyte is not taken, and the task goes elsewhere', async () => {
    const before = rssMiB();
    const hash = createHash('sha256').update('large').digest('hex');
    liar.heard.length = 0;
    const id = await lyingAbout((attempt, link) => {
      link.send(done(attempt, { result: { hash, size: 1_000_000_000 } }));
      const size = 1_000_000_000;
      for (let offset = 0; offset < 64 * limits.chunkBytes; offset += limits.chunkBytes) link.send({ kind: 'chunk', hash, offset, size, data: Buffer.alloc(limits.chunkBytes) });
    });
    expect(await client.task(id)).toMatchObject({ state: 'done', peer: honest.name, result: 'true' });
    expect(rssMiB() - before).toBeLessThan(100);
  });

  it('content that nobody asked for is dropped', async () => {
    await onLinked();
    const before = rssMiB();
    const hash = createHash('sha256').update('unasked').digest('hex');
    for (let offset = 0; offset < 1_000; offset += 1) liar.homes.at(-1)!.send({ kind: 'chunk', hash, offset: offset * limits.chunkBytes, size: 1_000 * limits.chunkBytes, data: Buffer.alloc(limits.chunkBytes) });
    expect((await submit().outcome()).state).toBe('done');
    expect(rssMiB() - before).toBeLessThan(100);
  });

  it('output without end is kept at its ends, and control codes in it reach no terminal', async () => {
    const before = rssMiB();
    const nasty = Buffer.from('\u001b]0;owned\u0007\u001b[2J\u001b[1;1Hfake prompt $ \u009b31m\u202e\n');
    const lied = await lyingAbout((attempt, link) => {
      const { id, key } = attempt;
      for (let sent = 0; sent < 400; sent += 1) link.send({ kind: 'attempt_output', id, attempt: attempt.attempt, key, stream: sent % 2 === 0 ? 'stdout' : 'stderr', data: Buffer.concat([nasty, Buffer.alloc(32 * 1024, 0x78), nasty]) });
      link.send({ ...done(attempt), outcome: 'failed', result: undefined, error: { code: 'exception', message: nasty.toString(), type: `Evil${nasty.toString()}`, traceback: nasty.toString(), hint: nasty.toString() } });
    });
    expect(rssMiB() - before).toBeLessThan(100);
    expect((await client.task(lied)).output.stdout.dropped_bytes).toBeGreaterThan(1_000_000);
    for (const args of [['task', lied], ['wait', lied], ['history'], ['status'], ['peers']]) {
      const shown = await onTerminal([...args, '--port', String(home.port)]);
      expect({ args, codes: shown.replaceAll('\r\n', '\n').match(/[^\P{Cc}\n\t]|[\u202a-\u202e]/gu) }).toEqual({ args, codes: null });
    }
  });

  it('output that is a hundred times what came over the wire, as rows that are the same, stops nobody', async () => {
    const before = rssMiB();
    const sent = 10 * 4_096;
    const id = await lyingAbout((attempt, link) => {
      const message = { kind: 'attempt_output', id: attempt.id, attempt: attempt.attempt, key: attempt.key, stream: 'stdout', data: Buffer.alloc(30_000, 0x78) } as const;
      for (let row = 0; row < sent; row += 1) link.send(message);
      link.send(done(attempt));
    });
    expect((await client.task(id)).output.stdout.dropped_bytes).toBeGreaterThan(sent * 29_000);
    expect(rssMiB() - before).toBeLessThan(150);
  });

  it.each([
    ['no JSON', Buffer.from('{"open": \u001b[2J')],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['two texts, so that it would change what is told beside it', Buffer.from('1,"peer":"ada","state":"done"')],
    ['nothing', undefined],
  ])('a result that is %s is an error of the result, for the command line too', async (_, result) => {
    const id = await lyingAbout((attempt, link) => link.send(done(attempt, { result })));
    for (const command of ['wait', 'task']) {
      const shown = await pool.cli('ada', [command, id, '--json', '--port', String(home.port)]);
      expect(JSON.parse(shown.stdout), command).toMatchObject({ state: 'done', peer: 'liar', error: { code: 'result_invalid' } });
    }
    await expect(client.watch(id)).rejects.toMatchObject({ code: 'result_invalid' });
  });

  it('characters in a result that would steer a terminal are escaped there, and nowhere else', async () => {
    const json = '{"c1":"\u009b2J","turned":"\u202egnp.exe"}';
    const id = await lyingAbout((attempt, link) => link.send(done(attempt, { result: Buffer.from(json) })));
    expect((await pool.cli('ada', ['wait', id, '--port', String(home.port)])).stdout).toBe(`${json}\n`);
    expect(await onTerminal(['wait', id, '--port', String(home.port)])).toContain('{"c1":"\\u009b2J","turned":"\\u202egnp.exe"}');
  });

  it('words that a runner does not say end its link, and are counted', async () => {
    await onLinked();
    const links = liar.homes.length;
    liar.homes.at(-1)!.send({ kind: 'grant', peer: 'liar', incarnation: 'hostile', slots: 1_000, others: 0, seq: 1 });
    liar.onAttempt = (attempt, link) => link.send(done(attempt));
    await onLiar();
    expect(liar.homes.length).toBeGreaterThan(links);
  });
});

/** The home has a link to the liar. */
async function onLinked(): Promise<void> {
  liar.onAttempt = (attempt, link) => link.send(done(attempt));
  await onLiar();
}

/** What a command wrote on a pseudo-terminal, without colours of its own. */
async function onTerminal(args: readonly string[]): Promise<string> {
  const { stdout } = await pool.cli('ada', args, { via: ['python3', '-c', 'import pty, sys\npty.spawn(sys.argv[1:])'], env: { NO_COLOR: '1', TERM: 'dumb' } });
  return stdout;
}
