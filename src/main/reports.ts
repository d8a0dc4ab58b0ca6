/**
 * What a peer reports for the pool's audit: the policy of its owner, other members' tasks that it took, and who
 * was not allowed to have any run. Sent over the link to the tracker, some seconds' worth at a time; while
 * there is none it waits, counted, within a bound.
 */
import type { PeerOptions } from '../config.ts';
import { limits } from '../limits.ts';
import type { AuditEvent, MessageOf } from '../wire/index.ts';

const sendEveryMs = 5_000;

export class Reports {
  readonly #send: (message: MessageOf<'audit'>) => boolean;
  readonly #waiting = new Map<string, AuditEvent>();
  #timer: NodeJS.Timeout | undefined;

  /** @param send returns whether there is a link that takes it */
  constructor(send: (message: MessageOf<'audit'>) => boolean) {
    this.#send = send;
  }

  start(): void {
    this.#timer = setInterval(() => this.flush(), sendEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.flush();
  }

  add(event: AuditEvent): void {
    const name = `${event.what} ${event.key ?? ''} ${event.detail}`;
    const known = this.#waiting.get(name);
    if (known !== undefined) known.count += event.count;
    else if (this.#waiting.size < limits.reportsMax) this.#waiting.set(name, { ...event });
  }

  flush(): void {
    if (this.#waiting.size > 0 && this.#send({ kind: 'audit', events: [...this.#waiting.values()] })) this.#waiting.clear();
  }
}

/** The owner's policy in a few words, as it is at the start of a peer. */
export const policyText = ({ accept, trustMembers, isolation }: PeerOptions): string =>
  [`accepts ${accept}`, ...(trustMembers ? ['trusts members'] : []), ...(isolation === null ? [] : [`own tasks at isolation ${isolation} at most`])].join(', ');
