/**
 * A lasting line to a home over links that come and go.
 *
 * Owns: when to dial again and when to give up. What is said on a link is the pool's.
 *
 * Invariants
 * 1. The first dial is tried once; after it has succeeded, a lost link is dialled again until
 *    `giveUpMs` is over, or the other side says something that trying again cannot mend.
 * 2. `onUp` and `onDown` alternate, starting with `onUp`. `onEnd` is called at most once, and last.
 */
import { PotluckError, catalogue, causeText } from '../errors.ts';
import { Backoff } from '../lib/backoff.ts';
import { limits } from '../limits.ts';
import type { CloseReason, Connection } from '../wire/connection.ts';
import { errorOf } from './outcome.ts';

/** A new link that has been greeted, and which life of the home it leads to. */
export interface Dialled {
  readonly connection: Connection;
  readonly incarnation: string;
}

export interface LineOptions {
  /** @throws PotluckError */
  dial: () => Promise<Dialled>;
  onUp: (dialled: Dialled) => void;
  onDown: (why: string) => void;
  onEnd: (error: PotluckError) => void;
  /** How long a lost link is dialled again. */
  giveUpMs: number;
}

/** Silence is counted in looks at the link, so that a process that was stopped does not blame the other side. */
const LOOK_MS = 1_000;
const SILENT_LOOKS_MAX = limits.silenceMs / LOOK_MS;

export class Line {
  readonly #options: LineOptions;
  readonly #backoff = new Backoff(limits.redialMsMin, limits.redialMsMax);
  #connection: Connection | undefined;
  #ended = false;
  #downSince = 0;
  #redial: ReturnType<typeof setTimeout> | undefined;
  #look: ReturnType<typeof setInterval> | undefined;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  /** The link that is up now. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Dials for the first time. @throws PotluckError */
  async start(): Promise<void> {
    this.#use(await this.#options.dial());
  }

  /** Ends the line; no callback comes any more. */
  stop(): void {
    this.#ended = true;
    clearTimeout(this.#redial);
    clearInterval(this.#look);
    this.#connection?.close();
    this.#connection = undefined;
  }

  #use(dialled: Dialled): void {
    const { connection } = dialled;
    this.#connection = connection;
    this.#backoff.reset();
    this.#watchSilence(connection);
    this.#options.onUp(dialled);
    connection.onClose = (reason) => this.#closed(connection, reason);
  }

  #watchSilence(connection: Connection): void {
    let heardAt = connection.lastHeardAt();
    let silentLooks = 0;
    this.#look = setInterval(() => {
      silentLooks = connection.lastHeardAt() === heardAt ? silentLooks + 1 : 0;
      heardAt = connection.lastHeardAt();
      if (silentLooks < SILENT_LOOKS_MAX) return;
      connection.close();
      this.#closed(connection, { kind: 'lost', cause: new Error(`nothing was heard for ${limits.silenceMs / 1000} s`) });
    }, LOOK_MS);
    this.#look.unref();
  }

  #closed(connection: Connection, reason: CloseReason): void {
    if (this.#ended || this.#connection !== connection) return;
    clearInterval(this.#look);
    this.#connection = undefined;
    this.#downSince = performance.now();
    const fatal = fatalOf(reason);
    this.#options.onDown(textOf(reason));
    if (fatal === undefined) this.#scheduleDial(textOf(reason));
    else this.#end(fatal);
  }

  #scheduleDial(why: string): void {
    if (this.#ended) return;
    const downMs = performance.now() - this.#downSince;
    if (downMs >= this.#options.giveUpMs) {
      this.#end(new PotluckError('link_lost', 'the link to the peer was lost and did not come back', { why, fix: 'tasks that it accepted may still run; ask it again by their id' }));
      return;
    }
    const wait = Math.min(this.#backoff.next(), this.#options.giveUpMs - downMs);
    this.#redial = setTimeout(() => {
      this.#dialAgain().catch((error: unknown) => this.#end(new PotluckError('internal', 'dialling failed', { why: causeText(error), cause: error })));
    }, wait);
  }

  async #dialAgain(): Promise<void> {
    let dialled: Dialled;
    try {
      dialled = await this.#options.dial();
    } catch (error) {
      if (error instanceof PotluckError && !catalogue[error.code].retry) this.#end(error);
      else this.#scheduleDial(causeText(error));
      return;
    }
    if (this.#ended) dialled.connection.close();
    else this.#use(dialled);
  }

  #end(error: PotluckError): void {
    if (this.#ended) return;
    this.stop();
    this.#options.onEnd(error);
  }
}

/** What trying again cannot mend. */
function fatalOf(reason: CloseReason): PotluckError | undefined {
  if (reason.kind === 'version_gap') return errorOf(reason.problem);
  if (reason.kind === 'malformed') return new PotluckError('internal', 'the peer sent something that is not of this protocol', { why: reason.cause.message, cause: reason.cause });
  if (reason.kind !== 'bye') return undefined;
  const error = errorOf(reason.problem);
  return error.code === 'not_a_member' || error.code === 'version_gap' ? error : undefined;
}

function textOf(reason: CloseReason): string {
  switch (reason.kind) {
    case 'bye':
    case 'version_gap':
      return reason.problem.message;
    case 'lost':
    case 'malformed':
      return reason.cause.message;
    case 'ended':
      return 'the peer closed the link';
    case 'closed':
      return 'this side closed the link';
  }
}
