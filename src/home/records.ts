/**
 * What a home writes into its journal, and the story of a task that follows from it.
 *
 * Owns: the shape of records. Their bytes: record-codec.ts.
 * Invariant: a story is made by records alone (task-state.ts `apply`), so replaying the journal gives the
 * same stories as living through them.
 */
import * as z from 'zod';
import { type OutcomeState, optionsSchema, outcomes, problemSchema, receiptSchema, languageSchema, valueSchema } from '../wire/messages.ts';

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
export const recordSchema = z.discriminatedUnion('kind', [accepted, assigned, requeued, ended]);
export type HomeRecord = z.infer<typeof recordSchema>;
export type RecordOf<K extends HomeRecord['kind']> = Extract<HomeRecord, { kind: K }>;

/** One try, as a task's story tells it. */
export interface AttemptStory {
  attempt: number;
  key: string;
  peer: string;
  state: 'assigned' | 'running' | 'lost' | 'failed' | 'moved' | OutcomeState;
  reason: string | null;
  at: number;
  wall: number;
}

/** Everything that is known of a task that ended. */
export interface Story {
  accepted: RecordOf<'accepted'>;
  attempts: AttemptStory[];
  receipt: RecordOf<'assigned'>['receipt'] | null;
  queuedMs: number;
  ended: RecordOf<'ended'>;
}
