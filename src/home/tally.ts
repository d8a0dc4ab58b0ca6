/**
 * What happened at a home since it started, counted: for who watches all of it without hearing of each task.
 *
 * Invariants
 * 1. A task is counted when others may know of it, not before.
 * 2. Memory does not grow with the tasks: of failures, so many groups are kept, those that came last.
 */
import type { OutcomeState } from '../wire/messages.ts';
import type { Story } from './records.ts';

/** Failures of one kind: the same error of the same function of the same program. */
export interface FailureGroup {
  code: string;
  /** What the program raised. */
  type: string | null;
  /** Of the last one; null where it is another member's. */
  message: string | null;
  function: string | null;
  program: string | null;
  state: string;
  count: number;
  last_id: string;
  last_at: string;
}

const groupsMax = 50;
const messageLengthMax = 300;
const quiet = new Set<OutcomeState>(['done', 'cancelled']);

export class Tally {
  accepted = 0;
  readonly ended: Partial<Record<OutcomeState, number>> = {};
  readonly #groups = new Map<string, FailureGroup & { submitter: string }>();

  end({ accepted, ended }: Story): void {
    this.ended[ended.state] = (this.ended[ended.state] ?? 0) + 1;
    if (quiet.has(ended.state)) return;
    const code = ended.error?.code ?? ended.state;
    const type = ended.error?.type?.slice(0, 200) ?? null;
    const key = `${accepted.submitter}\n${code}\n${type ?? ''}\n${accepted.function}\n${accepted.program}`;
    const group = this.#groups.get(key);
    this.#groups.delete(key);
    const message = ended.error?.message.slice(0, messageLengthMax) ?? '';
    const last = { message, last_id: accepted.id, last_at: new Date(ended.wall).toISOString() };
    this.#groups.set(key, { code, type, function: accepted.function, program: accepted.program, state: ended.state, submitter: accepted.submitter, count: (group?.count ?? 0) + 1, ...last });
    if (this.#groups.size > groupsMax) for (const oldest of this.#groups.keys()) return void this.#groups.delete(oldest);
  }

  /** The last first. @param viewer the key of who looks */
  failures(viewer: string): FailureGroup[] {
    return [...this.#groups.values()].toReversed().map(({ submitter, ...group }) => (submitter === viewer ? group : { ...group, type: null, message: null, function: null, program: null }));
  }
}
