/** A home's decider with the little that a test needs to tell it, and to read from what it decides. */
import type { Decision } from '../../src/lib/driver.ts';
import type { HomeAfter, HomeEvent, HomeSend, Submission } from '../../src/home/home-events.ts';
import { HomeState } from '../../src/home/home-state.ts';
import type { HomeRecord } from '../../src/home/records.ts';
import type { AttemptRef, MessageOf, Outcome, PeerInfo, TaskOptions } from '../../src/wire/messages.ts';

export type Decided = Decision<HomeSend, HomeRecord, HomeAfter>;

export class TestHome {
  readonly state: HomeState;
  readonly records: HomeRecord[] = [];
  ms: number;

  constructor(options: { records?: readonly HomeRecord[]; ms?: number; seed?: number } = {}) {
    this.state = new HomeState({ self: 'own', key: 'k', seed: [1, 2, 3, options.seed ?? 4] });
    this.ms = options.ms ?? 1_000;
    for (const [at, record] of (options.records ?? []).entries()) this.state.replay(record, at + 1);
  }

  /** Tells it one thing after another; what it decided comes in one. */
  tell(...events: HomeEvent[]): Decided {
    const all: Decided = { send: [], journal: [], after: [], wakeAt: undefined };
    for (const event of events) {
      const { send, journal, after, wakeAt } = this.state.decide(event, { ms: this.ms, wall: this.ms });
      all.send.push(...send);
      all.journal.push(...journal);
      all.after.push(...after);
      all.wakeAt = wakeAt;
      this.records.push(...journal);
    }
    return all;
  }

  /** Lets time pass, waking the decider whenever it wants to be woken. */
  pass(ms: number): Decided {
    const all: Decided = { send: [], journal: [], after: [], wakeAt: undefined };
    const end = this.ms + ms;
    let wakeAt: number | undefined = this.ms + 1;
    while (this.ms < end) {
      this.ms = Math.min(end, Math.max(this.ms + 1, wakeAt ?? end));
      const decided = this.tell({ type: 'tick' });
      all.send.push(...decided.send);
      all.journal.push(...decided.journal);
      all.after.push(...decided.after);
      wakeAt = decided.wakeAt;
    }
    return all;
  }

  /** With the tracker up, and a link and a grant for each of these runners. */
  withRunners(slots: Record<string, number>, more: Partial<PeerInfo> = {}): this {
    this.tell({ type: 'tracker_up' });
    for (const [peer, count] of Object.entries(slots)) {
      this.tell(up(peer, { slots: count, ...more }), granted(peer, count), linked(peer));
    }
    return this;
  }
}

let grantSeq = 0;

export const info = (peer: string, more: Partial<PeerInfo> = {}): PeerInfo => ({
  peer,
  incarnation: `${peer}-1`,
  addresses: [{ host: peer, port: 9000 }],
  machine: { boot: peer, net: '' },
  slots: 4,
  languages: { python: '3' },
  memoryMb: 1000,
  isolation: 1,
  version: '0',
  key: 'k',
  state: 'up',
  cpu_load: 0,
  running: 0,
  granted: 0,
  queued: 0,
  ...more,
});

export const up = (peer: string, more: Partial<PeerInfo> = {}): HomeEvent => ({ type: 'peers_told', all: false, peers: [info(peer, more)] });
export const granted = (peer: string, slots: number, others = 0): HomeEvent => ({ type: 'granted', grant: { kind: 'grant', peer, incarnation: `${peer}-1`, slots, others, seq: (grantSeq += 1) } });
export const linked = (peer: string, held: (AttemptRef & { ended: boolean })[] = [], incarnation = `${peer}-1`, key = 'k'): HomeEvent => ({ type: 'runner_linked', peer, key, incarnation, held, roundTripMs: 1 });
export const unlinked = (peer: string): HomeEvent => ({ type: 'runner_unlinked', peer });
export const cancelled = (id: string, client = 1, by = 'k'): HomeEvent => ({ type: 'cancelled', client, by, id });
export const watched = (id: string, more: { client?: number; by?: string; follow?: boolean } = {}): HomeEvent => ({ type: 'watched', client: 1, by: 'k', follow: false, ...more, id });
export const tick: HomeEvent = { type: 'tick' };

