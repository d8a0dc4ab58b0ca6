/**
 * Every bound of potluck, each with its reason. Sizes are bytes unless the name ends in another unit.
 * Nothing else in the program may carry a number that limits somebody: it is named here, so that
 * an error can say it and a reader can find it.
 */

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

export const limits = {
  // --- what a person may send -------------------------------------------------------------
  /** A program is source text somebody wrote; a mebibyte of it is already a data file. */
  programBytesMax: 1 * MiB,
  /** Arguments and result: larger values belong in files; this one still fits in memory 3 times over. */
  valueBytesMax: 64 * MiB,
  /** An id travels in file names, URLs and terminals. */
  idLengthMax: 64,
  functionNameLengthMax: 256,
  /** Names of peers are shown in tables and used as folder names. */
  nameLengthMax: 100,
  timeoutMsMax: 30 * 86_400_000,
  retriesMax: 1000,
  priorityMax: 1_000_000,
  memoryMbMax: 16 * 1024 * 1024,

  // --- a home ------------------------------------------------------------------------------
  /** Waiting tasks per home: at some 1 KB each in memory this stays below the next line. */
  waitingTasksMax: 1_000_000,
  /** Memory that the inline arguments of waiting tasks may take in one home. */
  waitingBytesMax: 1 * GiB,
  /** Losses after which a task is suspected of killing its runners. */
  lossesMax: 5,
  /** A runner's closed link may come back within this time before its attempts count as lost. */
  linkGraceMs: 2_000,
  /** Silence after which a link is dead; four heartbeats and then some. */
  silenceMs: 15_000,
  /** A restarted home waits this long for runners to come back with the attempts it had assigned. */
  leaseMs: 15_000,
  /** One tick is at most this long, so that a process that was frozen does not expire the world on waking. */
  tickMsMax: 1_000,
  /**
   * Ended tasks kept whole, by count, age and bytes: of the journal without what was only written again,
   * and of the large values that it names. The journal goes by whole segments, so a home keeps up to one
   * segment more; what waits or runs is kept whatever these say.
   */
  endedTasksMax: 1_000_000,
  endedAgeMsMax: 30 * 86_400_000,
  journalBytesMax: 4 * GiB,
  /**
   * What is left of a pruned task (id, digest, outcome) is kept for this long or this many; what is beyond goes
   * with the segment it lies in.
   */
  prunedAgeMsMax: 30 * 86_400_000,
  prunedTasksMax: 5_000_000,
  /** Ended tasks a home answers from memory before it asks the index. */
  endedInMemoryMax: 20_000,
  endedInMemoryBytes: 64 * MiB,
  /** Output kept of one task: its first and its last bytes, with the count of what was dropped between. */
  outputHeadBytes: 64 * KiB,
  outputTailBytes: 64 * KiB,
  /** What followers can still read: a large print reaches them whole though a flush of the disk lies between. */
  followedOutputBytes: 512 * KiB,
  historyRowsMax: 10_000,
  /** One step of priority is worth this much longer in line; so nobody waits for ever. */
  priorityStepMs: 60_000,
  /** The pause before a task that failed is tried again, doubled by each failure: long enough for a passing trouble to pass, and bounded. */
  retryMsMin: 500,
  retryMsMax: 60_000,

  // --- placement ---------------------------------------------------------------------------
  /** A standing demand that is not renewed lapses: its home is gone or has nothing to ask for. */
  demandLapseMs: 5_000,
  demandRenewMs: 1_000,
  /** A restarted tracker listens this long, to be told what is in use, before it grants. */
  trackerListenMs: 1_000,
  /** One link has at most this part of the tracker's time: after what took long it waits that much longer, and what it says meanwhile is one. */
  linkTimeShare: 1 / 5,
  /** With more homes than slots, a home keeps its slot at least this long. */
  homeTurnMs: 500,
  /** A lost or revoked peer is shown for this long. */
  lostShownMs: 60 * 60_000,
  /** Runners a demand of one is offered, so that tasks sent one after another land on all equals in turn. */
  offersOfOneMax: 8,
  /** An idle grant is kept this long before it goes back. */
  grantIdleMs: 2_000,
  /** cpu_load orders runners in steps of this size: finer differences are noise. */
  cpuStep: 1 / 8,
  /** A runner is given this much more work than its slots hold, if its tasks are tiny. */
  aheadMs: 5,
  aheadTasksMax: 64,
  /** Of those, jobs that lie in the pipe of one worker, to spare a round trip for each. */
  pipeTasksMax: 32,
  /** An attempt sent ahead that has not started after this goes back to its home. */
  aheadWaitMsMax: 20,
  /** "Tiny" means a median run below this many round trips of the link. */
  tinyRoundTrips: 10,
  receiptCandidatesMax: 8,
  /** A runner says that an attempt started when it has run this long; of a shorter one its end says enough. */
  announceMs: 5,

  // --- a runner ----------------------------------------------------------------------------
  slotsMax: 1_024,
  /** Results are kept until their home says that they are stored, this long and this many bytes. */
  resultKeepMs: 10 * 60_000,
  resultKeepBytes: 256 * MiB,
  /** Programs a runner keeps to spare fetching them again. */
  programCacheBytes: 64 * MiB,
  /** Programs one worker holds: it serves one submitter, who alternates between few. */
  workerProgramsMax: 64,
  workerProgramBytes: 16 * MiB,
  /** An interpreter on a machine that is short of everything may take seconds to start. */
  workerStartMs: 30_000,
  /** Processes of one task: enough for any pool of them that a function starts, far below what would hurt the machine. */
  taskProcessesMax: 4_096,
  /** What all workers of a peer may print together: more than any record or reader keeps, a tenth of what a core can take in. */
  outputReadBytesPerS: 100 * MiB,
  /** What an attempt may tell its home at once, and what is kept for a home that falls behind: a large print passes whole. */
  outputAheadBytes: 512 * KiB,
  /** Beyond that: more than anybody reads, and little enough that a home bears some dozens of floods. */
  outputToldBytesPerMs: 4 * KiB,
  /** An idle worker is ended after this time, so that a quiet machine gets its memory back. */
  workerIdleMs: 5 * 60_000,
  /** Workers kept idle beyond the slots (other languages and submitters). */
  workersIdleMax: 8,
  /** Measured CPU load is averaged over about this time. */
  cpuWindowMs: 1_000,
  heartbeatMs: 1_000,
  /** Of a machine's memory, what the tasks of other members may use together if they fill all slots and name no limit. */
  foreignMemoryShare: 3 / 4,
  /** An interpreter with a few libraries; below it most tasks would not start. */
  foreignMemoryMbMin: 256,
  /** What the probes showed of the box is believed this long; a kernel or a setting may change under it. */
  boxProofMs: 24 * 3_600_000,
  /**
   * What a task in a box may write: all of it is memory, counted against the task's limit, and none of it reaches the
   * machine's disk. Its home folder; /tmp; /dev/shm, in which processes of one task share arrays.
   */
  scratchBytes: 1 * GiB,
  boxTmpBytes: 256 * MiB,
  boxShmBytes: 1 * GiB,
  /** A peer that has not heard from its tracker for this long cannot know who was revoked: it takes no foreign work. */
  rosterConfirmMs: 24 * 3_600_000,

  // --- the pool's members ------------------------------------------------------------------
  /** A roster travels in one frame; a row takes up to 215 bytes. */
  membersMax: 500,
  /** Of revoked members the newest this many stay in the roster, to be told why; the others are strangers. */
  revokedRowsMax: 500,
  /** An invitation is a key that lies in somebody's mail: it ends by itself. */
  invitationTtlMs: 3_600_000,
  invitationTtlMsMax: 30 * 86_400_000,
  invitationJoins: 10,
  /** Open at a time; and closed ones that are remembered, to say why they are. */
  invitationsOpenMax: 1_000,
  invitationsClosedMax: 1_000,
  /** Of these an invitation names the first ones that are reachable from other machines. */
  invitationAddressesMax: 3,
  /** The answer to a wrong proof from one address waits this long, doubled by each, below helloMs. Right proofs never wait. */
  wrongProofMsMin: 250,
  wrongProofMsMax: 3_000,
  /** Addresses whose wrong proofs are remembered, and for how long after the last one. */
  wrongProofAddressesMax: 1_024,
  wrongProofForgetMs: 60_000,
  /** Lines of the audit that are answered from memory, and its bytes on disk: of what was observed, not of who joined or left. */
  auditRowsMax: 10_000,
  auditBytesMax: 64 * MiB,
  /** Alike observations are counted this long and then written as one line, of so many kinds at most. */
  auditGatherMs: 5_000,
  auditGatherMsMax: 3_600_000,
  auditKindsMax: 256,
  /** Of them, those of one member. */
  auditKindsPerKeyMax: 16,
  /** A runner counts alike observations this long before it tells them; more kinds than this are one member making up submitters. */
  observedGatherMs: 5_000,
  observedKindsMax: 32,

  // --- the wire ----------------------------------------------------------------------------
  frameBytesMax: 256 * KiB,
  /** What the messages of one frame would take without leaving out what repeats: "the same" is one byte of it, and some work. */
  rowsBytesMax: 1 * MiB,
  /** Attempts that fit into one hello. */
  heldMax: 3_000,
  /** Entries of other lists in one message: peers take some 400 bytes each, attempts some 80. */
  listPartMax: 300,
  /** Addresses of one process: loopback and those of the machine's interfaces; and what a machine that joined remembers of its tracker. */
  addressesMax: 16,
  /** Different needs in one demand. Those that some peer serves now come first; beyond these, the others wait their turn. */
  needsMax: 64,
  /** Observations that a peer tells at once, and keeps while it has no tracker. */
  reportsMax: 64,
  /** Ids alone are short. */
  idsPartMax: 1_000,
  /** Texts of an error as it travels; a program may raise anything. */
  problemMessageLengthMax: 8_192,
  problemTracebackLengthMax: 32_768,
  problemHintLengthMax: 2_048,
  /** Values up to this size travel inside their message; larger ones by content, in chunks. */
  inlineBytesMax: 64 * KiB,
  chunkBytes: 64 * KiB,
  /** What may be under way of one value before its receiver has said that it took it. */
  creditBytes: 1 * MiB,
  depthMax: 32,
  helloMs: 5_000,
  /** What somebody who joins may say: three signatures and a name are some 300 bytes. */
  joinFrameBytesMax: 4 * KiB,
  connectionsPerAddressMax: 32,
  connectionsBeforeHelloMax: 256,
  /** A handshake and a hello take some round trips; where places are short, nobody is kept who takes longer. */
  newcomerGraceMs: 1_000,
  /** Submissions of one client that are not accepted yet: after that the SDK waits. */
  unacceptedTasksMax: 4_096,
  unacceptedBytesMax: 4 * MiB,
  /** Bytes a link may hold unsent before its owner stops giving it bulk data. */
  linkBacklogBytes: 1 * MiB,
  redialMsMin: 50,
  redialMsMax: 2_000,
  /** A link to a runner that carries nothing is closed after this time. */
  linkIdleMs: 60_000,

  // --- the page ----------------------------------------------------------------------------
  /** Open sockets of one page: a few browsers with six each, and scripts. */
  pageConnectionsMax: 128,
  /** Event streams; each browser has one. */
  pageStreamsMax: 32,
  /** A request's line and headers, all together. */
  pageHeaderBytesMax: 16 * KiB,
  /** Whoever sends headers or a body slower than this is cut off. */
  pageHeadersMs: 5_000,
  pageBodyMs: 15_000,
  /** A request that carries no program and no arguments. */
  pageBodyBytesMax: 64 * KiB,
  /** A submission: a program and two values, as JSON, whose strings may take more than they hold. */
  pageSubmissionBytesMax: 132 * MiB,
  /** A login link is typed or clicked soon, or asked for anew. */
  pageCodeMs: 60 * 60_000,
  /** A browser that was logged in asks again after a week. */
  pageSessionMs: 7 * 86_400_000,
  pageTokenMsMax: 365 * 86_400_000,
  /** Codes, sessions and tokens of one peer; beyond, those that end first go. */
  pageKeysMax: 200,
  /** Rows of one answer. */
  pageRowsMax: 1_000,
  /** Tasks that one request may cancel or run again, so that it ends in seconds. */
  pageBulkMax: 100_000,
  /** Of them under way at a time: enough to share flushes, few enough to leave room for others. */
  pageBulkAtOnce: 500,
  pageBulkProblemsMax: 20,
  /** Points of the plots, one per second: the last quarter of an hour. */
  pageSamplesMax: 900,
  /** Events are gathered this long before they are told. */
  pageGatherMs: 250,
  /** Ids of changed tasks that one event names; beyond, it says only how many. */
  pageChangedMax: 100,
  /** A stream that has nothing to tell says so, so that both sides know that it lives. */
  pageBeatMs: 10_000,
} as const;

