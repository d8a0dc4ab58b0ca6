/** What a home answers to questions: the documents that `--json` prints, typed. */
import type { Accepts, Language, PeerState, Receipt, TaskOptions, TaskState, Withheld } from '../wire/messages.ts';

export interface PoolStatus {
  peer: string;
  pool: string;
  cpu_load: number;
  load: number;
  slots: number;
  queue_size: number;
  running: number;
  tasks: TaskRow[];
  processes: { pid: number; language: Language; since_ms: number; tasks_run: number; rss_mb: number; state: string }[];
  tracker: { host: string; port: number; connected: boolean };
  /** 0 bare, 1 limits, 2 walls. */
  isolation: number;
  /** Whose tasks it takes now; if not members' tasks, why no more. */
  accepts: Accepts;
  withheld?: Withheld;
  /** What the peer's own key may do in the pool; null: it is no member. */
  role: 'admin' | 'member' | 'runner' | null;
  python: string | null;
  node?: string | null;
  version: string;
  uptime_ms: number;
  /** Counted since the start: connections turned away, links closed for what came over them, messages of a newer version. */
  links?: { refused: number; malformed: number; unknown_kinds: number };
  /** The root causes of what is wrong, each with its fix; empty when all is well. */
  health: { problem: string; fix: string }[];
}

/** A task that has not ended. */
export interface TaskRow {
  id: string;
  state: TaskState;
  /** Of somebody else's task, which admins see, there is its submitter's name in place of these two. */
  function?: string;
  language?: Language;
  submitter?: string;
  peer: string | null;
  attempt: number;
  age_ms: number;
  waiting_for?: string;
}

export interface PeerRow {
  peer: string;
  host: string;
  port: number;
  web: string | null;
  cpu_load: number;
  load: number;
  slots: number;
  running: number;
  queue_size: number;
  state: PeerState;
  isolation: number;
  /** Whose tasks it takes now. */
  accepts: Accepts;
  /** If not members' tasks: its owner said so, its isolation is too low, or it has not heard from the tracker for a day. */
  withheld?: Withheld;
  languages: Partial<Record<Language, string>>;
}

export interface HistoryRow {
  id: string;
  state: TaskState;
  peer: string | null;
  attempt: number;
  /** Of somebody else's task, which admins see, there is its submitter's name in place of these two. */
  function?: string;
  language?: Language;
  submitter?: string;
  queued_ms: number;
  run_ms: number | null;
  /** ISO 8601. */
  accepted_at: string;
  ended_at: string | null;
  error?: ErrorRow;
}

export interface ErrorRow {
  code: string;
  message: string;
  hint?: string | null;
  type?: string;
  traceback?: string;
}

export interface KeptOutput {
  text: string;
  /** Dropped between the first and the last bytes that are kept. */
  dropped_bytes: number;
  /** Where in `text` they are missing, if any are. */
  dropped_at?: number;
}

/** The whole story of a task. */
export interface TaskStory {
  id: string;
  state: TaskState;
  peer: string | null;
  attempt: number;
  queued_ms: number;
  run_ms: number | null;
  /** Of somebody else's task, which admins see: whose it is. Then of the rest only times, states and peers are there. */
  submitter?: string;
  receipt: Receipt | null;
  result?: unknown;
  error?: ErrorRow;
  attempts: { attempt: number; peer: string; state: string; reason: string | null }[];
  output: { stdout: KeptOutput; stderr: KeptOutput };
  waiting_for: string | null;
  /** This and the next four are missing when the task ended so long ago that its home keeps only how. */
  function?: string;
  language?: Language;
  /** SHA-256 of the source. */
  program?: string;
  options?: TaskOptions;
  accepted_at?: string;
  states: { state: TaskState; at: string }[];
}

export interface HistoryFilter {
  /** The default is the home's; at most limits.historyRowsMax. */
  limit?: number;
  state?: TaskState;
  peer?: string;
  /** Accepted at or after. */
  since?: Date;
}
