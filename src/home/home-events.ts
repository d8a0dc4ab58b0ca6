/** What a home is told (past tense) and what it orders (imperative). See home-state.ts. */
import type { StreamSource } from '../lib/stream-ends.ts';
import type { AttemptRef, Message, MessageOf, PeerInfo, Problem, TaskOptions, Value } from '../wire/messages.ts';
import type { Past, PrunedTask, Story } from './records.ts';

/** A submission whose content is all here. */
export interface Submission {
  id: string;
  program: string;
  language: 'python' | 'javascript';
  function: string;
  args: Value;
  kwargs?: Value | undefined;
  options: TaskOptions;
  digest: string;
  /** The key that its client proved. */
  submitter: string;
}

export type HomeEvent =
  | { type: 'tick' }
  | { type: 'started' }
  /** `prior`: the ended task of this id, if it is no longer in memory. */
  | { type: 'submitted'; client: number; follow: boolean; submission: Submission; prior?: Past | undefined }
  /** `by`: the key that the client proved. */
  | { type: 'watched'; client: number; by: string; id: string; follow: boolean }
  | { type: 'unwatched'; client: number; id: string }
  | { type: 'cancelled'; client: number; by: string; id: string }
  | { type: 'client_gone'; client: number }
  /** `seen`: the last grant of this same link, when the home started again above it. */
  | { type: 'tracker_up'; seen?: number }
  | { type: 'tracker_away' }
  | { type: 'granted'; grant: MessageOf<'grant'> }
  | { type: 'peers_told'; all: boolean; peers: PeerInfo[] }
  /** `key`: what it proved. Whoever else takes the name is another process, whatever it says. */
  | { type: 'runner_linked'; peer: string; key: string; incarnation: string; held: (AttemptRef & { ended: boolean })[]; roundTripMs: number }
  | { type: 'runner_unlinked'; peer: string }
  /** `others`: of those that run, attempts of other homes. */
  | { type: 'runner_load'; peer: string; running: number; others?: number | undefined; slots: number; cpuLoad: number; draining: boolean }
  | { type: 'attempts_started'; peer: string; attempts: AttemptRef[] }
  | { type: 'turned_away'; peer: string; ref: AttemptRef; reason: MessageOf<'turned_away'>['reason']; detail: string | undefined }
  | { type: 'attempt_output'; peer: string; ref: AttemptRef; stream: 'stdout' | 'stderr'; offset?: number | undefined; data: Uint8Array }
  | { type: 'attempt_ended'; peer: string; end: MessageOf<'attempt_ended'> }
  /** Members no more: as runners, and as submitters. */
  | { type: 'revoked'; keys: readonly string[] }
  /** `lost`: what waited for that commit and was not told. */
  | { type: 'commit_failed'; durable: number; problem: Problem; lost?: readonly HomeAfter[] }
  /** A step of a compaction: what must be said again, or in short, before old records are dropped. */
  | { type: 'compacting'; restate: readonly string[]; retell: readonly Story[]; prune: readonly Pruning[] }
  | { type: 'draining' };

export interface Pruning {
  since: number;
  tasks: readonly PrunedTask[];
}

export type HomeSend =
  | { to: 'runner'; peer: string; message: Message }
  | { to: 'tracker'; message: Message }
  | { to: 'dial'; peer: string };

/** There is output that a client may not have read; it is read from its source when the link takes it. */
export interface OutputNews {
  id: string;
  attempt: number;
  peer: string;
  stream: 'stdout' | 'stderr';
  source: StreamSource;
  /** From the beginning. */
  again: boolean;
}

export type HomeAfter =
  | { to: 'client'; client: number; message: Message }
  /** `seq`: the record that accepted it, if it was not known before. */
  | { to: 'accepted'; client: number; id: string; seq?: number }
  | { to: 'output'; client: number; news: OutputNews }
  | { to: 'stored'; peer: string; ref: AttemptRef }
  /** An attempt of a `once` task: its assignment must be on disk before anybody can run it. */
  | { to: 'runner'; peer: string; message: Message }
  | { to: 'history'; story: Story; seq: number }
  | { to: 'pruned'; tasks: readonly PrunedTask[]; seq: number }
  /** A step is on disk. `ended`: those of `restate` that do not wait or run any more. */
  | { to: 'compacted'; ended: readonly string[] }
  /** Not in memory: the index may know. */
  | { to: 'lookup'; client: number; id: string; follow: boolean };


