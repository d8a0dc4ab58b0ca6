/**
 * What a home writes into its journal, and the story of a task that follows from it.
 *
 * Owns: the shape of records. Their bytes: record-codec.ts.
 * Invariant: a story is made by records alone (task-state.ts `apply`), so replaying the journal gives the
 * same stories as living through them.
 */
import * as z from 'zod';
import { optionsSchema, outcomes, problemSchema, receiptSchema, languageSchema, valueSchema } from '../wire/messages.ts';

const number = z.number();

/** Output as kept: the first and the last bytes of a stream and how many between them were dropped. */
export const keptSchema = z.object({ head: z.instanceof(Uint8Array), tail: z.instanceof(Uint8Array), dropped: number });
export type Kept = z.infer<typeof keptSchema>;

const accepted = z.object({
  kind: z.literal('accepted'),
  id: z.string(),
  program: z.string(),
  language: languageSchema,
  function: z.string(),
  args: valueSchema,
  kwargs: valueSchema.optional(),
  options: optionsSchema,
  /** Names the content of the submission: the same id with another digest is refused. */
  digest: z.string(),
  submitter: z.string(),
  /** The home's own clock, which goes on over restarts. */
  at: number,
  wall: number,
});
const assigned = z.object({
  kind: z.literal('assigned'),
  id: z.string(),
  attempt: number,
  key: z.string(),
  peer: z.string(),
  receipt: receiptSchema,
  at: number,
  wall: number,
});
/** Back in line. `refused`: its runner did not take it, which costs no attempt. */
const requeued = z.object({
  kind: z.literal('requeued'),
  id: z.string(),
  why: z.enum(['refused', 'lost', 'failed', 'moved']),
  reason: z.string(),
  at: number,
  wall: number,
});
const ended = z.object({
  kind: z.literal('ended'),
  id: z.string(),
  state: z.enum(outcomes),
  peer: z.string().nullable(),
  attempt: number,
  result: valueSchema.optional(),
  error: problemSchema.optional(),
  runMs: number.nullable(),
  at: number,
  wall: number,
  stdout: keptSchema.optional(),
  stderr: keptSchema.optional(),
});
const attemptStory = z.object({
  attempt: number,
  key: z.string(),
  peer: z.string(),
  state: z.enum(['assigned', 'running', 'lost', 'failed', 'moved', ...outcomes]),
  reason: z.string().nullable(),
  at: number,
  wall: number,
});
/** A task that has not ended, told again because its first records are about to be dropped. */
const restated = z.object({
  kind: z.literal('restated'),
  id: z.string(),
  accepted,
  /** The number of the record that accepted it. */
  seq: number,
  attempts: z.array(attemptStory),
  receipt: receiptSchema.nullable(),
  losses: number,
  failures: number,
  avoid: z.string().nullable(),
  notBefore: number,
  assignedAt: number,
  isAssigned: z.boolean(),
  at: number,
  wall: number,
});
/** A task that has ended, told again because its first records are about to be dropped and its last are not. */
const retold = z.object({
  kind: z.literal('retold'),
  id: z.string(),
  accepted,
  attempts: z.array(attemptStory),
  receipt: receiptSchema.nullable(),
  queuedMs: number,
  ended,
  at: number,
  wall: number,
});
const prunedTask = z.object({ id: z.string(), digest: z.string(), state: z.enum(outcomes), endedWall: number });
/** What is left of ended tasks whose records are about to be dropped. */
const pruned = z.object({
  kind: z.literal('pruned'),
  /** The home's clock when they were first pruned: the record may be written again. */
  since: number,
  tasks: z.array(prunedTask),
  at: number,
  wall: number,
});
export const recordSchema = z.discriminatedUnion('kind', [accepted, assigned, requeued, ended, restated, retold, pruned]);
export type PrunedTask = z.infer<typeof prunedTask>;
export type HomeRecord = z.infer<typeof recordSchema>;
export type RecordOf<K extends HomeRecord['kind']> = Extract<HomeRecord, { kind: K }>;

/** One try, as a task's story tells it. */
export type AttemptStory = z.infer<typeof attemptStory>;

/** Everything that is known of a task that ended. */
export interface Story {
  accepted: RecordOf<'accepted'>;
  attempts: AttemptStory[];
  receipt: RecordOf<'assigned'>['receipt'] | null;
  queuedMs: number;
  ended: RecordOf<'ended'>;
}

/** What a home knows of a task that ended: everything, or what pruning left. */
export type Past = Story | PrunedTask;

/** A task, ended or not, as far as it says who submitted what. */
export type Known = Pick<Story, 'accepted'> | PrunedTask;

export const isPruned = (past: Known): past is PrunedTask => !('accepted' in past);
