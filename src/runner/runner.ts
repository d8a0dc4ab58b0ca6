/**
 * The shell of a runner: links to homes, workers, the machine's load; all decisions are runner-state.ts's.
 *
 * Neighbours: src/sandbox runs the workers; a home speaks to it over a Connection, also the home of the
 * same peer (in memory).
 */
import { causeText } from '../errors.ts';
import type { Standing } from '../identity/acceptance.ts';
import type { Roster } from '../identity/roster.ts';
import type { Clock } from '../lib/clock.ts';
import { Driver } from '../lib/driver.ts';
import { limits } from '../limits.ts';
import type { Isolation, Job, WorkerEvent, WorkerProcess, WorkerSpec } from '../sandbox/types.ts';
import { type Connection, type Language, type Message, type MessageOf, peerNameSchema, type Problem } from '../wire/index.ts';
import type { AcceptanceOptions, Origin } from './acceptance-state.ts';
import { Contents } from './contents.ts';
import { LoadMeter } from './load.ts';
import type { Observation } from './observed-state.ts';
import type { RunnerEvent, RunnerSend } from './runner-events.ts';
import { RunnerState } from './runner-state.ts';

/** What a runner needs of the sandbox. */
export interface WorkerHost {
  spawn(spec: WorkerSpec): void;
  feed(worker: string, jobs: Job[]): void;
  takeBack(worker: string): number[];
  kill(worker: string): void;
  list(): WorkerProcess[];
}

export interface Confinement {
  /** The most that it is held in; what the machine reaches may be less. */
  isolation: Isolation;
  /** Null: no limit. */
  memoryMb: number | null;
}

export interface RunnerShellOptions {
  peer: string;
  incarnation: string;
  version: string;
  slots: number;
  languages: readonly Language[];
  memoryMb: number;
  clock: Clock;
  aheadInPipe: (language: Language) => number;
  /** The box of a worker, and its memory where its tasks name none; by whether they are other members'. */
  confine: (foreign: boolean) => Confinement;
  /** Starts no process yet; `onEvent` of the sandbox is Runner.onWorkerEvent. */
  workers: WorkerHost;
  acceptance: AcceptanceOptions;
  roster: Roster;
  /** For the pool's audit. */
  report: (observation: Observation) => void;
  broken: (error: unknown) => void;
  meter?: Pick<LoadMeter, 'sample'>;
}

const sampleMs = 250;
/** Killed workers are gone within a second, and a home stores a large result within this. */
const stopMs = 3_000;

export class Runner {
  readonly state: RunnerState;
  readonly #o: RunnerShellOptions;
  readonly #driver: Driver<RunnerEvent, RunnerSend, never, never>;
  readonly #homes = new Map<string, Connection>();
  /** Homes whose links hold more than they should. */
  readonly #full = new Set<string>();
  readonly #contents: Contents;
  #sampler: NodeJS.Timeout | undefined;
  #forgetRoster: (() => void) | undefined;

