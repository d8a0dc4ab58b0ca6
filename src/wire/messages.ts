/**
 * What travels between the processes of a pool: one message, one schema, one type.
 *
 * Owns: the shape of every message. Framing and limits of size are in framing.ts; values too large
 * for a message travel by content (Blob below), see content.ts.
 *
 * Invariants
 * 1. Arguments and results are opaque bytes of JSON text here; nothing on the way parses them.
 * 2. A field added later is optional, so that peers one minor version apart understand each other.
 * 3. Every list says how long it may be: an error is made for each wrong entry, and a frame has room for a
 *    quarter of a million.
 * 4. Times are milliseconds; `wall` in a name means the wall clock, which is only ever shown.
 */
import * as z from 'zod';
import { limits } from '../limits.ts';

// --- parts ---------------------------------------------------------------------------------

export const idSchema = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
export const hashSchema = z.string().regex(/^[0-9a-f]{64}$/);
export const peerNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);
const bytes: z.ZodType<Uint8Array> = z.instanceof(Uint8Array);
/** What a peer says of itself ends up in tables, logs and links: no control codes, and nothing that turns text around. */
const plain = z.string().regex(/^[^\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]*$/u);
const count = z.number().int().nonnegative();
const ms = z.number().nonnegative();
const text = z.string().max(limits.frameBytesMax);

export const languages = ['python', 'javascript'] as const;
export const languageSchema = z.enum(languages);
export type Language = (typeof languages)[number];

/** Bytes in the message itself, or the name of content that the sender of the message holds. */
export const valueSchema = z.union([bytes, z.strictObject({ hash: hashSchema, size: count })]);
export type Value = z.infer<typeof valueSchema>;

export const outcomes = ['done', 'failed', 'timed_out', 'out_of_memory', 'cancelled', 'expired', 'unknown', 'quarantined'] as const;
export type OutcomeState = (typeof outcomes)[number];
export const taskStates = ['queued', 'assigned', 'running', ...outcomes] as const;
export type TaskState = (typeof taskStates)[number];
export const taskStateSchema = z.enum(taskStates);

