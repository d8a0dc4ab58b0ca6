/** What passes between history's two threads, and the shape of a history row. Types only. */

/** How one task ended. Times are wall-clock milliseconds since 1970, durations milliseconds. */
export interface HistoryEntry {
  id: string;
  /** The outcome. */
  state: string;
  peer: string | null;
  attempt: number;
  language: string;
  function: string;
  /** SHA-256 of the program, hexadecimal. */
  program: string;
  /** The key of who submitted it; null: the home's own user. */
  submitter: string | null;
  acceptedAt: number;
  endedAt: number;
  queuedMs: number;
  runMs: number | null;
  /** `code: message`, null for `done`. */
  error: string | null;
  /** Number of the journal record that the row was made from. */
  seq: number;
}

export interface HistoryRow extends HistoryEntry {
  /** The task's whole story, opaque here. */
  record: Uint8Array;
}

/** What a search asks for; what is absent asks for nothing. `since` and `before` bound `acceptedAt`: from `since` on, and below `before`. */
export interface HistoryFilter {
  state?: string;
  /** Any of these. */
  states?: readonly string[];
  peer?: string;
  /** null: the home's own user. */
  submitter?: string | null;
  since?: number;
  before?: number;
  /** SHA-256 of the program, or its beginning. */
  program?: string;
  /** More than one attempt was made. */
  retried?: boolean;
  /** Occurs in the id, the function, the peer's name or the error; letters of either case. */
  text?: string;
  /** Whose tasks may be found by what they are (program, function, error), which tells as much as showing it; null: of the home's own key. */
  contentOf?: string | null;
  /** Any of these ids. */
  ids?: readonly string[];
}

export interface HistoryQuery extends HistoryFilter {
  limit: number;
  /** Rows passed over, of the newest. */
  offset?: number;
}

export interface HistoryPage {
  /** Newest first. */
  rows: HistoryEntry[];
  /** Rows that match, without the limit. */
  total: number;
}

/** What is left of a task whose row is gone. It takes the row of the same id away. */
export interface PrunedEntry {
  id: string;
  digest: string;
  state: string;
  endedAt: number;
  /** Number of the journal record that it was made from. */
  seq: number;
}

export interface OpenedIndex {
  /** Journal records up to this one are in the index; those after it must be applied. */
  appliedSeq: number;
  /** The index was made anew; then `reason` says why. */
  rebuilt: boolean;
  reason?: string;
}

/** Rows whose records lie one after another in `records`, each ending at its offset in `ends`. */
export interface Batch {
  entries: HistoryEntry[];
  records: Uint8Array;
  ends: number[];
  pruned: PrunedEntry[];
  appliedSeq: number;
}

export type Request =
  | { call: number; kind: 'apply'; batch: Batch }
  | { call: number; kind: 'get'; id: string }
  | { call: number; kind: 'query'; query: HistoryQuery }
  | { call: number; kind: 'count'; filter: HistoryFilter }
  | { call: number; kind: 'get_pruned'; id: string }
  | { call: number; kind: 'drop'; beforeSeq: number }
  | { call: number; kind: 'stop' };

export type Reply =
  | { call: number; kind: 'applied' }
  | { call: number; kind: 'got'; row: HistoryRow | undefined }
  | { call: number; kind: 'page'; page: HistoryPage }
  | { call: number; kind: 'counted'; rows: number }
  | { call: number; kind: 'got_pruned'; entry: PrunedEntry | undefined }
  | { call: number; kind: 'dropped'; rows: number }
  | { call: number; kind: 'stopped' }
  | { call: number; kind: 'opened'; opened: OpenedIndex }
  /** The index is of no further use in this process. */
  | { call: number; kind: 'broken'; message: string };
