/** A runner's decider, told what homes and workers say. */
import type { Decision } from '../../src/lib/driver.ts';
import type { AcceptanceOptions, Origin } from '../../src/runner/acceptance-state.ts';
import type { RunnerEvent, RunnerSend } from '../../src/runner/runner-events.ts';
import { RunnerState } from '../../src/runner/runner-state.ts';
import type { AttemptRef, MessageOf, Problem } from '../../src/wire/messages.ts';

type Decided = Decision<RunnerSend, never, never>;

export const key = (number: number): string => number.toString(16).padStart(16, '0');
export const ref = (number: number): AttemptRef => ({ id: `t${number}`, attempt: 1, key: key(number) });

export class TestRunner {
  readonly state: RunnerState;
  ms = 0;
  /** Jobs fed and not yet taken back or answered, by worker. */
  readonly fed = new Map<string, { job: number; key: string }[]>();
  #pid = 100;

  constructor(slots: number, more: { languages?: ('python' | 'javascript')[]; aheadInPipe?: number; acceptance?: Partial<AcceptanceOptions> } = {}) {
    this.state = new RunnerState({ peer: 'own', slots, languages: more.languages ?? ['python'], memoryMb: 1000, aheadInPipe: () => more.aheadInPipe ?? 16, acceptance: { key: 'k', accept: 'members', trustMembers: false, level: 2, confirmedAgoMs: 0, ...more.acceptance } });
    this.tell({ type: 'home_linked', home: 'h' });
  }

  tell(...events: RunnerEvent[]): Decided {
    const all: Decided = { send: [], journal: [], after: [], wakeAt: undefined };
    for (const event of events) {
      const { send, wakeAt } = this.state.decide(event, { ms: this.ms, wall: this.ms });
      all.send.push(...send);
      all.wakeAt = wakeAt;
      for (const effect of send) {
        if (effect.to !== 'feed') continue;
        this.fed.set(effect.worker, [...(this.fed.get(effect.worker) ?? []), ...effect.jobs.map(({ job, attempt }) => ({ job, key: attempt.key }))]);
      }
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
      wakeAt = decided.wakeAt;
    }
    return all;
  }

  offer(number: number, more: Partial<MessageOf<'attempt'>> = {}, home = 'h', ready = true, origin: Partial<Origin> = {}): Decided {
    const { submitter = 'k' } = more;
    return this.tell({
      type: 'attempt_offered',
      home,
      ready,
      origin: { homeKey: 'k', homeRole: 'member', submitter, submitterRole: 'member', ...origin },
      attempt: { kind: 'attempt', ...ref(number), program: 'p', language: 'python', function: 'main', args: new Uint8Array(2), submitter, ...more },
    });
  }

  ready(worker: string): Decided {
    return this.tell({ type: 'worker_ready', worker, pid: (this.#pid += 1) });
  }

  /** The worker in which the attempt is, as far as it was fed. */
  workerOf(number: number): string {
    for (const [worker, jobs] of this.fed) if (jobs.some((job) => job.key === key(number))) return worker;
    throw new Error(`attempt ${number} is in no worker`);
  }

  answers(worker: string, error?: Problem, more: { leftovers?: boolean } = {}): Decided {
    const job = this.fed.get(worker)?.shift();
    if (job === undefined) throw new Error(`worker ${worker} has no job to answer`);
    const answer = { type: 'worker_answered', worker, job: job.job, runUs: 1_000, resultBytes: 4, leftovers: more.leftovers ?? false } as const;
    return this.tell(error === undefined ? { ...answer, result: new Uint8Array([0x31]) } : { ...answer, error });
  }

  /** What could not have started comes back: all but the first job of the worker. */
  takenBack(worker: string): Decided {
    const [first, ...others] = this.fed.get(worker) ?? [];
    this.fed.set(worker, first === undefined ? [] : [first]);
    return this.tell({ type: 'taken_back', worker, jobs: others.map(({ job }) => job) });
  }

  kill(number: number, why: MessageOf<'kill'>['why'] = 'cancelled'): Decided {
    return this.tell({ type: 'kill_told', home: 'h', ref: ref(number), why });
  }

  /** A slot with a worker that is up and runs this attempt. */
  runs(number: number, more: Partial<MessageOf<'attempt'>> = {}): string {
    this.offer(number, more);
    const worker = this.workerOf(number);
    this.ready(worker);
    return worker;
  }
}

const toHome = <K extends 'attempt_ended' | 'turned_away' | 'started' | 'runner_load'>({ send }: Decided, kind: K): MessageOf<K>[] =>
  send.flatMap((effect) => (effect.to === 'home' && effect.message.kind === kind ? [effect.message as MessageOf<K>] : []));

export const endsIn = (decided: Decided): [string, string][] => toHome(decided, 'attempt_ended').map(({ id, outcome }) => [id, outcome]);
export const problemsIn = (decided: Decided): (string | undefined)[] => toHome(decided, 'attempt_ended').map(({ error }) => error?.code);
export const turnedAwayIn = (decided: Decided): [string, string][] => toHome(decided, 'turned_away').map(({ id, reason }) => [id, reason]);
export const startedIn = (decided: Decided): string[] => toHome(decided, 'started').flatMap(({ attempts }) => attempts.map(({ id }) => id));
export const loadsIn = (decided: Decided): MessageOf<'runner_load'>[] => toHome(decided, 'runner_load');
export const fedIn = ({ send }: Decided): string[] => send.flatMap((effect) => (effect.to === 'feed' ? effect.jobs.map(({ attempt }) => attempt.id) : []));
export const ordersIn = ({ send }: Decided, to: 'spawn' | 'kill' | 'take_back'): string[] => send.flatMap((effect) => (effect.to === to ? [effect.worker] : []));
