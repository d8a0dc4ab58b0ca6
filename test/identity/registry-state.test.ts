import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { RegistryState, type RegistryAfter, type RegistryAnswer, type RegistryEvent } from '../../src/identity/registry-state.ts';
import type { RegistryRecord } from '../../src/identity/registry-records.ts';
import { limits } from '../../src/limits.ts';

type WithoutAsker<E> = E extends unknown ? Omit<E, 'asker'> : never;
type Question = WithoutAsker<Extract<RegistryEvent, { asker: number }>>;

const tracker = '0'.repeat(64);
const hour = 3_600_000;
let state: RegistryState;
let wall: number;
let log: RegistryRecord[];
let asker: number;

const key = (number: number): string => number.toString(16).padStart(64, '0');

function tell(event: RegistryEvent): RegistryAfter[] {
  const { journal, after } = state.decide(event, { ms: 0, wall });
  log.push(...journal);
  return after;
}

function ask(question: Question): RegistryAnswer {
  asker += 1;
  const after = tell({ ...question, asker } as RegistryEvent);
  const last = after.at(-1);
  if (last?.to !== 'asker' || last.asker !== asker) throw new Error('the answer is not the last thing that follows');
  return last.answer;
}

const start = (more: Partial<Extract<RegistryEvent, { type: 'started' }>> = {}): RegistryAfter[] => tell({ type: 'started', key: tracker, name: 'den', machine: 'den', roster: undefined, ...more });
const invite = (id: string, more: Partial<Extract<Question, { type: 'invite_asked' }>> = {}): RegistryAnswer =>
  ask({ type: 'invite_asked', by: tracker, id, publicKey: 'p', role: 'member', joins: 10, ttlMs: hour, ...more });
const join = (number: number, invitation = 'i', name = `m${number}`): RegistryAnswer => ask({ type: 'join_asked', invitation, key: key(number), machine: name, name, address: '10.0.0.1' });
const codeOf = (answer: RegistryAnswer): string => ('refused' in answer ? answer.refused.code : answer.ok);
const roles = (): Record<string, string> => Object.fromEntries([...state.members.values()].map((member) => [member.name, `${member.state} ${member.role}`]));

/** A state made of the log alone, as after a restart. */
function replayed(records: readonly RegistryRecord[] = log): RegistryState {
  const again = new RegistryState();
  for (const record of records) again.replay(structuredClone(record));
  return again;
}

beforeEach(() => {
  state = new RegistryState();
  wall = Date.UTC(2026, 0, 1);
  log = [];
  asker = 0;
  start();
});

describe('a new pool', () => {
  it('has its tracker as admin, in roster 1', () => {
    expect([state.number, state.tracker, roles()]).toEqual([1, tracker, { den: 'active admin' }]);
  });

  it('is founded once: a restart writes nothing, and publishes what is there', () => {
    expect(start()).toEqual([{ to: 'publish' }]);
    expect(log).toHaveLength(1);
  });

  it('that had a roster before it had a log keeps its members and counts on', () => {
    state = new RegistryState();
    start({ roster: { number: 7, members: [{ key: tracker, name: 'den', role: 'admin', state: 'active' }, { key: key(1), name: 'b', role: 'runner', state: 'active' }] } });
    expect([state.number, roles()]).toEqual([8, { den: 'active admin', b: 'active runner' }]);
  });

  it('whose log is an old copy goes by the newer roster, counts on from it, and ends open invitations', () => {
    invite('i');
    join(1);
    start({ roster: { number: 9, members: [{ key: tracker, name: 'den', role: 'admin', state: 'active' }, { key: key(1), name: 'm1', role: 'member', state: 'revoked' }, { key: key(2), name: 'm2', role: 'runner', state: 'active' }] } });
    expect([state.number, roles(), codeOf(join(3))]).toEqual([10, { den: 'active admin', m1: 'revoked member', m2: 'active runner' }, 'invitation_revoked']);
    expect(codeOf(invite('j'))).toBe('invited');
    expect(replayed().number).toBe(10);
  });

  it('whose tracker got a new key has that as admin, and the old one no more', () => {
    invite('i');
    join(1);
    start({ key: key(99), name: 'den' });
    expect([state.tracker, roles(), state.number]).toEqual([key(99), { den: 'active admin', m1: 'active member' }, 3]);
    expect(codeOf(invite('j'))).toBe('not_allowed');
    expect(codeOf(invite('j', { by: key(99) }))).toBe('invited');
  });
});

