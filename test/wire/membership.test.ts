/** Rosters over real links: newer wins, older is refused, a revoked key's links end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LiveRoster } from '../../src/identity/live-roster.ts';
import type { CloseReason, Connection } from '../../src/wire/connection.ts';
import { greet } from '../../src/wire/hello.ts';
import type { LinkIdentity } from '../../src/wire/key-id.ts';
import { dial, listen, type Listener } from '../../src/wire/tls-connection.ts';
import { newIdentity, until } from '../contract/connection-ends.ts';
import { folderOf, newAuthority, row } from '../helpers/rosters.ts';

const hello = { version: '0.1.0', incarnation: 'i', as: 'peer', name: 'n' } as const;
const authority = newAuthority();
const [tracker, member] = [newIdentity(), newIdentity()];
const rows = [row(tracker.keyId, { role: 'admin' }), row(member.keyId)];
const revoked = [rows[0]!, row(member.keyId, { state: 'revoked' })];

let parent: string;
let near: LiveRoster;
let far: LiveRoster;
let listener: Listener;
let accepted: Connection[];
let opened: Connection[];

const rosterOf = async (name: string, { keyId }: LinkIdentity, pushes: boolean): Promise<LiveRoster> =>
  new LiveRoster({ folder: await folderOf(join(parent, name), authority), ownKeyId: keyId, pushes }).open();

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'potluck-members-'));
  near = await rosterOf('near', member, false);
  far = await rosterOf('far', tracker, true);
  accepted = [];
  opened = [];
  listener = await listen({
    host: '127.0.0.1',
    port: 0,
    identity: tracker,
    members: far,
    onConnection: (link) => {
      accepted.push(link);
      greet(link, { ...hello, as: 'tracker' }).then(
        () => (link.onMessage ??= () => undefined),
        () => undefined, // a link that ends before it is greeted is nothing to a test
      );
    },
  });
});
afterEach(async () => {
  for (const link of [...accepted, ...opened]) link.close();
  await listener.close();
  await rm(parent, { recursive: true, force: true });
});

async function call(): Promise<{ link: Connection; ends: CloseReason[] }> {
  const link = await dial({ host: '127.0.0.1', port: listener.port, identity: member, members: near, expectKey: tracker.keyId, timeoutMs: 5_000 });
  opened.push(link);
  await greet(link, hello);
  const ends: CloseReason[] = [];
  link.onClose = (reason) => ends.push(reason);
  link.onMessage = () => undefined;
  return { link, ends };
}

describe('two rosters that meet', () => {
  it.each([
    ['the caller', 2, 7],
    ['who is called', 7, 2],
  ])('end as the newer one, when %s had the older', async (_, nearNumber, farNumber) => {
    await near.take(authority.seal(nearNumber, rows));
    await far.take(authority.seal(farNumber, rows));
    await call();
    await until(() => near.number === 7 && far.number === 7);
  });

  it('never go back: an older one that is pressed on a link is passed over', async () => {
    await near.take(authority.seal(3, rows));
    await far.take(authority.seal(9, rows));
    const { link } = await call();
    link.send({ kind: 'roster', ...authority.seal(4, [rows[1]!]) });
    await until(() => near.number === 9);
    expect([far.number, far.roleOf(tracker.keyId)]).toEqual([9, 'admin']);
  });

  it('are not taken from who forges: the link ends, and the roster stays', async () => {
    for (const roster of [near, far]) await roster.take(authority.seal(3, rows));
    const { link, ends } = await call();
    link.send({ kind: 'roster', ...newAuthority().seal(99, [rows[1]!]) });
    await until(() => ends[0]);
    expect([far.number, far.roleOf(tracker.keyId)]).toEqual([3, 'admin']);
  });
});

describe('a change', () => {
  it('reaches who is linked to the tracker', async () => {
    for (const roster of [near, far]) await roster.take(authority.seal(1, rows));
    await call();
    await far.take(authority.seal(2, [...rows, row('c'.repeat(64))]));
    await until(() => near.number === 2);
    expect(near.roleOf('c'.repeat(64))).toBe('member');
  });

  it('that revokes a key ends its links at once, with the reason; it gets no new one', async () => {
    for (const roster of [near, far]) await roster.take(authority.seal(1, rows));
    const { ends } = await call();
    const before = performance.now();
    await far.take(authority.seal(2, revoked));
    await until(() => ends[0]);
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(ends[0]).toMatchObject({ kind: 'bye', problem: { code: 'revoked' } });
    await expect(call()).rejects.toMatchObject({ code: 'revoked' });
  });

  it('ends also the links that the revoked one does not want to end, and takes nothing from them', async () => {
    for (const roster of [near, far]) await roster.take(authority.seal(1, rows));
    const { link } = await call();
    const server = await until(() => accepted[0]);
    const got: string[] = [];
    let ended = false;
    server.onMessage = ({ kind }) => got.push(kind);
    server.onClose = () => (ended = true);
    // It stops reading, and so does not see that the other side ends.
    link.onMessage = undefined;
    const before = performance.now();
    await far.take(authority.seal(2, revoked));
    link.send({ kind: 'cancel', id: 'late' });
    await until(() => ended);
    expect(performance.now() - before).toBeLessThan(1_000);
    expect(got).toEqual([]);
  });

  it('is seen from the caller\'s side too: who answers and was revoked loses the link', async () => {
    for (const roster of [near, far]) await roster.take(authority.seal(1, rows));
    const { ends } = await call();
    await near.take(authority.seal(2, [row(tracker.keyId, { state: 'revoked' }), rows[1]!]));
    await until(() => ends[0]);
    await expect(call()).rejects.toMatchObject({ code: 'revoked', message: expect.stringContaining('who answers at') as string });
  });
});
