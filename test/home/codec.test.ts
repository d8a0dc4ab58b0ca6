/** The bytes of what compaction writes, beside the other kinds in one group. */
import { describe, expect, it } from 'vitest';
import { decodeGroup, encodeGroup, type Outline, outlineGroup } from '../../src/home/record-codec.ts';
import { groupsOf } from '../../src/home/record-groups.ts';
import type { HomeRecord, RecordOf } from '../../src/home/records.ts';

const accepted = (id: string, more: Partial<RecordOf<'accepted'>> = {}): RecordOf<'accepted'> => ({
  kind: 'accepted',
  id,
  program: 'ab'.repeat(32),
  language: 'python',
  function: 'main',
  args: new Uint8Array([0x5b, 0x5d]),
  options: { retries: 2 },
  digest: `digest of ${id}`,
  submitter: 's',
  at: 5,
  wall: 1_000,
  ...more,
});
const ended = (id: string, more: Partial<RecordOf<'ended'>> = {}): RecordOf<'ended'> => ({ kind: 'ended', id, state: 'done', peer: 'a', attempt: 1, result: new Uint8Array([0x31]), runMs: 1.5, at: 9, wall: 1_009, ...more });
const receipt: RecordOf<'assigned'>['receipt'] = { peer: 'a', decided: 'load', candidates: [{ peer: 'a', load: 0, cpu_load: 0.25 }], passed_over: { 'no python3': 1 } };
const attempts: RecordOf<'restated'>['attempts'] = [
  { attempt: 1, key: '1', peer: 'a', state: 'lost', reason: 'a fell silent', at: 6, wall: 1_006 },
  { attempt: 2, key: '2', peer: 'b', state: 'assigned', reason: null, at: 7, wall: 1_007 },
];
const restated = (id: string, more: Partial<RecordOf<'restated'>> = {}): RecordOf<'restated'> => ({
  kind: 'restated',
  id,
  accepted: accepted(id),
  seq: 3,
  attempts,
  receipt,
  losses: 1,
  failures: 0,
  avoid: 'a',
  notBefore: 0,
  assignedAt: 7,
  isAssigned: true,
  at: 20,
  wall: 1_020,
  ...more,
});
const retold = (id: string): RecordOf<'retold'> => ({ kind: 'retold', id, accepted: accepted(id, { kwargs: { hash: 'cd'.repeat(32), size: 70_000 } }), attempts, receipt: null, queuedMs: 0.5, ended: ended(id, { stdout: { head: new Uint8Array([1]), tail: new Uint8Array([2]), dropped: 3 } }), at: 20, wall: 1_020 });
const pruned: RecordOf<'pruned'> = {
  kind: 'pruned',
  since: 15,
  tasks: [
    { id: 'p1', digest: 'd1', state: 'done', endedWall: 1_001 },
    { id: 'p2', digest: 'd2', state: 'expired', endedWall: 1_002 },
  ],
  at: 20,
  wall: 1_020,
};

const read = (bytes: Uint8Array): [HomeRecord, number][] => {
  const records: [HomeRecord, number][] = [];
  decodeGroup(bytes, (record, seq) => records.push([record, seq]));
  return records;
};

describe('a group with what compaction writes', () => {
  it('comes back as it was, equal neighbours too', () => {
    const untouched = { attempts: [], receipt: null, avoid: null, isAssigned: false };
    const records: HomeRecord[] = [restated('t1'), accepted('t2'), restated('t3'), restated('t4', untouched), pruned, retold('t5'), retold('t6'), { ...pruned, since: 16 }, ended('t7')];
    expect(read(encodeGroup(records, 40))).toEqual(records.map((record, at) => [record, 40 + at]));
  });

  it('in outline tells ids, digests and ends', () => {
    const outlines: Outline[] = [];
    outlineGroup(encodeGroup([accepted('t1'), ended('t1', { state: 'failed' }), restated('t2'), retold('t3'), pruned], 1), (outline) => outlines.push(outline));
    expect(outlines).toEqual([
      { kind: 'accepted', id: 't1', digest: 'digest of t1' },
      { kind: 'ended', id: 't1', state: 'failed', endedWall: 1_009 },
      { kind: 'accepted', id: 't2', digest: 'digest of t2' },
      { kind: 'retold', id: 't3', digest: 'digest of t3', state: 'done', endedWall: 1_009 },
      pruned,
    ]);
  });

  it('takes less for a second task of the same program', () => {
    const one = encodeGroup([restated('t1')], 1).length;
    expect(encodeGroup([restated('t1'), restated('t2')], 1).length).toBeLessThan(1.7 * one);
  });
});

describe('the records of one flush', () => {
  it('are cut into groups that a log takes, in order, none lost', () => {
    const large = (id: string) => accepted(id, { args: new Uint8Array(64 * 1024), kwargs: new Uint8Array(64 * 1024) });
    const full = (id: string) => ended(id, { stdout: { head: new Uint8Array(65_536), tail: new Uint8Array(65_536), dropped: 0 }, stderr: { head: new Uint8Array(65_536), tail: new Uint8Array(65_536), dropped: 0 }, result: new Uint8Array(65_536) });
    const longest = restated('long', { attempts: Array.from({ length: 1001 }, (_, at) => ({ ...attempts[0]!, attempt: at + 1, reason: '\u4e00'.repeat(at < 100 ? 8_192 : 500) })) });
    const records: HomeRecord[] = [longest, ...Array.from({ length: 200 }, (_, at) => large(`l${at}`)), ...Array.from({ length: 200 }, (_, at) => full(`f${at}`)), ...Array.from({ length: 100 }, (_, at) => accepted(`s${at}`))];
    const groups = [...groupsOf(records)];
    expect(groups.flat()).toEqual(records);
    for (const group of groups) {
      expect(group.length).toBeLessThanOrEqual(64);
      expect(encodeGroup(group, 1).length).toBeLessThan(8 * 1024 * 1024);
    }
    expect(groups.at(-1)!.length).toBeGreaterThan(30);
    expect([...groupsOf([])]).toEqual([]);
  });
});
