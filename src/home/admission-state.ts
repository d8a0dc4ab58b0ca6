/** What a home does not accept, and why: refused before it is accepted, never after. */
import { limits } from '../limits.ts';
import type { Problem } from '../wire/messages.ts';
import type { Submission } from './home-events.ts';
import { lack, needOf, type Runner } from './placement-state.ts';

/** What the answer depends on. */
export interface HomeView {
  readonly self: string;
  readonly draining: boolean;
  /** Everybody in the pool is known. */
  readonly isListed: boolean;
  readonly tasks: { readonly size: number };
  readonly waiting: { readonly bytes: number };
  readonly runners: ReadonlyMap<string, Runner>;
}

/** Why it is not accepted; undefined when it is. */
export function refusalOf(submission: Submission, home: HomeView): Problem | undefined {
  if (home.draining) return { code: 'draining', message: `${home.self} is shutting down and accepts nothing new`, hint: 'submit to another peer' };
  if (home.tasks.size >= limits.waitingTasksMax) {
    return { code: 'too_many_waiting', message: `${home.self} already holds ${limits.waitingTasksMax} tasks, its limit`, hint: 'wait until some have ended, or submit to another peer' };
  }
  const bytes = home.waiting.bytes + (submission.args instanceof Uint8Array ? submission.args.length : 0);
  if (bytes > limits.waitingBytesMax) {
    return { code: 'too_many_waiting', message: `arguments waiting at ${home.self} take ${limits.waitingBytesMax >> 20} MiB, its limit`, hint: 'wait until some have ended, or submit to another peer' };
  }
  return neverOf(submission, home);
}

/** Why no peer could ever run it, as far as that is known. */
function neverOf({ language, options }: Submission, home: HomeView): Problem | undefined {
  const need = needOf(language, options, false);
  const own = home.runners.get(home.self)?.info;
  if (options.confidential === true) {
    const why = own === undefined ? undefined : lack(own, need);
    return why === undefined ? undefined : impossible(`a confidential task runs only on ${home.self}, which has ${why}`);
  }
  if (!home.isListed) return undefined;
  const reasons = new Set<string>();
  for (const { info } of home.runners.values()) {
    if (info === undefined || info.state === 'lost' || info.state === 'revoked') continue;
    const why = lack(info, need);
    if (why === undefined) return undefined;
    reasons.add(`${info.peer} has ${why}`);
  }
  return reasons.size === 0 ? undefined : impossible([...reasons].slice(0, 5).join(', '));
}

export const idConflict = (id: string): Problem => ({
  code: 'id_conflict',
  message: `the id ${id} belongs to another task: its program, function, arguments, options or submitter differ`,
  hint: 'leave out --id, or choose another one',
});

const impossible = (why: string): Problem => ({ code: 'impossible', message: `no peer of this pool could ever run it: ${why}`, hint: 'start a peer that can, or change what the task asks for' });