  constructor(options: RunnerShellOptions) {
    this.#o = options;
    this.state = new RunnerState(options);
    this.#contents = new Contents((program) => [...this.state.attempts.values()].some(({ message }) => message.program === program));
    this.#driver = new Driver<RunnerEvent, RunnerSend, never, never>({
      decider: this.state,
      clock: options.clock,
      recorder: undefined,
      tick: { type: 'tick' },
      send: (effect) => this.#carryOut(effect),
      release: () => {},
      broken: options.broken,
    });
  }

  start(): void {
    const meter = this.#o.meter ?? new LoadMeter();
    this.#sampler = setInterval(() => this.#driver.dispatch({ type: 'load_measured', cpuLoad: meter.sample(sampleMs) }), sampleMs);
    this.#driver.dispatch({ type: 'tick' });
    this.#forgetRoster = this.#o.roster.onChange(() => this.#tellRevoked());
  }

  #tellRevoked(): void {
    const keys = [...this.state.keysServed()].filter((key) => this.#o.roster.isRevoked(key));
    if (keys.length > 0) this.#driver.dispatch({ type: 'revoked', keys });
  }

  /** One worker of the peer's own, warm before the first task needs it. */
  warm(language: Language): void {
    this.#driver.dispatch({ type: 'warmed', language });
  }

  trackerUp(): void {
    this.#driver.dispatch({ type: 'tracker_linked' });
  }

  trackerAway(): void {
    this.#driver.dispatch({ type: 'tracker_unlinked' });
  }

  /** The probes have shown what the machine holds. Where that is too little for other members' tasks, those that are here go back to their homes. */
  levelProved(level: number): void {
    this.#driver.dispatch({ type: 'level_proved', level });
  }

  /** What it takes now. */
  standing(): Standing {
    return this.state.acceptance.standing(this.#o.clock.now().ms);
  }

  /** Takes nothing new; resolves when nothing runs and results are stored. What runs longer than `waitMs` is killed and given back to its home. */
  async drain(waitMs: number): Promise<void> {
    this.#driver.dispatch({ type: 'draining' });
    await this.#untilDone(waitMs);
    this.#driver.dispatch({ type: 'stopping' });
    await this.#untilDone(stopMs);
  }

  async #untilDone(waitMs: number): Promise<void> {
    const until = performance.now() + waitMs;
    while (!this.state.isDone && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  stop(): void {
    clearInterval(this.#sampler);
    this.#forgetRoster?.();
    this.#driver.stop();
    for (const connection of this.#homes.values()) connection.close();
  }

  /** A link on which a home of that name said hello. Its key is part of its name here: a name alone proves nothing. */
  accept(connection: Connection, homeName: string): void {
    const home = `${connection.peerKey}/${peerNameSchema.parse(homeName)}`;
    // What came on the link before this one is held, too.
    this.#driver.catchUp();
    this.#homes.get(home)?.close();
    this.#homes.set(home, connection);
    this.#full.delete(home);
    connection.serve((hash) => Promise.resolve(this.state.servesTo(home, hash) ? this.#contents.result(hash) : undefined));
    connection.send({ kind: 'hello', version: this.#o.version, incarnation: this.#o.incarnation, as: 'runner', name: this.#o.peer, held: this.state.heldFor(home).slice(0, limits.heldMax) });
    connection.onClose = () => {
      if (this.#homes.get(home) !== connection) return;
      this.#homes.delete(home);
      this.#driver.dispatch({ type: 'home_unlinked', home });
    };
    connection.onDrain = () => {
      if (this.#homes.get(home) === connection && this.#full.delete(home)) this.#driver.dispatch({ type: 'home_drained', home });
    };
    connection.onMessage = (message) => this.#heard(home, connection, message);
    this.#driver.dispatch({ type: 'home_linked', home });
  }

  processes(): WorkerProcess[] {
    return this.#o.workers.list();
  }

  #heard(home: string, connection: Connection, message: Message): void {
    switch (message.kind) {
      case 'attempt':
        this.#driver.dispatch({ type: 'attempt_offered', home, origin: this.#originOf(connection, message), attempt: message, ready: this.#contents.inputsOf(message) !== undefined });
        return;
      case 'kill':
        this.#driver.dispatch({ type: 'kill_told', home, ref: message, why: message.why });
        return;
      case 'stored':
        this.#driver.dispatch({ type: 'stored_told', home, refs: message.attempts });
        return;
      case 'bye':
        return;
      default:
        connection.close({ code: 'internal', message: `a home does not send "${message.kind}" to a runner` });
    }
  }

  /** The key is the link's, not what is said on it. */
  #originOf({ peerKey: homeKey }: Connection, { submitter }: MessageOf<'attempt'>): Origin {
    const { roster } = this.#o;
    return { homeKey, homeRole: roster.roleOf(homeKey), submitter, submitterRole: roster.roleOf(submitter) };
  }

  #carryOut(effect: RunnerSend): void {
    switch (effect.to) {
      case 'home':
        this.#sendHome(effect.home, effect.message);
        return;
      case 'spawn':
        this.#spawn(effect);
        return;
      case 'feed':
        this.#o.workers.feed(effect.worker, effect.jobs.map(({ job, attempt }) => this.#jobOf(job, attempt)));
        return;
      case 'take_back':
        this.#driver.dispatch({ type: 'taken_back', worker: effect.worker, jobs: this.#o.workers.takeBack(effect.worker) });
        return;
      case 'kill':
        this.#o.workers.kill(effect.worker);
        return;
      case 'content':
        void this.#fetch(effect.home, effect.attempt);
        return;
      case 'forget_content':
        this.#contents.forgetInputs(effect.key);
        return;
      case 'report':
        this.#o.report(effect.observation);
        return;
      case 'forget_result':
        this.#contents.forgetResult(effect.hash);
    }
  }

  #spawn({ worker, language, foreign, memoryMb }: Extract<RunnerSend, { to: 'spawn' }>): void {
    const confinement = this.#o.confine(foreign);
    this.#o.workers.spawn({ worker, language, isolation: confinement.isolation, memoryMb: memoryMb ?? confinement.memoryMb, name: this.#o.peer });
  }

  #sendHome(home: string, message: Message): void {
    const connection = this.#homes.get(home);
    if (connection === undefined) return;
    connection.send(message);
    if (connection.backlogBytes < limits.linkBacklogBytes || this.#full.has(home)) return;
    this.#full.add(home);
    this.#driver.dispatch({ type: 'home_full', home });
  }

  #jobOf(job: number, attempt: MessageOf<'attempt'>): Job {
    const inputs = this.#contents.inputsOf(attempt);
    if (inputs === undefined) throw new Error(`attempt ${attempt.key} was started without its content`);
    return { job, programHash: attempt.program, source: inputs.source, function: attempt.function, args: inputs.args, kwargs: inputs.kwargs };
  }

  async #fetch(home: string, attempt: MessageOf<'attempt'>): Promise<void> {
    const connection = this.#homes.get(home);
    try {
      if (connection === undefined) throw new Error('the link to its home is closed');
      await this.#contents.fetch(attempt, connection);
    } catch (error) {
      const why = causeText(error);
      this.#driver.dispatch({ type: 'content_failed', key: attempt.key, why });
      return;
    }
    this.#driver.dispatch({ type: 'content_arrived', key: attempt.key });
  }

  /** What the sandbox tells. */
  onWorkerEvent(event: WorkerEvent): void {
    switch (event.type) {
      case 'ready':
        return this.#driver.dispatch({ type: 'worker_ready', worker: event.worker, pid: event.pid });
      case 'output':
        return this.#driver.dispatch({ type: 'worker_output', worker: event.worker, job: event.job, stream: event.stream, data: event.data });
      case 'result': {
        const result = this.#contents.keepResult(event.result);
        const { worker, job, runUs, leftovers } = event;
        return this.#driver.dispatch({ type: 'worker_answered', worker, job, runUs, result, resultBytes: event.result.length, leftovers });
      }
      case 'failed': {
        const { worker, job, runUs, leftovers } = event;
        return this.#driver.dispatch({ type: 'worker_answered', worker, job, runUs, error: bounded(event.error), resultBytes: 0, leftovers });
      }
      case 'exited':
        return this.#driver.dispatch({ type: 'worker_exited', worker: event.worker, ready: event.ready, outOfMemory: event.outOfMemory, why: event.why });
      case 'gone':
        return this.#driver.dispatch({ type: 'worker_gone', worker: event.worker });
    }
  }
}

/** A program may raise anything; what travels of it fits into a message. The end of a traceback says most. */
function bounded(error: Problem): Problem {
  const cut = (text: string, lengthMax: number) => (text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}… (${text.length - lengthMax} characters more)`);
  const { problemMessageLengthMax, problemTracebackLengthMax, problemHintLengthMax } = limits;
  return {
    code: error.code,
    message: cut(error.message, problemMessageLengthMax),
    ...(error.type === undefined ? {} : { type: error.type.slice(0, 500) }),
    ...(error.traceback === undefined ? {} : { traceback: error.traceback.slice(-problemTracebackLengthMax) }),
    ...(error.hint === undefined ? {} : { hint: cut(error.hint, problemHintLengthMax) }),
  };
}
