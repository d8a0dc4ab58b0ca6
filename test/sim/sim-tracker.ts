/** A simulated tracker: the production shell and decider. Mirrors src/main/tracker.ts. */
import type { TrackerState } from '../../src/tracker/tracker-state.ts';
import { Tracker } from '../../src/tracker/tracker.ts';
import { whenGreeted } from '../../src/main/incoming.ts';
import { lookInto } from './insight.ts';
import type { Network } from './network.ts';
import { type Folder, SimRoster } from './sim-roster.ts';
import { type Life, lifeOf, type Machine, type World } from './world.ts';

export class SimTracker {
  readonly machine: Machine;
  readonly #world: World;
  readonly #network: Network;
  readonly #folder: Folder;
  #running: { life: Life; roster: SimRoster } | undefined;
  #starts = 0;

  constructor(world: World, network: Network, machine: Machine, folder: Folder) {
    this.#world = world;
    this.#network = network;
    this.machine = machine;
    this.#folder = folder;
  }

  get key(): string {
    return this.#folder.member.key;
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  get state(): TrackerState | undefined {
    return this.#running === undefined ? undefined : lookInto.trackers.get(this.#running.life.name);
  }

  start(): void {
    if (this.#running !== undefined) return;
    const life = lifeOf(`tracker-${(this.#starts += 1)}`, this.machine);
    const { key } = this.#folder.member;
    const roster = new SimRoster(this.#folder, key, true);
    this.#running = { life, roster };
    this.#world.later(0, life, () => {
      const tracker = new Tracker({
        pool: 'pool',
        name: 'tracker',
        incarnation: life.name,
        version: '0',
        roster,
        onNews: () => {},
        onSeen: () => {},
        onAudit: () => {},
        onClient: (connection) => connection.close(),
        broken: (error) => this.#world.fail(error),
      });
      tracker.start();
      this.#network.listen(this.machine.name, { life, key, members: roster, accept: (connection) => whenGreeted(connection, (hello) => tracker.accept(connection, hello)) });
    });
  }

  /** As an admin says: the tracker is the first to know. @returns whether it is there to be told */
  revoke(key: string): boolean {
    const running = this.#running;
    if (running !== undefined) this.#world.later(0, running.life, () => running.roster.revoke(key));
    return running !== undefined;
  }

  /** @returns the life that ended */
  crash(): Life | undefined {
    const life = this.#running?.life;
    if (life !== undefined) life.alive = false;
    this.#running = undefined;
    return life;
  }
}