const submission = (id: string, options: TaskOptions, more: Partial<Submission>): Submission => ({
  id,
  program: 'p',
  language: 'python',
  function: 'main',
  args: new Uint8Array([0x5b, 0x5d]),
  options,
  digest: 'd',
  submitter: 'k',
  ...more,
});

export const submitted = (id: string, options: TaskOptions = {}, more: Partial<Submission> & { client?: number; follow?: boolean } = {}): HomeEvent => {
  const { client = 1, follow = false, ...rest } = more;
  return { type: 'submitted', client, follow, submission: submission(id, options, rest) };
};

/** Attempts on their way out, also those of `once` tasks that wait for the disk. */
export const attemptsIn = ({ send, after }: Decided): (MessageOf<'attempt'> & { peer: string })[] =>
  [...send, ...after].flatMap((effect) => (effect.to === 'runner' && effect.message.kind === 'attempt' ? [{ ...effect.message, peer: effect.peer }] : []));

export const sentNow = ({ send }: Decided): (MessageOf<'attempt'> & { peer: string })[] =>
  send.flatMap((effect) => (effect.to === 'runner' && effect.message.kind === 'attempt' ? [{ ...effect.message, peer: effect.peer }] : []));

export const killsIn = ({ send, after }: Decided): MessageOf<'kill'>[] => [...send, ...after].flatMap((effect) => (effect.to === 'runner' && effect.message.kind === 'kill' ? [effect.message] : []));

export const toClients = <K extends 'outcome' | 'refused' | 'task_state' | 'output' | 'no_task'>({ after }: Decided, kind: K): (MessageOf<K> & { client: number })[] =>
  after.flatMap((effect) => (effect.to === 'client' && effect.message.kind === kind ? [{ ...(effect.message as MessageOf<K>), client: effect.client }] : []));

export const acceptedIn = ({ after }: Decided): string[] => after.flatMap((effect) => (effect.to === 'accepted' ? [effect.id] : []));
export const outcomesIn = (decided: Decided): Pick<Outcome, 'id' | 'state' | 'peer' | 'attempt'>[] => toClients(decided, 'outcome').map(({ id, state, peer, attempt }) => ({ id, state, peer, attempt }));
export const demandsIn = ({ send }: Decided): MessageOf<'demand'>[] => send.flatMap((effect) => (effect.to === 'tracker' && effect.message.kind === 'demand' ? [effect.message] : []));

/** The one attempt that is on its way; a test that expects it fails without it. */
export function theAttempt(decided: Decided): MessageOf<'attempt'> & { peer: string } {
  const attempts = attemptsIn(decided);
  const [only] = attempts;
  if (only === undefined || attempts.length > 1) throw new Error(`${attempts.length} attempts were sent, not one`);
  return only;
}

/** How a runner says that an attempt is over. */
export const ended = ({ id, attempt, key, peer }: AttemptRef & { peer: string }, more: Partial<MessageOf<'attempt_ended'>> = {}): HomeEvent => ({
  type: 'attempt_ended',
  peer,
  end: { kind: 'attempt_ended', id, attempt, key, outcome: 'done', runUs: 1_000_000, result: new Uint8Array([0x31]), ...more },
});

export const failed = (ref: AttemptRef & { peer: string }, code = 'exception'): HomeEvent => {
  const { id, attempt, key, peer } = ref;
  return { type: 'attempt_ended', peer, end: { kind: 'attempt_ended', id, attempt, key, outcome: 'failed', runUs: 1_000, error: { code, message: code } } };
};

export const turnedAway = ({ id, attempt, key, peer }: AttemptRef & { peer: string }, reason: MessageOf<'turned_away'>['reason'] = 'busy'): HomeEvent => ({ type: 'turned_away', peer, ref: { id, attempt, key }, reason, detail: undefined });
export const started = ({ id, attempt, key, peer }: AttemptRef & { peer: string }): HomeEvent => ({ type: 'attempts_started', peer, attempts: [{ id, attempt, key }] });
