/** What a home is after a restart is what it was, as far as records tell: for any order of events. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeGroup, encodeGroup } from '../../src/home/record-codec.ts';
import type { HomeRecord } from '../../src/home/records.ts';
import type { HomeState } from '../../src/home/home-state.ts';
import type { Task } from '../../src/home/task-state.ts';
import type { TaskOptions } from '../../src/wire/messages.ts';
import { attemptsIn, cancelled, ended, failed, granted, linked, started, submitted, TestHome, turnedAway, unlinked } from '../helpers/home.ts';

type Sent = ReturnType<typeof attemptsIn>[number];

interface Step {
  what: 'submit' | 'end' | 'fail' | 'turn_away' | 'start' | 'cancel' | 'unlink' | 'link' | 'restart_runner' | 'pass' | 'grant';
  pick: number;
  options: TaskOptions;
}

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom('submit', 'submit', 'submit', 'end', 'end', 'fail', 'turn_away', 'start', 'cancel', 'unlink', 'link', 'restart_runner', 'pass', 'grant'),
    pick: fc.nat(1_000),
    options: fc.oneof(
      fc.constant({}),
      fc.record({ retries: fc.nat(3), priority: fc.integer({ min: -1, max: 1 }) }),
      fc.record({ once: fc.constant(true) }),
      fc.record({ waitMs: fc.integer({ min: 1, max: 3_000 }) }),
      fc.record({ memoryMb: fc.integer({ min: 1, max: 100 }) }),
    ),
  }),
  { maxLength: 80 },
);

/** Lives through the steps as a home with two runners does. */
function live(plan: readonly Step[]): TestHome {
  const h = new TestHome().withRunners({ a: 2, b: 2 });
  const sent: Sent[] = [];
  let count = 0;
  for (const { what, pick, options } of plan) {
    const attempt = sent.length === 0 ? undefined : sent[pick % sent.length];
    const peer = pick % 2 === 0 ? 'a' : 'b';
    const tell = (...events: Parameters<TestHome['tell']>) => sent.push(...attemptsIn(h.tell(...events)));
    if (what === 'submit') tell(submitted(`t${(count += 1)}`, options));
    else if (what === 'cancel') tell(cancelled(`t${pick % (count + 1)}`));
    else if (what === 'unlink') tell(unlinked(peer));
    else if (what === 'link') tell(linked(peer), granted(peer, 2));
    else if (what === 'restart_runner') tell(unlinked(peer), linked(peer, [], `${peer}-${pick}`));
    else if (what === 'grant') tell(granted(peer, pick % 3));
    else if (what === 'pass') sent.push(...attemptsIn(h.pass(pick)));
    else if (attempt !== undefined) tell({ end: ended, fail: failed, turn_away: turnedAway, start: started }[what](attempt));
    h.ms += 1;
  }
  return h;
}

/** What of a task is durable: `running` is news, and so is output. */
const durable = ({ id, accepted, order, state, attempts, receipt, losses, failures, avoid, notBefore }: Task) => ({
  id,
  accepted,
  order,
  state: state === 'running' ? 'assigned' : state,
  attempts: attempts.map((attempt) => ({ ...attempt, state: attempt.state === 'running' ? 'assigned' : attempt.state })),
  receipt,
  losses,
  failures,
  avoid,
  notBefore,
});

const all = (state: HomeState) => ({
  tasks: new Map([...state.tasks].map(([id, task]) => [id, durable(task)])),
  ended: new Map([...state.recent].map(([id, { accepted, attempts, receipt, queuedMs, ended: end }]) => [id, { accepted, attempts, receipt, queuedMs, end }])),
});

/** Records that tell of one task. */
const ofTasks = (records: readonly HomeRecord[]) => records.flatMap((record) => ('id' in record ? [record] : []));

function throughDisk(records: readonly HomeRecord[]): HomeRecord[] {
  const read: HomeRecord[] = [];
  decodeGroup(Uint8Array.from(encodeGroup(records, 1)), (record) => read.push(record));
  return read;
}

describe('replaying the journal', () => {
  it('gives the state that was lived', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const lived = live(plan);
        const replayed = new TestHome({ records: throughDisk(lived.records), ms: lived.ms });
        expect(all(replayed.state)).toEqual(all(lived.state));
      }),
      { numRuns: 300 },
    );
  });

  it('puts every task into line that is queued, unless it waits for the time of a retry', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        for (const h of [live(plan), new TestHome({ records: live(plan).records, ms: 1_000_000 })]) {
          const inLine = [...h.state.tasks.values()].filter((task) => task.state === 'queued' && task.line !== '');
          expect(h.state.waiting.count).toBe(inLine.length);
          for (const task of h.state.tasks.values()) if (task.state === 'queued' && task.line === '') expect(task.failures).toBeGreaterThan(0);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('ends each task once, and says nothing of it after that', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const over = new Set<string>();
        for (const record of ofTasks(live(plan).records)) {
          expect(over.has(record.id)).toBe(false);
          if (record.kind === 'ended') over.add(record.id);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('never starts a once task twice', () => {
    fc.assert(
      fc.property(steps, (plan) => {
        const records = ofTasks(live(plan).records);
        for (const { id } of records.filter((record) => record.kind === 'accepted' && record.options.once === true)) {
          const lost = records.filter((record) => record.id === id && record.kind === 'requeued' && record.why !== 'refused');
          expect(lost).toEqual([]);
        }
      }),
      { numRuns: 200 },
    );
  });
});
