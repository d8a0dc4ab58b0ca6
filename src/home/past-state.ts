/**
 * Tasks that have ended: what a home still says of them, and the recent ones in memory.
 *
 * Older ones are in the index; pruned ones are an id, a digest and an outcome.
 */
import { sourceOf } from '../lib/stream-ends.ts';
import { limits } from '../limits.ts';
import type { MessageOf } from '../wire/messages.ts';
import type { OutputNews } from './home-events.ts';
import { isPruned, type Known, type Past, type PrunedTask, type Story } from './records.ts';

/** The last that ended, within limits.endedInMemoryMax and limits.endedInMemoryBytes. */
export class Recent {
  readonly stories = new Map<string, Story>();
  #bytes = 0;

  add(story: Story): void {
    this.stories.set(story.accepted.id, story);
    this.#bytes += storyBytes(story);
    if (this.stories.size > limits.endedInMemoryMax || this.#bytes > limits.endedInMemoryBytes) this.#forgetOldest();
  }

  forget(id: string): void {
    const story = this.stories.get(id);
    if (story === undefined) return;
    this.stories.delete(id);
    this.#bytes -= storyBytes(story);
  }

  /** A tenth at once: taking single entries off the front of a large Map gets slow. */
  #forgetOldest(): void {
    const keep = 0.9;
    for (const id of this.stories.keys()) {
      if (this.stories.size <= limits.endedInMemoryMax * keep && this.#bytes <= limits.endedInMemoryBytes * keep) return;
      this.forget(id);
    }
  }
}

const storyBytes = ({ accepted, ended }: Story): number => {
  const size = (value: unknown) => (value instanceof Uint8Array ? value.length : 0);
  return 500 + size(accepted.args) + size(accepted.kwargs) + size(ended.result) + (ended.stdout?.head.length ?? 0) + (ended.stdout?.tail.length ?? 0) + (ended.stderr?.head.length ?? 0) + (ended.stderr?.tail.length ?? 0);
};

/** So much of a key tells submitters of pruned tasks apart; what could be had by forging it is how a task ended. */
const tagLength = 16;

/** Names what was submitted, and by whom unless it was the home's own user: what is left of a pruned task still says it. */
export const digestFor = (content: string, submitter: string, homeKey: string): string => (submitter === homeKey ? content : `${content}@${submitter.slice(0, tagLength)}`);

export function isSubmittedBy(past: Known, key: string, homeKey: string): boolean {
  if (!isPruned(past)) return past.accepted.submitter === key;
  const [, tag] = past.digest.split('@');
  return tag === undefined ? key === homeKey : tag === key.slice(0, tagLength);
}

/** Names the content with which it was submitted. */
export const digestOf = (past: Known): string => (isPruned(past) ? past.digest : past.accepted.digest);

/** Of a pruned task: how it ended, and that this is all. */
const prunedOutcome = ({ id, state, endedWall }: PrunedTask): MessageOf<'outcome'> => ({
  kind: 'outcome',
  id,
  state,
  peer: null,
  attempt: 0,
  queued_ms: 0,
  run_ms: null,
  receipt: null,
  error: {
    code: 'no_longer_kept',
    message: `the task ended ${state} at ${new Date(endedWall).toISOString()}, and its home keeps no more of it than that`,
    hint: 'if its result is needed, submit it again under a new id',
  },
});

/** What is kept of an ended task's output, from its beginning. */
export function outputOf(past: Past): OutputNews[] {
  if (isPruned(past)) return [];
  const { ended } = past;
  const { id, attempt, peer } = ended;
  return (['stdout', 'stderr'] as const).flatMap((stream) => {
    const kept = ended[stream];
    return kept === undefined || peer === null ? [] : [{ id, attempt, peer, stream, source: sourceOf(kept), again: true }];
  });
}

/** How a task ended, as its submitter gets it. */
export const outcomeOf = (past: Past): MessageOf<'outcome'> => (isPruned(past) ? prunedOutcome(past) : storyOutcome(past));

function storyOutcome({ ended, receipt, queuedMs }: Story): MessageOf<'outcome'> {
  const { id, state, peer, attempt, runMs, result, error } = ended;
  const outcome: MessageOf<'outcome'> = { kind: 'outcome', id, state, peer, attempt, queued_ms: queuedMs, run_ms: runMs, receipt };
  if (result !== undefined) outcome.result = result;
  if (error !== undefined) outcome.error = error;
  return outcome;
}
