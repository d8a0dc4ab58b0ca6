/**
 * The tasks of a home as one list, the newest first: those that have not ended, from memory, and the others,
 * from the index. Every filter looks at all of them, before any limit.
 *
 * Owns: putting the two together at any place of the list without reading what lies before it.
 *
 * Invariants
 * 1. A list is of one moment: what was accepted after `asOf` is not on it, so its places stay where they are
 *    while more comes.
 * 2. A task that ends meanwhile is on it once.
 * 3. A task of another member is there, but not what it calls and what it raised.
 */
import { thousandths } from '../lib/rounding.ts';
import type { HistoryEntry, HistoryFilter } from '../store/index.ts';
import type { History } from './history-feed.ts';
import type { HomeState } from './home-state.ts';
import { currentAttempt, type Task } from './task-state.ts';
import type { Viewer } from './viewer.ts';
import { errorOf } from './views.ts';

export interface TaskFilter {
  states?: readonly string[] | undefined;
  /** Tried more than once. */
  retried?: boolean | undefined;
  peer?: string | undefined;
  /** SHA-256 of the program, or its beginning. */
  program?: string | undefined;
  text?: string | undefined;
  ids?: readonly string[] | undefined;
  /** Wall clock, ms: accepted from `since` on and before `until`. */
  since?: number | undefined;
  until?: number | undefined;
}

export interface TaskListQuery extends TaskFilter {
  limit: number;
  offset: number;
  /** The moment of the list; now, unless it goes on with an earlier one. */
  asOf?: number | undefined;
}

export interface ListedTask {
  id: string;
  state: string;
  peer: string | null;
  attempt: number;
  /** Null where it is another member's. */
  function: string | null;
  language: string;
  program: string | null;
  /** Null: of who looks. */
  submitter: string | null;
  accepted_at: string;
  ended_at: string | null;
  queued_ms: number;
  run_ms: number | null;
  /** While it waits. */
  waiting_for?: string;
  error?: { code: string; message: string };
}

export interface TaskListPage {
  rows: ListedTask[];
  /** All that match. */
  total: number;
  offset: number;
  as_of: number;
  /** Accepted since `as_of`, and matching. */
  newer: number;
}

/** What a list needs of its home. */
export interface ListedHome {
  readonly state: HomeState;
  readonly store: { readonly index: History; settleHistory(): Promise<void> };
  now(): number;
  onDisk(): Promise<void>;
}

export async function listTasks(home: ListedHome, query: TaskListQuery, viewer: Viewer): Promise<TaskListPage> {
  const { limit, offset, asOf = Date.now() + 1 } = query;
  // In this order, so that a task that ends meanwhile is in the index, if not in both.
  const found = openTasks(home.state, query, viewer);
  await home.onDisk();
  await home.store.settleHistory();
  const open = found.filter((task) => task.accepted.wall < asOf);
  const { index } = home.store;
  const filter = historyFilter(query, asOf, home.state.key, viewer);
  const ended = filter === undefined ? 0 : await index.count(filter);
  const newerEnded = filter === undefined ? 0 : await index.count({ ...filter, since: Math.max(asOf, query.since ?? 0), ...(query.until === undefined ? { before: Number.MAX_SAFE_INTEGER } : { before: query.until }) });
  const place = filter === undefined ? Math.min(offset, open.length) : await openBefore(open, offset, (wall) => index.count({ ...filter, since: Math.max(wall, filter.since ?? 0) }));
  const rows: HistoryEntry[] = filter === undefined ? [] : (await index.query({ ...filter, limit, offset: offset - place })).rows;
  const merged = merge(open.slice(place, place + limit), rows, limit, (task) => openRow(home, task, viewer), (entry) => endedRow(entry, home.state.key, viewer));
  return { rows: merged, total: open.length + ended, offset, as_of: asOf, newer: found.length - open.length + newerEnded };
}

/** Ids of all that match and have not ended, or have, the newest first, for what is done to all of them. */
export async function matchingIds(home: ListedHome, query: TaskFilter & { asOf: number }, which: 'open' | 'ended', limit: number, viewer: Viewer): Promise<{ ids: string[]; total: number }> {
  if (which === 'open') {
    const open = openTasks(home.state, query, viewer).filter((task) => task.accepted.wall < query.asOf);
    return { ids: open.slice(0, limit).map(({ id }) => id), total: open.length };
  }
  await home.onDisk();
  await home.store.settleHistory();
  const filter = historyFilter(query, query.asOf, home.state.key, viewer);
  if (filter === undefined) return { ids: [], total: 0 };
  const { rows, total } = await home.store.index.query({ ...filter, limit });
  return { ids: rows.map(({ id }) => id), total };
}

