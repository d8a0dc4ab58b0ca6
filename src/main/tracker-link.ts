/**
 * A peer's link to its tracker: dialled forever, with growing pauses, at each address that it may have in turn; carries the home's demand and the
 * runner's load up, grants and news of peers down.
 */
import { causeText, PotluckError } from '../errors.ts';
import { Backoff } from '../lib/backoff.ts';
import { hostAndPort } from '../lib/hosts.ts';
import { limits } from '../limits.ts';
import { type Address, type Connection, errorOf, greet, isSilent, type Message, type MessageBody, type MessageOf } from '../wire/index.ts';

export interface TrackerLinkOptions {
  /** Where it may be; at least one. */
  addresses: () => readonly Address[];
  /** Called before it is dialled: this machine may have joined a pool meanwhile. */
  refresh: () => Promise<void>;
  /** A new link to the tracker, if it answers there. */
  connect: (address: Address) => Promise<Connection>;
  /** It is linked, and says nothing of a newer roster. */
  onConfirmed: () => void;
  hello: () => MessageBody<'hello'>;
  load: () => MessageBody<'load'>;
  onUp: () => void;
  onAway: () => void;
  onMessage: (message: MessageOf<'grant'> | MessageOf<'peers'>) => void;
  onWelcome: (message: MessageOf<'welcome'>) => void;
  /** The first tracker that was reached does not take a peer of this name. */
  onNameTaken: (error: PotluckError) => void;
  log: (line: string) => void;
}

const placeOf = ({ host, port }: Address): string => hostAndPort(host, port);

const loadEveryMs = 250;

export class TrackerLink {
  readonly #o: TrackerLinkOptions;
  #connection: Connection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #at = 0;
  #told = '';
  #toldAt = 0;
  #stopped = false;
  #wasUp = false;
  readonly #complainedOf = new Set<string>();
  #waiting: (() => void) | undefined;

  constructor(options: TrackerLinkOptions) {
    this.#o = options;
  }

  /** Where it is, or is being looked for. */
  get address(): Address {
    const addresses = this.#o.addresses();
    return addresses[this.#at % addresses.length]!;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  start(): void {
    void this.#keepDialling();
    this.#timer = setInterval(() => setImmediate(() => this.#beat()), loadEveryMs);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#waiting?.();
    this.#connection?.close();
  }

  send(message: Message): void {
    this.#connection?.send(message);
  }

  /** Tells the load now, not at the next beat. */
  tellLoad(): void {
    this.#told = '';
    this.#beat();
  }

  async #keepDialling(): Promise<void> {
    const backoff = new Backoff(limits.redialMsMin, limits.redialMsMax);
    while (!this.#stopped) {
      try {
        await this.#o.refresh();
        await this.#session(() => {
          backoff.reset();
          this.#complainedOf.clear();
        });
        if (!this.#stopped) this.#o.log(`the tracker at ${placeOf(this.address)} is gone; work goes on, and it is tried again`);
      } catch (error) {
        if (!this.#wasUp && error instanceof PotluckError && error.code === 'name_taken') return this.#o.onNameTaken(error);
        this.#complain(error);
        this.#at += 1;
      }
      if (!this.#stopped) await this.#pause(backoff.next());
    }
  }

  /** Says of each address once why it does not help. */
  #complain(error: unknown): void {
    const place = placeOf(this.address);
    if (this.#complainedOf.has(place)) return;
    this.#complainedOf.add(place);
    this.#o.log(`${this.#whyNot(error)}; trying again`);
  }

  #whyNot(error: unknown): string {
    if (!(error instanceof PotluckError)) return causeText(error);
    // What the other side said of itself has no reason of ours; what to do about it is worth a line.
    const turnedAway = error.code === 'not_a_member' || error.code === 'revoked' || error.code === 'name_taken';
    const where = turnedAway ? `the tracker at ${placeOf(this.address)} does not take this peer` : `no tracker at ${placeOf(this.address)}`;
    const told = error.why === undefined ? `${where}: ${error.message}` : error.toProblem().message;
    return turnedAway ? `${told} (${error.fix ?? ''})` : told;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#waiting = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One link from dial to close. */
  async #session(linked: () => void): Promise<void> {
    const { host, port } = this.address;
    const connection = await this.#o.connect(this.address);
    const hello = await greet(connection, this.#o.hello());
    if (hello.as !== 'tracker') {
      connection.close();
      throw new Error(`what answers at ${host}:${port} is a ${hello.as}, not a tracker`);
    }
    if (this.#stopped) return connection.close();
    await this.#untilWelcome(connection);
    linked();
    await new Promise<void>((resolve) => {
      connection.onClose = () => resolve();
      this.#connection = connection;
      this.#told = '';
      this.#wasUp = true;
      this.#o.onUp();
      connection.onMessage = (message) => this.#heard(message);
      this.#beat();
    });
    this.#connection = undefined;
    this.#o.onAway();
  }

  /** Throws what the tracker says when it does not take this peer. */
  #untilWelcome(connection: Connection): Promise<void> {
    return new Promise((resolve, reject) => {
      connection.onClose = (reason) => reject(errorOf(connection, reason));
      connection.onMessage = (message) => {
        if (message.kind !== 'welcome') return;
        // What follows is kept until somebody listens.
        connection.onMessage = undefined;
        this.#o.onWelcome(message);
        resolve();
      };
    });
  }

  #heard(message: Message): void {
    if (message.kind === 'grant' || message.kind === 'peers') this.#o.onMessage(message);
    else if (message.kind === 'bye') this.#o.log(`the tracker says: ${message.error.message}`);
  }

  /** The load when it changed, and at least once per heartbeat; and an end to silence. */
  #beat(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    if (isSilent(connection)) return connection.close();
    this.#o.onConfirmed();
    const load = this.#o.load();
    const text = `${load.running}/${load.slots}/${load.queued}/${load.draining}/${load.accepts}/${load.withheld}/${load.isolation}/${Math.round(load.cpu_load * 50)}`;
    const now = performance.now();
    if (text === this.#told && now - this.#toldAt < limits.heartbeatMs) return;
    this.#told = text;
    this.#toldAt = now;
    connection.send({ kind: 'load', ...load });
  }
}
