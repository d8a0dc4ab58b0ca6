/**
 * The rows of a filtered list as they come: parts of one moment, so that places do not move while more tasks
 * are accepted.
 */
import type { ApiTaskList, ApiTaskRow } from '../../src/wire/api.ts';
import { listTasks } from '../api.ts';
import { shownOf, type Shown } from './bits.tsx';
import { isOpen } from '../words.ts';

const partRows = 100;
const partsKept = 40;

export interface PagesState {
  total: number;
  asOf: number | undefined;
  /** Accepted since, and matching. */
  newer: number;
  /** Others match now than when the list was made: states have changed. */
  changed: boolean;
  problem: Shown | undefined;
  loading: boolean;
}

export class Pages {
  state: PagesState = { total: 0, asOf: undefined, newer: 0, changed: false, problem: undefined, loading: true };
  readonly #query: URLSearchParams;
  readonly #changed: () => void;
  readonly #parts = new Map<number, ApiTaskRow[]>();
  readonly #asked = new Map<number, AbortController>();
  #sight = { from: 0, to: 50 };
  #closed = false;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(query: URLSearchParams, changed: () => void) {
    this.#query = query;
    this.#changed = changed;
  }

  rowAt(at: number): ApiTaskRow | undefined {
    return this.#parts.get(Math.floor(at / partRows))?.[at % partRows];
  }

  get inSight(): ApiTaskRow[] {
    const rows: ApiTaskRow[] = [];
    for (let at = this.#sight.from; at < this.#sight.to; at += 1) {
      const row = this.rowAt(at);
      if (row !== undefined) rows.push(row);
    }
    return rows;
  }

  sight(from: number, to: number): void {
    this.#sight = { from, to };
    clearTimeout(this.#soon);
    // A bar that is dragged passes by thousands of parts that nobody reads.
    const missing = this.#wanted().some((part) => !this.#parts.has(part) && !this.#asked.has(part));
    if (missing) this.#soon = setTimeout(() => this.#load(), this.state.asOf === undefined ? 0 : 60);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#soon);
    for (const asked of this.#asked.values()) asked.abort();
  }

  /** Everything anew, as of now; what is on the screen stays until it comes. */
  async renew(): Promise<void> {
    try {
      const first = Math.floor(this.#sight.from / partRows);
      const page = await listTasks(this.#with({ offset: String(first * partRows), limit: String(partRows) }));
      if (this.#closed) return;
      this.#parts.clear();
      this.#parts.set(first, page.rows);
      this.#take(page);
      this.#load();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Rows in sight that have not ended are asked about; and how many are newer than this list. */
  async refresh(): Promise<void> {
    const { asOf } = this.state;
    if (asOf === undefined) return;
    try {
      const open = this.inSight.filter(({ state }) => isOpen(state)).map(({ id }) => id);
      if (open.length > 0) {
        const query = new URLSearchParams(open.map((id) => ['id', id]));
        query.set('limit', String(open.length));
        const now = new Map((await listTasks(query)).rows.map((row) => [row.id, row]));
        for (const rows of this.#parts.values()) for (const [at, row] of rows.entries()) rows[at] = now.get(row.id) ?? row;
      }
      const { newer, total } = await listTasks(this.#with({ as_of: String(asOf), limit: '0' }));
      if (this.#closed) return;
      this.state = { ...this.state, newer, changed: total !== this.state.total, problem: undefined };
      this.#changed();
    } catch (error) {
      this.#failed(error);
    }
  }

  #wanted(): number[] {
    const first = Math.floor(this.#sight.from / partRows);
    const last = Math.floor(Math.max(this.#sight.from, this.#sight.to - 1) / partRows);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  }

  #load(): void {
    const wanted = new Set(this.#wanted());
    for (const [part, asked] of this.#asked) if (!wanted.has(part)) asked.abort();
    for (const part of wanted) if (!this.#parts.has(part) && !this.#asked.has(part)) void this.#ask(part);
    for (const part of this.#parts.keys()) {
      if (this.#parts.size <= partsKept) break;
      if (!wanted.has(part)) this.#parts.delete(part);
    }
  }

  async #ask(part: number): Promise<void> {
    const abort = new AbortController();
    this.#asked.set(part, abort);
    try {
      const { asOf } = this.state;
      const page = await listTasks(this.#with({ offset: String(part * partRows), limit: String(partRows), ...(asOf === undefined ? {} : { as_of: String(asOf) }) }), abort.signal);
      if (this.#closed) return;
      this.#parts.set(part, page.rows);
      if (asOf === undefined) this.#take(page);
      else this.#changed();
    } catch (error) {
      if (!abort.signal.aborted) this.#failed(error);
    } finally {
      this.#asked.delete(part);
    }
  }

  #take({ total, as_of: asOf }: ApiTaskList): void {
    this.state = { total, asOf, newer: 0, changed: false, problem: undefined, loading: false };
    this.#changed();
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.state = { ...this.state, problem: shownOf(error), loading: false };
    this.#changed();
  }

  #with(more: Record<string, string>): URLSearchParams {
    const query = new URLSearchParams(this.#query);
    for (const [name, value] of Object.entries(more)) query.set(name, value);
    return query;
  }
}
