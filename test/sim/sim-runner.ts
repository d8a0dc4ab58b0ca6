/** The runner of a simulated peer: the production decider. Mirrors src/runner/runner.ts. */
import { limits } from '../../src/limits.ts';
import type { Origin } from '../../src/runner/acceptance-state.ts';
import type { RunnerEvent, RunnerSend } from '../../src/runner/runner-events.ts';
import { RunnerState } from '../../src/runner/runner-state.ts';
import type { Accepts, Message, MessageOf } from '../../src/wire/messages.ts';
import type { Ledger } from './ledger.ts';
import type { Member, Membership } from './members.ts';
import type { LinkEnd } from './network.ts';
import { SimDriver } from './sim-driver.ts';
import { SimWorkers } from './sim-workers.ts';
import type { Life, World } from './world.ts';

export interface SimRunnerOptions {
  world: World;
  life: Life;
  ledger: Ledger;
  peer: string;
  incarnation: string;
  slots: number;
  cpuLoad: () => number;
  member: Membership;
  accepts: Accepts;
}

const sampleMs = 250;

export class SimRunner {
  readonly state: RunnerState;
  readonly workers: SimWorkers;
  readonly #o: SimRunnerOptions;
  readonly #driver: SimDriver<RunnerEvent, RunnerSend, never, never>;
  readonly #homes = new Map<string, LinkEnd>();
  readonly #programs = new Set<string>();

  constructor(options: SimRunnerOptions) {
    this.#o = options;
    const { world, life, ledger, peer, slots } = options;
    this.state = new RunnerState({ peer, slots, languages: ['python'], memoryMb: 1000, aheadInPipe: () => 16, acceptance: { key: options.member.key, accept: options.accepts, trustMembers: false, level: 2, confirmedAgoMs: 0 } });
    this.#driver = new SimDriver<RunnerEvent, RunnerSend, never, never>({
      world,
      life,
      decider: this.state,
      clock: world.clock(),
      recorder: undefined,
      tick: { type: 'tick' },
      send: (effect) => this.#carryOut(effect),
      release: () => {},
    });
    this.workers = new SimWorkers({ world, life, ledger, runner: peer, slots, tell: (event) => this.#driver.dispatch(event) });
  }

  start(): void {
    this.#o.world.every(sampleMs, this.#o.life, () => this.#driver.dispatch({ type: 'load_measured', cpuLoad: this.#o.cpuLoad() }));
    this.#driver.dispatch({ type: 'tick' });
    this.#driver.dispatch({ type: 'warmed', language: 'python' });
  }

  revoke(keys: readonly string[]): void {
    this.#driver.dispatch({ type: 'revoked', keys });
  }

  drain(): void {
    this.#driver.dispatch({ type: 'draining' });
  }

  /** A link on which a home of that name said hello. */
  accept(end: LinkEnd, home: string): void {
    this.#driver.catchUp();
    this.#homes.get(home)?.close();
    this.#homes.set(home, end);
    end.send({ kind: 'hello', version: '0', incarnation: this.#o.incarnation, as: 'runner', name: this.#o.peer, held: this.state.heldFor(home).slice(0, limits.heldMax) });
    end.onClose = () => {
      if (this.#homes.get(home) !== end) return;
      this.#homes.delete(home);
      this.#driver.dispatch({ type: 'home_unlinked', home });
    };
    end.onMessage = (message) => this.#heard(home, end, message);
    this.#driver.dispatch({ type: 'home_linked', home });
  }

  #heard(home: string, end: LinkEnd, message: Message): void {
    if (message.kind === 'attempt') this.#driver.dispatch({ type: 'attempt_offered', home, origin: this.#originOf(end.peer, message.submitter), attempt: message, ready: this.#programs.has(message.program) });
    else if (message.kind === 'kill') this.#driver.dispatch({ type: 'kill_told', home, ref: message, why: message.why });
    else if (message.kind === 'stored') this.#driver.dispatch({ type: 'stored_told', home, refs: message.attempts });
    else throw new Error(`a home does not send "${message.kind}" to a runner`);
  }

  #originOf({ key: homeKey, role }: Member, submitter: string): Origin {
    const isRevoked = (key: string) => this.#o.member.revoked.has(key);
    return { homeKey, homeRole: isRevoked(homeKey) ? undefined : role, submitter, submitterRole: isRevoked(submitter) ? undefined : 'member' };
  }

  #carryOut(effect: RunnerSend): void {
    switch (effect.to) {
      case 'home':
        return this.#homes.get(effect.home)?.send(effect.message);
      case 'spawn':
        return this.workers.spawn(effect.worker);
      case 'feed':
        return this.workers.feed(effect.worker, effect.jobs);
      case 'take_back':
        return this.#driver.dispatch({ type: 'taken_back', worker: effect.worker, jobs: this.workers.takeBack(effect.worker) });
      case 'kill':
        return this.workers.kill(effect.worker);
      case 'content':
        return this.#fetch(effect.home, effect.attempt);
      case 'report':
      case 'forget_content':
      case 'forget_result':
        return;
    }
  }

  #fetch(home: string, { key, program }: MessageOf<'attempt'>): void {
    const end = this.#homes.get(home);
    this.#o.world.later(this.#o.world.between(0.5, 5), this.#o.life, () => {
      if (end?.open !== true) return this.#driver.dispatch({ type: 'content_failed', key, why: 'the link to its home is closed' });
      this.#programs.add(program);
      this.#driver.dispatch({ type: 'content_arrived', key });
    });
  }
}
