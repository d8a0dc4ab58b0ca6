/**
 * What a peer's page and its API say to each other over HTTP: one schema, one type; the OpenAPI document is
 * made from these.
 *
 * Invariants
 * 1. Arguments and results are not in here: they travel as the bytes that they are.
 * 2. Times that end in `_at` are ISO texts of the wall clock, which is only shown; durations are milliseconds.
 */
import * as z from 'zod';
import { limits } from '../limits.ts';
import { idSchema, languageSchema, optionsSchema, outcomes, peerStates, receiptSchema, taskStates, taskStateSchema } from './messages.ts';

const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();
const time = z.string();

export const problemDocument = z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }) });

// --- the peer and the pool -------------------------------------------------------------------

const healthSchema = z.object({ problem: z.string(), fix: z.string() });

export const apiStatus = z.object({
  peer: z.string(),
  pool: z.string(),
  version: z.string(),
  cpu_load: z.number(),
  load: z.number(),
  slots: count,
  running: count,
  queue_size: count,
  tracker: z.object({ host: z.string(), port: count, connected: z.boolean() }),
  isolation: z.number().int(),
  python: z.string().nullable(),
  node: z.string().nullable(),
  uptime_ms: ms,
  stale_results: count,
  health: z.array(healthSchema),
});
export type ApiStatus = z.infer<typeof apiStatus>;

export const apiPeer = z.object({
  peer: z.string(),
  host: z.string(),
  port: count,
  web: z.string().nullable(),
  cpu_load: z.number(),
  load: z.number(),
  slots: count,
  running: count,
  queue_size: count,
  state: z.enum(peerStates),
  isolation: z.number().int(),
  languages: z.record(z.string(), z.string()),
  /** When this home last heard that it was up; null while it is. */
  last_seen_at: time.nullable(),
  own: z.boolean(),
});
export type ApiPeer = z.infer<typeof apiPeer>;

export const apiCounts = z.object({
  /** Of this home: tasks that have not ended. */
  queued: count,
  assigned: count,
  running: count,
  /** Since this peer started. */
  accepted: count,
  ended: z.partialRecord(z.enum(outcomes), count),
  /** Why the first in line waits. */
  waiting_for: z.string().nullable(),
});
export type ApiCounts = z.infer<typeof apiCounts>;

/** One second of the pool, as this peer saw it: `[time in s since 1970, busy slots, slots, cpu_load here, waiting here, ended here per s, failed here per s]`. */
export const apiSample = z.tuple([z.number(), count, count, z.number(), count, z.number(), z.number()]);
export type ApiSample = z.infer<typeof apiSample>;

export const apiFailure = z.object({
  code: z.string(),
  type: z.string().nullable(),
  message: z.string().nullable(),
  function: z.string().nullable(),
  program: z.string().nullable(),
  state: z.string(),
  count,
  last_id: z.string(),
  last_at: time,
});
export type ApiFailure = z.infer<typeof apiFailure>;

export const apiOverview = z.object({ status: apiStatus, peers: z.array(apiPeer), counts: apiCounts, failures: z.array(apiFailure), samples: z.array(apiSample) });
export type ApiOverview = z.infer<typeof apiOverview>;

export const apiProcess = z.object({
  pid: count,
  language: languageSchema,
  state: z.enum(['busy', 'idle']),
  since_ms: ms,
  tasks_run: count,
  rss_mb: z.number().nullable(),
  /** Of one core, over the last moments; null where it cannot be read. */
  cpu: z.number().nullable(),
  isolation: z.number().int(),
  /** The member it works for: `own`, or the key. */
  submitter: z.string(),
  /** What it runs now, if that is this member's own. */
  task: z.string().nullable(),
  function: z.string().nullable(),
});
export type ApiProcess = z.infer<typeof apiProcess>;

// --- tasks -----------------------------------------------------------------------------------

const text = z.string().min(1).max(200);
const wall = z.iso.datetime({ offset: true });
const stateGroup = z.enum([...taskStates, 'open', 'ended']);

export const apiFilter = z.strictObject({
  /** Any of these; `open` and `ended` stand for all of their kind. */
  state: z.array(stateGroup).optional(),
  retried: z.boolean().optional(),
  peer: text.optional(),
  /** SHA-256 of the program, or its beginning. */
  program: z.string().regex(/^[0-9a-f]{4,64}$/).optional(),
  text: text.optional(),
  since: wall.optional(),
  until: wall.optional(),
});
export type ApiFilter = z.infer<typeof apiFilter>;

export const apiTaskRow = z.object({
  id: z.string(),
  state: taskStateSchema,
  peer: z.string().nullable(),
  attempt: count,
  function: z.string().nullable(),
  language: z.string(),
  program: z.string().nullable(),
  /** The name of another member; null of one's own. */
  submitter: z.string().nullable(),
  accepted_at: time,
  ended_at: time.nullable(),
  queued_ms: ms,
  run_ms: ms.nullable(),
  waiting_for: z.string().optional(),
  error: z.object({ code: z.string(), message: z.string() }).optional(),
});
export type ApiTaskRow = z.infer<typeof apiTaskRow>;