/** Relations that must hold between the bounds above; checked by a test. */
export function checkLimits(l: typeof limits = limits): string[] {
  const broken: string[] = [];
  const must = (holds: boolean, relation: string) => {
    if (!holds) broken.push(relation);
  };
  must(l.inlineBytesMax * 3 < l.frameBytesMax, 'arguments, kwargs and output of one message fit in a frame');
  must(l.rowsBytesMax > l.frameBytesMax, 'the largest message may begin rows');
  must(l.chunkBytes < l.frameBytesMax, 'a chunk fits in a frame');
  must((l.membersMax + l.revokedRowsMax) * 215 + 1024 < l.frameBytesMax, 'a roster fits in a frame');
  must(l.wrongProofMsMax + 1_000 < l.helloMs, 'the answer to a wrong proof comes before the connection is dropped');
  must(l.programBytesMax + 2 * l.valueBytesMax < l.pageSubmissionBytesMax, 'what a task may carry fits in one request');
  must(l.creditBytes >= 4 * l.chunkBytes, 'credit keeps a transfer moving');
  must(l.heartbeatMs * 4 < l.silenceMs, 'several heartbeats fit into the silence that ends a link');
  must(l.demandRenewMs * 3 < l.demandLapseMs, 'a demand survives two lost renewals');
  must(l.newcomerGraceMs < l.helloMs, 'who is slow goes first when places are short');
  must(l.observedKindsMax <= l.reportsMax, 'what a runner gathers fits in one report');
  must(l.linkGraceMs < l.leaseMs, 'a closed link is noticed sooner than a silent one');
  must(l.aheadMs < l.aheadWaitMsMax, 'work sent ahead is expected to start before it is sent back');
  must(l.resultKeepBytes >= 2 * l.valueBytesMax, 'a runner can keep at least two of the largest results');
  must(l.redialMsMax < 5_000, 'a returning tracker sees its peers within five seconds');
  return broken;
}