/** What went wrong, in the form that a person reads: what, why, how to mend it. */
export const problemSchema = z.object({
  code: z.string().max(64),
  message: text,
  /** For a program's own failures: the type of what it raised. */
  type: z.string().max(1000).optional(),
  traceback: text.optional(),
  hint: text.optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** Options of a task; an absent one has its default. */
export const optionsSchema = z.strictObject({
  timeoutMs: z.number().int().positive().max(limits.timeoutMsMax).optional(),
  /** Must have started within this time after it was accepted, else `expired`. */
  waitMs: z.number().int().positive().max(limits.timeoutMsMax).optional(),
  retries: count.max(limits.retriesMax).optional(),
  priority: z.number().int().min(-limits.priorityMax).max(limits.priorityMax).optional(),
  confidential: z.boolean().optional(),
  once: z.boolean().optional(),
  memoryMb: z.number().int().positive().max(limits.memoryMbMax).optional(),
  fresh: z.boolean().optional(),
});
export type TaskOptions = z.infer<typeof optionsSchema>;

/** One call, as its client describes it. `args` is a JSON array, `kwargs` a JSON object (Python only). */
export const taskSpecSchema = z.strictObject({
  id: idSchema,
  program: hashSchema,
  language: languageSchema,
  function: z.string().min(1).max(limits.functionNameLengthMax),
  args: valueSchema,
  kwargs: valueSchema.optional(),
  options: optionsSchema,
});


export const receiptReasons = ['only_one', 'cpu_load', 'load', 'rotation', 'confidential', 'ahead', 'from_memory'] as const;
/** Why this runner: the candidates as they stood, and what decided between the first two. */
export const receiptSchema = z.object({
  peer: z.string(),
  decided: z.enum(receiptReasons),
  candidates: z.array(z.object({ peer: z.string(), load: z.number(), cpu_load: z.number() })).max(limits.receiptCandidatesMax),
  /** Peers not considered, with the reason, counted: `{ "no python3": 1 }`. */
  passed_over: z.record(z.string(), count).optional(),
});
export type Receipt = z.infer<typeof receiptSchema>;

export const addressSchema = z.object({ host: z.string().max(255).regex(/^[\w.:%-]+$/), port: z.number().int().min(1).max(65535) });
export type Address = z.infer<typeof addressSchema>;

/** Which machine a process runs on: two processes share loopback only if both agree. */
export const machineSchema = z.object({ boot: plain.max(100), net: plain.max(100) });
export type Machine = z.infer<typeof machineSchema>;

export const peerStates = ['up', 'suspected', 'draining', 'lost', 'revoked'] as const;
export type PeerState = (typeof peerStates)[number];

/** Whose tasks a peer takes: nobody's, those of its own user (the key of its folder), those of all members. */
export const acceptances = ['none', 'own', 'members'] as const;
export type Accepts = (typeof acceptances)[number];
const accepts = z.enum(acceptances).optional();
/** Why a peer takes less than members' tasks: its owner said so, its isolation is too low, or its roster is old. */
const withheld = z.enum(['owner', 'isolation', 'unconfirmed']).optional();
export type Withheld = NonNullable<z.infer<typeof withheld>>;
const isolation = z.number().int().min(0).max(2);

/** What a peer says of itself when it registers. */
export const peerSelfSchema = z.object({
  peer: peerNameSchema,
  incarnation: plain.max(64),
  addresses: z.array(addressSchema).min(1).max(limits.addressesMax),
  machine: machineSchema,
  /** Where its page answers, if it has one. */
  web: plain.max(255).optional(),
  slots: count.max(limits.slotsMax),
  /** Interpreters by language, with their version: `{ python: '3.11.7' }`. */
  languages: z.partialRecord(languageSchema, plain.max(100)),
  memoryMb: count,
  isolation,
  /** What it takes now; a peer that does not say takes its own user's tasks. */
  accepts,
  withheld,
  version: plain.max(40),
});
export type PeerSelf = z.infer<typeof peerSelfSchema>;

/** A peer as the tracker knows it. `key` is the member key that it proved. */
export const peerInfoSchema = peerSelfSchema.extend({
  key: z.string().max(64),
  state: z.enum(peerStates),
  cpu_load: z.number().min(0).max(1),
  /** Slots that run something. */
  running: count,
  /** Slots that homes may use now (running or not). */
  granted: count,
  /** Tasks that wait in this peer's home. */
  queued: count,
});
export type PeerInfo = z.infer<typeof peerInfoSchema>;

/** What a waiting task needs of a runner. Tasks with the same needs wait in the same line. */
export const needSchema = z.object({
  language: languageSchema,
  memoryMb: count.optional(),
  /** Somebody else than the user of its home submitted it: foreign to every runner. */
  foreign: z.boolean().optional(),
});
export type Need = z.infer<typeof needSchema>;

const attemptKey = z.string().regex(/^[0-9a-f]{16}$/);
/** Names one try of a task. A message about an attempt counts only if all three agree. */
export const attemptRefSchema = z.object({ id: idSchema, attempt: count.min(1), key: attemptKey });
export type AttemptRef = z.infer<typeof attemptRefSchema>;

export const attemptOutcomes = ['done', 'failed', 'timed_out', 'out_of_memory', 'killed'] as const;
/** How an attempt ended on its runner. `killed`: because its home said so. */
export const attemptEndSchema = attemptRefSchema.extend({
  outcome: z.enum(attemptOutcomes),
  result: valueSchema.optional(),
  error: problemSchema.optional(),
  runUs: count,
  pid: count.optional(),
});
export type AttemptEnd = z.infer<typeof attemptEndSchema>;

export const refusals = ['busy', 'draining', 'not_allowed', 'isolation_too_low', 'no_interpreter', 'content_missing', 'memory'] as const;
export type Refusal = (typeof refusals)[number];

/** An outcome as its submitter receives it. */
export const outcomeSchema = z.object({
  id: idSchema,
  state: z.enum(outcomes),
  peer: z.string().nullable(),
  attempt: count,
  queued_ms: ms,
  run_ms: ms.nullable(),
  receipt: receiptSchema.nullable(),
  result: valueSchema.optional(),
  error: problemSchema.optional(),
});
export type Outcome = z.infer<typeof outcomeSchema>;

/** Something that a peer reports for the pool's audit. What is alike is counted, not listed. */
export const auditEventSchema = z.object({
  what: z.enum(['policy', 'foreign_started', 'refused']),
  /** Who it is about: the key of a submitter or of who was refused. */
  key: z.string().max(64).optional(),
  /** In a few words: the policy as it is now, the reason of a refusal. */
  detail: z.string().max(300),
  count: count.min(1),
});
export type AuditEvent = z.infer<typeof auditEventSchema>;

/** Who belongs to the pool, signed by the pool's key (SPKI). The number repeats what the body says. */
const rosterSchema = z.object({ number: count.min(1), pool_key: bytes, body: bytes, signature: bytes });

const roleSchema = z.enum(['admin', 'member', 'runner']);

// --- messages ------------------------------------------------------------------------------

const hello = z.object({
  version: z.string().max(40),
  incarnation: z.string().max(64),
  /** What the sender is on this link. */
  as: z.enum(['client', 'home', 'runner', 'peer', 'tracker']),
  name: z.string().max(limits.nameLengthMax),
  pool: z.string().max(64).optional(),
  /** Runner to home: attempts of that home which it runs or whose results it keeps. */
  held: z.array(attemptRefSchema.extend({ ended: z.boolean() })).max(limits.heldMax).optional(),
  /** Peer to tracker. */
  self: peerSelfSchema.optional(),
  /** The number of the roster that the sender has; 0: none. Who has the newer one sends it. */
  roster: count.optional(),
});

export const messageSchemas = {
  // link
  hello,
  ping: z.object({ t: z.number() }),
  pong: z.object({ t: z.number() }),
  /** Said before a link is closed on purpose: `revoked`, `version`, `stopping`, ... */
  bye: z.object({ error: problemSchema }),
  /** Content by hash: asked for, sent in chunks within the credit, or not there. */
  want: z.object({ hash: hashSchema }),
  chunk: z.object({ hash: hashSchema, offset: count, size: count, data: bytes }),
  credit: z.object({ hash: hashSchema, bytes: count }),
  lacking: z.object({ hash: hashSchema }),
  roster: rosterSchema,

  // client -> home
  /** With `follow`, states and output are reported too; the outcome always is. */
  submit: taskSpecSchema.extend({ follow: z.boolean().optional() }),
  cancel: z.object({ id: idSchema }),
  /** Tell me the outcome (and, with `follow`, states and output) of this task. */
  watch: z.object({ id: idSchema, follow: z.boolean() }),
  unwatch: z.object({ id: idSchema }),
  ask: z.object({
    ask: count,
    what: z.enum(['status', 'peers', 'history', 'task']),
    id: idSchema.optional(),
    limit: count.max(limits.historyRowsMax).optional(),
    state: z.string().max(40).optional(),
    peer: z.string().max(limits.nameLengthMax).optional(),
    /** Wall clock, ms since 1970. */
    sinceWall: z.number().optional(),
  }),

  // home -> client
  accepted: z.object({ ids: z.array(idSchema).max(limits.idsPartMax) }),
  refused: z.object({ id: idSchema, error: problemSchema }),
  task_state: z.object({
    id: idSchema,
    state: taskStateSchema,
    attempt: count,
    peer: z.string().nullable(),
    /** While it waits: the reason in one sentence. */
    waiting_for: z.string().optional(),
  }),
  /** `offset`: bytes of that stream of that attempt before this; what lies between one message and the next was dropped. */
  output: z.object({ id: idSchema, attempt: count, peer: z.string(), stream: z.enum(['stdout', 'stderr']), offset: count.optional(), data: bytes }),
  outcome: outcomeSchema,
  /** `json` is the answer as JSON text, or, when it is larger than a message, content. */
  answer: z.object({ ask: count, json: valueSchema.optional(), error: problemSchema.optional() }),
  no_task: z.object({ id: idSchema, error: problemSchema }),

  // peer -> tracker
  /** `accepts` and what follows it: when they are others than when the peer registered. */
  load: z.object({
    cpu_load: z.number().min(0).max(1),
    running: count.max(limits.slotsMax),
    slots: count.max(limits.slotsMax),
    queued: count,
    draining: z.boolean(),
    accepts,
    withheld,
    isolation: isolation.optional(),
  }),
  /** Everything this home has waiting, by need, and the slots that it holds, used or idle. Replaces the last one. */
  demand: z.object({
    /** The last grant that this home has seen: what it holds does not yet say anything of later ones. */
    seen: count,
    /** `avoid`: the runner that had such tasks last; another goes first, if one fits. */
    waiting: z.array(z.object({ need: needSchema, count, avoid: peerNameSchema.optional() })).max(limits.needsMax),
    held: z.array(z.object({ peer: peerNameSchema, slots: count.max(limits.slotsMax), used: count.max(limits.slotsMax) })).max(limits.slotsMax),
  }),

  /** At most one of these in a few seconds; a tracker that is away is told later or not at all. */
  audit: z.object({ events: z.array(auditEventSchema).min(1).max(limits.reportsMax) }),

  // an admin's client -> tracker; each is answered with `answer`
  /** The one who invites makes the seed; the tracker gets the public half (SPKI) only. */
  invite: z.object({
    ask: count,
    public_key: bytes,
    role: roleSchema,
    joins: count.min(1).max(limits.membersMax),
    ttlMs: count.min(1).max(limits.invitationTtlMsMax),
    name: peerNameSchema.optional(),
  }),
  /** By name (or by key) or by the id of an invitation. */
  revoke: z.object({ ask: count, member: z.string().max(limits.nameLengthMax).optional(), invitation: idSchema.optional() }),
  registry: z.object({ ask: count, what: z.enum(['members', 'invitations', 'audit']), limit: count.max(limits.auditRowsMax).optional() }),

  // tracker -> peer
  /** The home may use this many slots of that runner, all in all. Fewer than before is a recall. */
  grant: z.object({ peer: peerNameSchema, incarnation: z.string(), slots: count, others: count, seq: count }),
  /** Peers that are new or changed. `all`: the list is complete, whoever is not on it is unknown. */
  peers: z.object({ all: z.boolean(), peers: z.array(peerInfoSchema).max(limits.listPartMax) }),
  welcome: z.object({ pool: z.string(), tracker: z.string() }),

  // home -> runner
  attempt: attemptRefSchema.extend({
    program: hashSchema,
    language: languageSchema,
    function: z.string().min(1).max(limits.functionNameLengthMax),
    args: valueSchema,
    kwargs: valueSchema.optional(),
    timeoutMs: count.optional(),
    memoryMb: count.optional(),
    fresh: z.boolean().optional(),
    /** Sent beyond the slots, because its like are over in no time; may come back unstarted. */
    ahead: z.boolean().optional(),
    /** Workers serve one submitter only. */
    submitter: z.string().max(64),
  }),
  kill: attemptRefSchema.extend({ why: z.enum(['cancelled', 'timed_out', 'stale', 'refused']) }),
  stored: z.object({ attempts: z.array(attemptRefSchema).max(limits.listPartMax) }),

  // runner -> home
  started: z.object({ attempts: z.array(attemptRefSchema).max(limits.listPartMax) }),
  turned_away: attemptRefSchema.extend({ reason: z.enum(refusals), detail: text.optional() }),
  /** On a new link everything that the runner keeps comes again, under the same `offset`. */
  attempt_output: attemptRefSchema.extend({ stream: z.enum(['stdout', 'stderr']), offset: count.optional(), data: bytes }),
  attempt_ended: attemptEndSchema,
  /** `others`: of those running, attempts of other homes than the one that is told. */
  runner_load: z.object({ running: count.max(limits.slotsMax), others: count.max(limits.slotsMax).optional(), slots: count.max(limits.slotsMax), cpu_load: z.number().min(0).max(1), draining: z.boolean() }),
} as const;

export type MessageKind = keyof typeof messageSchemas;
export type MessageBody<K extends MessageKind> = z.infer<(typeof messageSchemas)[K]>;
/** Any message: its kind and its body. */
export type Message = { [K in MessageKind]: { kind: K } & MessageBody<K> }[MessageKind];
export type MessageOf<K extends MessageKind> = Extract<Message, { kind: K }>;

/**
 * What is said while somebody joins, over a protocol of its own (join-channel.ts): the tracker begins, and
 * nothing is said to it before that was verified.
 */
export const joinSchemas = {
  /** The pool's key (SPKI) and its signature over `potluck-join-1` ‖ exporter. */
  join_hello: z.object({ pool_key: bytes, signature: bytes }),
  /** The newcomer's key (SPKI), and exporter ‖ that key signed by the invitation's seed and by that key. */
  join_proof: z.object({ invitation: idSchema, public_key: bytes, by_seed: bytes, by_key: bytes, machine: z.string().max(limits.nameLengthMax) }),
  joined: z.object({ roster: rosterSchema, pool_name: z.string().max(limits.nameLengthMax), addresses: z.array(addressSchema).max(16) }),
  join_refused: z.object({ error: problemSchema }),
} as const;
type JoinKind = keyof typeof joinSchemas;
export type JoinMessage = { [K in JoinKind]: { kind: K } & z.infer<(typeof joinSchemas)[K]> }[JoinKind];
export type JoinMessageOf<K extends JoinKind> = Extract<JoinMessage, { kind: K }>;
