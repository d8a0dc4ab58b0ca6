/** A simulated tracker: the production decider, links in the simulated network. Mirrors src/tracker/tracker.ts. */
import { type PoolNews, type TrackerEvent, type TrackerSend, TrackerState } from '../../src/tracker/tracker-state.ts';
import type { Message, MessageOf } from '../../src/wire/messages.ts';
import type { LinkEnd } from './network.ts';
import { membershipOf } from './members.ts';
import { SimDriver } from './sim-driver.ts';
import type { Life, World } from './world.ts';

interface Running {
  life: Life;
  state: TrackerState;
  driver: SimDriver<TrackerEvent, TrackerSend, never, PoolNews>;
  links: Map<number, LinkEnd>;
}

export class SimTracker {
  readonly #world: World;
  #running: Running | undefined;
  #linkCount = 0;
  readonly #member = membershipOf({ key: 'tracker', role: 'admin' });

  constructor(world: World) {
    this.#world = world;
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  get state(): TrackerState | undefined {
    return this.#running?.state;
  }

  start(): void {
    const life: Life = { alive: true, member: this.#member };
    const clock = this.#world.clock();
    const state = new TrackerState({ pool: 'pool', name: 'tracker', startedAtMs: clock.now().ms });
    const links = new Map<number, LinkEnd>();
    const driver = new SimDriver<TrackerEvent, TrackerSend, never, PoolNews>({
      world: this.#world,
      life,
      decider: state,
      clock,
      recorder: undefined,
      tick: { type: 'tick' },
      send: ({ link, message }) => (message.kind === 'bye' ? links.get(link)?.close() : links.get(link)?.send(message)),
      release: () => {},
    });
    this.#running = { life, state, driver, links };
    driver.dispatch({ type: 'tick' });
  }

  /** It is the first to know. */
  revoke(key: string): void {
    this.#member.revoked.add(key);
    this.#running?.driver.dispatch({ type: 'revoked', keys: [key] });
  }

  /** @returns the life that ended */
  crash(): Life | undefined {
    const life = this.#running?.life;
    if (life !== undefined) life.alive = false;
    this.#running = undefined;
    return life;
  }

  /** A link on which a peer said hello. */
  accept(end: LinkEnd, hello: MessageOf<'hello'>): void {
    const running = this.#running;
    if (running === undefined || hello.self === undefined) return end.close();
    const link = (this.#linkCount += 1);
    running.links.set(link, end);
    end.send({ kind: 'hello', version: '0', incarnation: 'tracker', as: 'tracker', name: 'tracker' });
    end.onClose = () => {
      running.links.delete(link);
      running.driver.dispatch({ type: 'link_closed', link });
    };
    end.onMessage = (message) => this.#heard(running, link, message);
    running.driver.dispatch({ type: 'registered', link, key: end.peer.key, role: end.peer.role, self: hello.self });
  }

  #heard({ driver }: Running, link: number, message: Message): void {
    if (message.kind === 'load') driver.dispatch({ type: 'load_told', link, load: message });
    else if (message.kind === 'demand') driver.dispatch({ type: 'demand_told', link, demand: message });
    else throw new Error(`a peer does not send "${message.kind}" to a tracker`);
  }
}
