/** A simulated client: submits to its home, dials again when the link is lost, submits again what has no outcome. */
import { Backoff } from '../../src/lib/backoff.ts';
import { limits } from '../../src/limits.ts';
import type { Message, MessageOf, TaskOptions } from '../../src/wire/messages.ts';
import type { Ledger } from './ledger.ts';
import type { LinkEnd } from './network.ts';
import type { Dial } from './sim-runner-links.ts';
import { argsFor, type Behaviour } from './sim-workers.ts';
import { type Member, membershipOf } from './members.ts';
import type { Life, World } from './world.ts';

export interface Plan {
  id: string;
  behaviour: Behaviour;
  options?: TaskOptions;
  follow?: boolean;
  program?: string;
}

export interface SimClientOptions {
  world: World;
  ledger: Ledger;
  home: string;
  member: Member;
  dial: Dial;
  onEnd?: (id: string) => void;
}

export class SimClient {
  readonly #o: SimClientOptions;
  readonly #life: Life;
  readonly #open = new Map<string, { plan: Plan; accepted: boolean }>();
  readonly #reasons: string[] = [];
  #end: LinkEnd | undefined;

  constructor(options: SimClientOptions) {
    this.#o = options;
    this.#life = { alive: true, member: membershipOf(options.member) };
  }

  start(): void {
    this.#dial(new Backoff(limits.redialMsMin, limits.redialMsMax, () => this.#o.world.between(0, 1)));
  }

  /** Reasons for waiting that it was told. */
  get reasons(): readonly string[] {
    return this.#reasons;
  }

  submit(plan: Plan): void {
    this.#o.ledger.planned(plan.id, plan.options?.once === true, this.#o.member.key);
    this.#o.ledger.entry(plan.id).submitted = true;
    this.#open.set(plan.id, { plan, accepted: false });
    this.#end?.send(submission(plan));
  }

  /** A second time, as a client does that does not know what became of the first. */
  submitAgain(id: string): void {
    const open = this.#open.get(id);
    if (open !== undefined) this.#end?.send(submission(open.plan));
  }

  cancel(id: string): void {
    if (this.#open.has(id)) this.#end?.send({ kind: 'cancel', id });
  }

  #dial(backoff: Backoff): void {
    const { world, dial, home } = this.#o;
    const again = () => {
      this.#end = undefined;
      world.later(backoff.next(), this.#life, () => this.#dial(backoff));
    };
    dial(this.#life, home, { kind: 'hello', version: '0', incarnation: '', as: 'client', name: 'client' }, (end) => {
      if (end === undefined) return again();
      end.onClose = again;
      end.onMessage = (message) => {
        if (message.kind !== 'hello') return this.#heard(message);
        backoff.reset();
        this.#end = end;
        for (const { plan, accepted } of this.#open.values()) {
          if (accepted && world.chance(0.5)) end.send({ kind: 'watch', id: plan.id, follow: plan.follow ?? false });
          else end.send(submission(plan));
        }
      };
    });
  }

  #heard(message: Message): void {
    const { ledger } = this.#o;
    switch (message.kind) {
      case 'accepted':
        for (const id of message.ids) {
          ledger.accepted(id);
          const open = this.#open.get(id);
          if (open !== undefined) open.accepted = true;
        }
        return;
      case 'refused':
        if (message.error.code !== 'id_conflict') ledger.refused(message.id, message.error.code);
        return this.#close(message.id);
      case 'outcome':
        ledger.ended(message);
        return this.#close(message.id);
      case 'no_task':
        return ledger.missing(message.id);
      case 'task_state':
        if (message.waiting_for !== undefined) this.#reasons.push(message.waiting_for);
        return;
      default:
        return;
    }
  }

  #close(id: string): void {
    if (this.#open.delete(id)) this.#o.onEnd?.(id);
  }
}

const submission = ({ id, behaviour, options = {}, follow = false, program = 'a'.repeat(64) }: Plan): MessageOf<'submit'> => ({
  kind: 'submit',
  id,
  program,
  language: 'python',
  function: 'main',
  args: argsFor(behaviour),
  options,
  ...(follow ? { follow } : {}),
});