export const apiTaskList = z.object({
  rows: z.array(apiTaskRow),
  /** Of all tasks that this home knows, those that match. */
  total: count,
  offset: count,
  /** Give it back for other parts of the same list. */
  as_of: z.number(),
  /** Accepted since then, and matching. */
  newer: count,
  /** The next part; null at the end. */
  next: z.string().nullable(),
});
export type ApiTaskList = z.infer<typeof apiTaskList>;

export const apiTask = z.object({
  id: z.string(),
  state: taskStateSchema,
  peer: z.string().nullable(),
  attempt: count,
  queued_ms: ms,
  run_ms: ms.nullable(),
  receipt: receiptSchema.nullable(),
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable().optional(), type: z.string().optional(), traceback: z.string().optional() }).optional(),
  /** What follows is absent of a task of which only the outcome is kept. */
  function: z.string().optional(),
  language: z.string().optional(),
  program: z.string().optional(),
  options: optionsSchema.optional(),
  accepted_at: time.optional(),
  ended_at: time.optional(),
  states: z.array(z.object({ state: z.string(), at: time })).optional(),
  attempts: z.array(z.object({ attempt: count, peer: z.string(), state: z.string(), reason: z.string().nullable(), at: time })),
  waiting_for: z.string().nullable(),
  waiting: z
    .object({
      why: z.string(),
      ahead: count,
      peers: z.array(z.object({ peer: z.string(), verdict: z.enum(['free', 'busy', 'away', 'never']), why: z.string() })),
      fix: z.string().nullable(),
      retry_at: time.nullable(),
    })
    .nullable(),
  /** Sizes; null of what is not there. */
  args_bytes: count.nullable(),
  kwargs_bytes: count.nullable(),
  result_bytes: count.nullable(),
  output_bytes: z.object({ stdout: count, stderr: count }),
  /** False: another member's, of which only this much is shown. */
  own: z.boolean(),
});
export type ApiTask = z.infer<typeof apiTask>;

export const apiOutput = z.object({
  attempt: count,
  peer: z.string().nullable(),
  ended: z.boolean(),
  streams: z.record(z.enum(['stdout', 'stderr']), z.object({ size: count, pieces: z.array(z.object({ offset: count, base64: z.string() })) })),
});
export type ApiOutput = z.infer<typeof apiOutput>;

/** `args` is a JSON array and `kwargs` an object; both are passed on as the text that they are. */
export const apiSubmission = z.strictObject({
  id: idSchema.optional(),
  program: z.string().min(1),
  language: languageSchema.default('python'),
  function: z.string().min(1).max(limits.functionNameLengthMax).default('main'),
  args: z.array(z.unknown()).optional(),
  kwargs: z.record(z.string(), z.unknown()).optional(),
  options: optionsSchema.default({}),
});

export const apiSubmitted = z.object({ id: z.string() });
export const apiCancelled = z.object({ id: z.string(), state: z.enum(outcomes) });

/** Everything that matches and was accepted before `as_of`, if it is still as many as `count` says. */
export const apiBulk = z.strictObject({ filter: apiFilter, as_of: z.number(), count });
export const apiBulkDone = z.object({ matched: count, done: count, failed: count, problems: z.array(z.object({ id: z.string(), code: z.string(), message: z.string() })) });
export type ApiBulkDone = z.infer<typeof apiBulkDone>;

// --- the pool's members ----------------------------------------------------------------------

const role = z.enum(['admin', 'member', 'runner']);

export const apiMember = z.object({
  name: z.string(),
  role,
  state: z.string(),
  machine: z.string(),
  connected: z.boolean(),
  last_seen: time.nullable(),
  fingerprint: z.string(),
  /** It holds the registry, and cannot be revoked. */
  tracker: z.boolean(),
});
export type ApiMember = z.infer<typeof apiMember>;

export const apiInvitation = z.object({ id: z.string(), state: z.string(), role, name: z.string().nullable(), used: count, joins: count, expires_at: time, by: z.string() });
export type ApiInvitation = z.infer<typeof apiInvitation>;

export const apiInvite = z.strictObject({
  role: role.default('member'),
  joins: count.min(1).max(limits.membersMax).default(limits.invitationJoins),
  ttl_ms: count.min(1_000).max(limits.invitationTtlMsMax).default(limits.invitationTtlMs),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/).optional(),
});
/** `command` is typed on the other machine; what it holds is the secret and is shown this once. */
export const apiInvited = z.object({ id: z.string(), command: z.string(), expires_at: time });

export const apiAuditLine = z.object({ at: time, what: z.string(), who: z.string().nullable(), detail: z.string(), count });
export type ApiAuditLine = z.infer<typeof apiAuditLine>;

// --- logins ----------------------------------------------------------------------------------

export const apiLogin = z.strictObject({ code: z.string().min(1).max(100) });
export const apiLoggedIn = z.object({ token: z.string(), peer: z.string(), expires_at: time });
export const apiKey = z.object({ kind: z.enum(['session', 'token']), id: z.string(), name: z.string(), created_at: time, expires_at: time, current: z.boolean() });
export type ApiKey = z.infer<typeof apiKey>;