describe('joining', () => {
  it('adds the row and counts the use in one record, then the roster, then the answer', () => {
    invite('i', { role: 'runner' });
    const after = tell({ type: 'join_asked', asker: 9, invitation: 'i', key: key(1), machine: 'lap', name: 'lap', address: 'a' });
    expect(log.slice(2)).toEqual([expect.objectContaining({ type: 'joined', number: 2, invitation: 'i', name: 'lap', role: 'runner' })]);
    expect(after.map(({ to }) => to)).toEqual(['audit', 'publish', 'asker']);
    expect(state.invitations.get('i')?.used).toBe(1);
  });

  it('with a used up, expired, revoked, unknown invitation: each its own refusal', () => {
    invite('once', { joins: 1 });
    invite('short', { ttlMs: 1 });
    invite('gone');
    ask({ type: 'invitation_revoke_asked', by: tracker, id: 'gone' });
    join(1, 'once');
    wall += 1;
    expect(['once', 'short', 'gone', 'none'].map((id) => codeOf(join(2, id)))).toEqual(['invitation_used_up', 'invitation_expired', 'invitation_revoked', 'invitation_refused']);
    expect(state.members.has(key(2))).toBe(false);
  });

  it('again with the same key is the same answer and uses nothing, even when the invitation is over', () => {
    invite('i', { joins: 1, ttlMs: 10 });
    const first = join(1);
    wall += 1_000;
    expect(join(1)).toMatchObject({ ok: 'joined', again: true, member: { name: (first as { member: { name: string } }).member.name } });
    expect([state.invitations.get('i')?.used, state.number]).toEqual([1, 2]);
  });

  it('under a name that is taken gets the next free one', () => {
    invite('i');
    const long = 'x'.repeat(limits.nameLengthMax);
    expect([join(1, 'i', 'den'), join(2, 'i', 'den'), join(3, 'i', long), join(4, 'i', long)].map((answer) => ('ok' in answer && answer.ok === 'joined' ? answer.member.name : answer))).toEqual(['den-2', 'den-3', long, `${long.slice(0, -2)}-2`]);
  });

  it('beyond what a roster holds is refused', () => {
    invite('i', { joins: limits.membersMax });
    for (let number = 1; number < limits.membersMax; number += 1) join(number);
    expect(codeOf(join(9_999))).toBe('pool_full');
    ask({ type: 'revoke_asked', by: tracker, member: 'm5' });
    invite('j');
    expect(codeOf(join(9_999, 'j'))).toBe('joined');
  });

  it('is decided by the clock of the tracker only, wherever that stands', () => {
    wall = Date.UTC(1971, 0, 1);
    invite('old');
    expect(codeOf(join(1, 'old'))).toBe('joined');
    wall = Date.UTC(2090, 0, 1);
    expect(codeOf(join(2, 'old'))).toBe('invitation_expired');
  });
});

describe('revoking', () => {
  it('ends the member, the invitation that it used and those it made', () => {
    invite('used', { role: 'admin' });
    invite('other');
    join(1, 'used');
    invite('made', { by: key(1) });
    expect(ask({ type: 'revoke_asked', by: tracker, member: 'm1' })).toMatchObject({ ok: 'revoked', again: false, invitations: ['used', 'made'] });
    expect(['used', 'made', 'other'].map((id) => codeOf(join(2, id)))).toEqual(['invitation_revoked', 'invitation_revoked', 'joined']);
    expect(codeOf(invite('more', { by: key(1) }))).toBe('not_allowed');
  });

  it('is for good: the key does not come back by any invitation, its name is free', () => {
    invite('i');
    invite('j');
    join(1);
    ask({ type: 'revoke_asked', by: tracker, member: 'm1' });
    expect([codeOf(join(1, 'j')), codeOf(join(2, 'j', 'm1'))]).toEqual(['revoked', 'joined']);
    expect(ask({ type: 'revoke_asked', by: tracker, member: 'm1' })).toMatchObject({ member: { key: key(2) } });
    expect(ask({ type: 'revoke_asked', by: tracker, member: key(1) })).toMatchObject({ again: true });
  });

  it('of nobody, and of the tracker itself, is refused', () => {
    expect([codeOf(ask({ type: 'revoke_asked', by: tracker, member: 'x' })), codeOf(ask({ type: 'revoke_asked', by: tracker, member: 'den' }))]).toEqual(['unknown_member', 'not_allowed']);
  });
});