/** How many of the open tasks are among the first `offset` of the whole list. */
async function openBefore(open: readonly Task[], offset: number, endedSince: (wall: number) => Promise<number>): Promise<number> {
  let low = 0;
  let high = Math.min(open.length, offset);
  while (low < high) {
    const middle = (low + high) >> 1;
    // The open task at `middle` stands behind as many open ones and behind the ended ones accepted since it.
    const place = middle + (await endedSince(open[middle]!.accepted.wall + 0.001));
    if (place < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(open: readonly Task[], ended: readonly HistoryEntry[], limit: number, ofOpen: (task: Task) => ListedTask, ofEnded: (entry: HistoryEntry) => ListedTask): ListedTask[] {
  const known = new Set(ended.map(({ id }) => id));
  const waiting = open.filter(({ id }) => !known.has(id));
  const rows: ListedTask[] = [];
  for (let at = 0, from = 0; rows.length < limit && (at < waiting.length || from < ended.length); ) {
    const task = waiting[at];
    const entry = ended[from];
    if (task !== undefined && (entry === undefined || task.accepted.wall >= entry.acceptedAt)) {
      rows.push(ofOpen(task));
      at += 1;
    } else if (entry !== undefined) {
      rows.push(ofEnded(entry));
      from += 1;
    }
  }
  return rows;
}

/** The newest first. They are kept in the order of their acceptance, but the wall clock may have been set back. */
function openTasks(state: HomeState, filter: TaskFilter, viewer: Viewer): Task[] {
  const found: Task[] = [];
  const matches = matcher(filter, viewer);
  let inOrder = true;
  for (const task of state.tasks.values()) {
    if (!matches(task)) continue;
    inOrder &&= (found.at(-1)?.accepted.wall ?? 0) <= task.accepted.wall;
    found.push(task);
  }
  if (!inOrder) found.sort((a, b) => a.accepted.wall - b.accepted.wall || a.seq - b.seq);
  return found.toReversed();
}

function matcher({ states, retried, peer, program, text, ids, since = -Infinity, until = Infinity }: TaskFilter, viewer: Viewer): (task: Task) => boolean {
  const wanted = states === undefined ? undefined : new Set(states);
  const named = ids === undefined ? undefined : new Set(ids);
  const words = text?.toLowerCase();
  return (task) => {
    const { accepted, attempts } = task;
    if (wanted?.has(task.state) === false || named?.has(task.id) === false) return false;
    if (accepted.wall < since || accepted.wall >= until) return false;
    const current = currentAttempt(task);
    if (peer !== undefined && current?.peer !== peer) return false;
    if (retried === true && attempts.length + (current === undefined ? 1 : 0) < 2) return false;
    const own = accepted.submitter === viewer.key;
    if (!own && !viewer.isAdmin) return false;
    if (program !== undefined && !(own && accepted.program.startsWith(program))) return false;
    if (words === undefined) return true;
    return `${task.id}\n${current?.peer ?? ''}\n${own ? accepted.function : ''}`.toLowerCase().includes(words);
  };
}

/** Undefined when no ended task can match. */
function historyFilter({ states, retried, peer, program, text, ids, since, until }: TaskFilter, asOf: number, homeKey: string, viewer: Viewer): HistoryFilter | undefined {
  const outcomes = states?.filter((state) => state !== 'queued' && state !== 'assigned' && state !== 'running');
  if (outcomes?.length === 0 || ids?.length === 0) return undefined;
  const own = viewer.key === homeKey ? null : viewer.key;
  return {
    contentOf: own,
    ...(viewer.isAdmin ? {} : { submitter: own }),
    ...(outcomes === undefined ? {} : { states: outcomes }),
    ...(retried === true ? { retried } : {}),
    ...(peer === undefined ? {} : { peer }),
    ...(program === undefined ? {} : { program }),
    ...(text === undefined ? {} : { text }),
    ...(ids === undefined ? {} : { ids }),
    ...(since === undefined ? {} : { since }),
    before: Math.min(asOf, until ?? Infinity),
  };
}

function openRow(home: ListedHome, task: Task, viewer: Viewer): ListedTask {
  const { id, accepted, state, attempts } = task;
  const current = currentAttempt(task);
  const own = accepted.submitter === viewer.key;
  return {
    id,
    state,
    peer: current?.peer ?? null,
    attempt: current?.attempt ?? attempts.length,
    function: own ? accepted.function : null,
    language: accepted.language,
    program: own ? accepted.program : null,
    submitter: own ? null : viewer.nameOf(accepted.submitter),
    accepted_at: new Date(accepted.wall).toISOString(),
    ended_at: null,
    queued_ms: thousandths((current?.at ?? home.now()) - accepted.at),
    run_ms: current === undefined || state !== 'running' ? null : thousandths(home.now() - current.at),
    ...(state === 'queued' && own ? { waiting_for: home.state.why(task) } : {}),
  };
}

function endedRow(entry: HistoryEntry, homeKey: string, viewer: Viewer): ListedTask {
  const submitter = entry.submitter ?? homeKey;
  const own = submitter === viewer.key;
  const error = entry.error === null || !own ? undefined : errorOf(entry.error);
  return {
    id: entry.id,
    state: entry.state,
    peer: entry.peer,
    attempt: entry.attempt,
    function: own ? entry.function : null,
    language: entry.language,
    program: own ? entry.program : null,
    submitter: own ? null : viewer.nameOf(submitter),
    accepted_at: new Date(entry.acceptedAt).toISOString(),
    ended_at: new Date(entry.endedAt).toISOString(),
    queued_ms: thousandths(entry.queuedMs),
    run_ms: entry.runMs === null ? null : thousandths(entry.runMs),
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message.slice(0, 300) } }),
  };
}
