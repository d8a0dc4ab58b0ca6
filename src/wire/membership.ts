/**
 * What links must know of the pool's members: whom to trust now, and the roster that proves it.
 *
 * Owns: the exchange of rosters on one link (RosterExchange). Who the members are, and what a roster
 * must be to count, is the identity room's; it passes a LinkMembership in.
 *
 * Invariants
 * 1. A link whose other side is no member any more is closed, with the reason as its last word.
 * 2. Who hands over a forged roster loses the link.
 * 3. A roster is sent only to a side whose `hello` said that it has an older one, and at most once by number.
 */
import type { MessageBody, MessageOf, Problem } from './messages.ts';

/** What to type on which machine, for who is not in the pool yet. */
export const HOW_TO_JOIN = 'if it is your pool, type "potluck invite" on the machine of its tracker, and on the other machine the "potluck join" line that it prints';

export interface LinkMembership {
  /** Whether the holder of this key may have a link now. */
  trusts(keyId: string): boolean;
  /** What the holder of a key that is not trusted is told; undefined: it is trusted. */
  problemOf(keyId: string): Problem | undefined;
  /** The number of `sealed`; 0: there is none. */
  readonly number: number;
  readonly sealed: MessageBody<'roster'> | undefined;
  /** Whether a newer one is sent over links that are open. Else only where one opens. */
  readonly pushes: boolean;
  /** The other side handed a roster over. It may be old, foreign or forged; resolves with false if nobody honest has one like it. */
  offered(sealed: MessageBody<'roster'>, from: string): Promise<boolean>;
  /** Calls back after every change. Returns how to stop that. */
  onChange(listener: () => void): () => void;
}

/** One link's part in it. */
export class RosterExchange {
  readonly #membership: LinkMembership;
  readonly #send: (message: MessageOf<'roster'>) => void;
  readonly #forged: () => void;
  /** What the other side has, as far as is known; undefined before its hello, and if it is too old to exchange any. */
  #theirs: number | undefined;

  /** @param forged called when the other side handed over what no pool of ours signed */
  constructor(membership: LinkMembership, send: (message: MessageOf<'roster'>) => void, forged: () => void) {
    this.#membership = membership;
    this.#send = send;
    this.#forged = forged;
  }

  /** Our hello, with the number of our roster. */
  withNumber(hello: MessageOf<'hello'>): MessageOf<'hello'> {
    return { ...hello, roster: this.#membership.number };
  }

  greeted({ roster }: MessageOf<'hello'>): void {
    this.#theirs = roster;
    this.#offer();
  }

  changed(): void {
    if (this.#membership.pushes) this.#offer();
  }

  received(message: MessageOf<'roster'>, from: string): void {
    this.#theirs = Math.max(this.#theirs ?? 0, message.number);
    if (message.number <= this.#membership.number) return;
    void this.#membership.offered(message, from).then((honest) => {
      if (!honest) this.#forged();
    });
  }

  #offer(): void {
    const { sealed, number } = this.#membership;
    if (sealed === undefined || this.#theirs === undefined || this.#theirs >= number) return;
    this.#theirs = number;
    this.#send({ kind: 'roster', ...sealed });
  }
}