describe('who is no admin', () => {
  it.each(['member', 'runner'] as const)('as %s changes nothing', (role) => {
    invite('i', { role });
    join(1);
    const before = log.length;
    const by = key(1);
    const answers = [invite('x', { by }), ask({ type: 'revoke_asked', by, member: 'den' }), ask({ type: 'revoke_asked', by, member: 'm1' }), ask({ type: 'invitation_revoke_asked', by, id: 'i' })];
    expect([answers.map(codeOf), log.length]).toEqual([['not_allowed', 'not_allowed', 'not_allowed', 'not_allowed'], before]);
  });
});

describe('after a failed flush', () => {
  it('nothing is changed any more', () => {
    invite('i');
    tell({ type: 'commit_failed' });
    const before = log.length;
    expect([codeOf(join(1)), codeOf(invite('j')), log.length]).toEqual(['store_failed', 'store_failed', before]);
  });
});

describe('whatever is asked, in whatever order', () => {
  it('10 000 machines with an invitation for one: exactly one is in', () => {
    invite('one', { joins: 1 });
    const joined = Array.from({ length: 10_000 }, (_, at) => codeOf(join(at + 1, 'one'))).filter((code) => code === 'joined');
    expect([joined.length, state.members.size]).toEqual([1, 2]);
  });

  it('no invitation is used too often, numbers rise by one, names are one each, and the log says it all', () => {
    const events = fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.record({ what: fc.constant('join' as const), key: fc.integer({ min: 1, max: 12 }), id: fc.constantFrom('a', 'b', 'c'), name: fc.constantFrom('x', 'y', 'den') }) },
        { weight: 2, arbitrary: fc.record({ what: fc.constant('invite' as const), by: fc.integer({ min: 0, max: 12 }), id: fc.constantFrom('a', 'b', 'c'), joins: fc.integer({ min: 1, max: 3 }), role: fc.constantFrom('admin' as const, 'member' as const, 'runner' as const) }) },
        fc.record({ what: fc.constant('revoke' as const), by: fc.integer({ min: 0, max: 12 }), key: fc.integer({ min: 0, max: 12 }) }),
        fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: hour }) }),
        fc.record({ what: fc.constant('restart' as const) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(events, (list) => {
        state = new RegistryState();
        log = [];
        start();
        for (const event of list) {
          if (event.what === 'wait') wall += event.ms;
          else if (event.what === 'restart') {
            state = replayed();
            start();
          } else if (event.what === 'join') join(event.key, event.id, event.name);
          else if (event.what === 'revoke') ask({ type: 'revoke_asked', by: event.by === 0 ? tracker : key(event.by), member: key(event.key) });
          else if (!state.invitations.has(event.id)) invite(event.id, { by: event.by === 0 ? tracker : key(event.by), joins: event.joins, role: event.role });
          for (const invitation of state.invitations.values()) expect(invitation.used).toBeLessThanOrEqual(invitation.joins);
          const names = [...state.members.values()].filter((member) => member.state === 'active').map(({ name }) => name);
          expect(new Set(names).size).toBe(names.length);
          expect(state.members.get(tracker)).toMatchObject({ role: 'admin', state: 'active' });
        }
        const numbers = log.flatMap((record) => ('number' in record ? [record.number] : []));
        expect(numbers).toEqual(numbers.map((_, at) => at + 1));
        // A crash at any record: a member is there exactly if its use is counted.
        for (let cut = 0; cut <= log.length; cut += 1) {
          const found = replayed(log.slice(0, cut));
          for (const { id, used } of found.invitations.values()) expect([...found.members.values()].filter(({ invitation }) => invitation === id)).toHaveLength(used);
        }
        const again = replayed();
        expect([[...again.members], [...again.invitations], again.number]).toEqual([[...state.members], [...state.invitations], state.number]);
      }),
      { numRuns: 200 },
    );
  });
});
