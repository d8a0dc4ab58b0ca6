/** A simulated program: the SDK as it is, on a link through the simulated network. */
import { causeText, PotluckError } from '../../src/errors.ts';
import { Pool } from '../../src/sdk/pool.ts';
import type { TaskOptions } from '../../src/wire/messages.ts';
import { greet } from '../../src/wire/hello.ts';
import { Broken, type Ledger } from './ledger.ts';
import type { Network } from './network.ts';
import { type Folder, SimRoster } from './sim-roster.ts';
import { argsFor, type Behaviour } from './sim-workers.ts';
import { type Life, lifeOf, type Machine, type World } from './world.ts';

export interface Plan {
  id: string;
  behaviour: Behaviour;
  options?: TaskOptions;
  follow?: boolean;
  /** One of a few programs. */
  program?: string;
  /** The arguments have so many bytes more. */
  argsBytes?: number;
}

export interface SimClientOptions {
  world: World;
  ledger: Ledger;
  network: Network;
  machine: Machine;
  folder: Folder;
  trackerKey: string;
  home: string;
  onEnd?: (id: string) => void;
}

const startAgainMs = 300;

export class SimClient {
  readonly home: string;
  readonly #o: SimClientOptions;
  /** What it has submitted and knows no end of; a program that is started again submits it again. */
  readonly #open = new Map<string, Plan>();
  readonly #whenUpActs: ((pool: Pool) => void)[] = [];
  readonly #reasons: string[] = [];
  #life: Life | undefined;
  #pool: Pool | undefined;
  #starts = 0;

  constructor(options: SimClientOptions) {
    this.#o = options;
    this.home = options.home;
  }

  /** Reasons for waiting that it was told. */
  get reasons(): readonly string[] {
    return this.#reasons;
  }

  get life(): Life | undefined {
    return this.#life;
  }

  start(): void {
    if (this.#life !== undefined) return;
    const { world, machine } = this.#o;
    const life = lifeOf(`${machine.name}-${(this.#starts += 1)}`, machine);
    this.#life = life;
    world.later(0, life, () => this.#connect(life));
  }

  /** The process is killed. What it submitted goes on. */
  crash(): void {
    const life = this.#life;
    if (life === undefined) return;
    life.alive = false;
    this.#life = undefined;
    this.#pool = undefined;
    this.#o.network.died(life, false);
  }

  submit(plan: Plan): void {
    const { ledger } = this.#o;
    ledger.planned(plan.id, plan.options ?? {}, this.#o.folder.member.key);
    ledger.submitted(plan.id);
    this.#open.set(plan.id, plan);
    this.#do((pool) => this.#send(pool, plan));
  }

  /** Another task under an id that is taken: it must be refused. */
  submitConflicting(plan: Plan): void {
    const { world, ledger, machine } = this.#o;
    ledger.another(machine.name, plan.id);
    this.#whenUp((pool) => {
      const { id, behaviour, program = '' } = plan;
      const task = pool.submit({ id, language: 'python', program, args: { json: argsFor(behaviour) } });
      task.accepted.then(
        () => world.fail(new Broken(`another task was accepted under the id ${id}`)),
        () => {},
      );
    });
  }

  cancel(id: string): void {
    if (this.#open.has(id)) this.#do((pool) => void pool.watch(id).cancel().catch(ignored));
  }

  /** What it submitted under that id, if it still waits for its end. */
  planOf(id: string): Plan | undefined {
    return this.#open.get(id);
  }

  /** Now, or when it is connected. */
  #whenUp(act: (pool: Pool) => void): void {
    if (this.#pool === undefined) this.#whenUpActs.push(act);
    else this.#do(act);
  }

  #do(act: (pool: Pool) => void): void {
    const life = this.#life;
    if (life !== undefined) this.#o.world.later(0, life, () => this.#act(act));
  }

  #act(act: (pool: Pool) => void): void {
    if (this.#pool === undefined) return;
    try {
      act(this.#pool);
    } catch (error) {
      // A member no more: it has nothing to say here.
      if (!(error instanceof PotluckError && error.code === 'not_a_member')) throw error;
    }
  }

  #connect(life: Life): void {
    const { world, network, folder, trackerKey, home } = this.#o;
    const dialler = { life, key: folder.member.key, members: new SimRoster(folder, trackerKey) };
    const dial = async () => {
      const connection = await network.dial(dialler, home);
      const hello = await greet(connection, { version: '0', incarnation: life.name, as: 'client', name: life.name });
      return { connection, incarnation: hello.incarnation };
    };
    const pool = new Pool({ dial });
    pool.start().then(
      () => {
        this.#pool = pool;
        for (const plan of this.#open.values()) this.#send(pool, plan);
        for (const act of this.#whenUpActs.splice(0)) act(pool);
      },
      () => world.later(startAgainMs, life, () => this.#connect(life)),
    );
  }

  #send(pool: Pool, { id, behaviour, options = {}, follow = false, program = 'a', argsBytes = 0 }: Plan): void {
    const { world, ledger } = this.#o;
    const task = pool.submit({
      id,
      language: 'python',
      program: `def main(x): return ${program}`,
      args: { json: `${argsFor(behaviour)}${' '.repeat(argsBytes)}` },
      ...options,
      ...(follow ? { onState: ({ waitingFor }) => waitingFor !== undefined && this.#reasons.push(waitingFor), onOutput: () => {} } : {}),
    });
    task.outcome().then(
      (outcome) => {
        try {
          ledger.given(outcome);
        } catch (error) {
          world.fail(error);
        }
        this.#close(id);
      },
      (error: unknown) => {
        if (!(error instanceof PotluckError)) return world.fail(error);
        world.history.add(world.ms, this.#o.machine.name, `${id}: ${error.code} ${causeText(error)}`);
        // Nobody said how it ended: a content that did not come, for one. It is asked for again.
        if (error.code === 'link_lost') world.later(startAgainMs, this.#life, () => this.#again(id));
        else this.#close(id);
      },
    );
  }

  #again(id: string): void {
    const plan = this.#open.get(id);
    if (plan !== undefined && this.#pool !== undefined) this.#send(this.#pool, plan);
  }

  #close(id: string): void {
    if (this.#open.delete(id)) this.#o.onEnd?.(id);
  }
}

const ignored = (): void => {};
