/**
 * What a runner says to homes: output as it comes, ends until they are stored, its load.
 *
 * Owns: which homes are linked and how much their links take, output not told yet, kept results.
 * Neighbour: runner-state.ts decides what happens to attempts.
 *
 * Invariants
 * 1. An end is kept until its home has stored it, limits.resultKeepMs at most, and is told again on a new link.
 * 2. Output is told before its attempt's end, and is kept as long as that.
 */
import { limits } from '../limits.ts';
import type { AttemptRef, MessageOf } from '../wire/messages.ts';
import { type Attempt, refOf } from './attempt-state.ts';
import type { AttemptOutput, Print } from './output-state.ts';
import type { RunnerSend } from './runner-events.ts';

interface KeptResult {
  home: string;
  /** The key that it proved. */
  homeKey: string;
  end: MessageOf<'attempt_ended'>;
  output: AttemptOutput | undefined;
  bytes: number;
  at: number;
}

/** What an end takes besides its result and output. */
const endBytes = 200;
const loadGapMs = 250;

export class Homes {
  /** What this decision sends. */
  out: RunnerSend[] = [];
  readonly #linked = new Set<string>();
  /** Homes whose links hold more than they should. */
  readonly #full = new Set<string>();
  /** Attempts with output that was not told yet. */
  readonly #talking = new Set<Attempt>();
  /** Kept results that a home was not told yet, on the present link. */
  readonly #owed = new Map<string, Set<string>>();
  readonly #kept = new Map<string, KeptResult>();
  #keptBytes = 0;
  #toldLoadAt = -Infinity;
  #toldLoad = '';
  #toldTotals = '';
  /** Who runs how much is counted no more often than it may be told. */
  #countedAt = -Infinity;

  /** @param attempts those that are under way: their output is told from its beginning */
  linked(home: string, attempts: Iterable<Attempt>): void {
    this.#linked.add(home);
    this.#toldLoad = '';
    this.#full.delete(home);
    const owed = new Set<string>();
    for (const [key, kept] of this.#kept) {
      if (kept.home !== home) continue;
      kept.output?.again();
      owed.add(key);
    }
    this.#owed.set(home, owed);
    for (const attempt of attempts) {
      if (attempt.home !== home || attempt.output === undefined) continue;
      attempt.output.again();
      this.#talking.add(attempt);
    }
  }

  unlinked(home: string): void {
    this.#linked.delete(home);
    this.#owed.delete(home);
  }

  setFull(home: string, isFull: boolean): void {
    if (isFull) this.#full.add(home);
    else this.#full.delete(home);
  }

  tell(home: string, message: Extract<RunnerSend, { to: 'home' }>['message']): void {
    if (this.#linked.has(home)) this.out.push({ to: 'home', home, message });
  }

  // --- output ------------------------------------------------------------------------------

  /** The attempt has something to say. */
  talks(attempt: Attempt): void {
    this.#talking.add(attempt);
  }

  isSilent(attempt: Attempt): void {
    this.#talking.delete(attempt);
  }

  #print(home: string, ref: AttemptRef, prints: readonly Print[]): void {
    for (const print of prints) this.tell(home, { kind: 'attempt_output', ...refOf(ref), ...print });
  }

  /** It is linked, and its link has room. */
  takes(home: string): boolean {
    return this.#linked.has(home) && !this.#full.has(home);
  }

  // --- ends --------------------------------------------------------------------------------

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get keptCount(): number {
    return this.#kept.size;
  }

  has(key: string): boolean {
    return this.#kept.has(key);
  }

  keep({ home, homeKey, message, output }: Attempt, end: MessageOf<'attempt_ended'>, resultBytes: number, nowMs: number): void {
    if (!this.takes(home)) output?.trim();
    const bytes = resultBytes + (output?.keptBytes ?? 0) + endBytes;
    this.#kept.set(message.key, { home, homeKey, end, output, bytes, at: nowMs });
    this.#keptBytes += bytes;
    this.#owed.get(home)?.add(message.key);
  }

  /** Its home has stored it, or does not want it. */
  forget(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#keptBytes -= kept.bytes;
    const { result } = kept.end;
    if (result !== undefined && !(result instanceof Uint8Array)) this.out.push({ to: 'forget_result', hash: result.hash });
  }

  /** Of homes that nobody will hear of again. */
  forgetOf(homeKeys: readonly string[]): void {
    for (const [key, { homeKey }] of this.#kept) if (homeKeys.includes(homeKey)) this.forget(key);
  }

  keysKept(): string[] {
    return [...this.#kept.values()].map(({ homeKey }) => homeKey);
  }

  /** Whether a result with that content is kept for the home. */
  keepsResult(home: string, hash: string): boolean {
    for (const { home: of, end } of this.#kept.values()) if (of === home && end.result !== undefined && !(end.result instanceof Uint8Array) && end.result.hash === hash) return true;
    return false;
  }

  forgetOld(nowMs: number): void {
    for (const [key, { at }] of this.#kept) {
      if (nowMs - at < limits.resultKeepMs) return;
      this.forget(key);
    }
  }

  keptFor(home: string): AttemptRef[] {
    return [...this.#kept.values()].filter((kept) => kept.home === home).map(({ end }) => refOf(end));
  }

  /** Every home that can be reached has stored its results. */
  get isSettled(): boolean {
    for (const { home } of this.#kept.values()) if (this.#linked.has(home)) return false;
    return true;
  }

  // --- saying it ---------------------------------------------------------------------------

  /** Output that is due, then ends. */
  say(nowMs: number): void {
    for (const attempt of this.#talking) {
      const { home, output, message } = attempt;
      if (output === undefined || !this.takes(home) || output.dueAt() > nowMs) continue;
      this.#print(home, message, output.due(nowMs));
      if (output.dueAt() === Infinity) this.#talking.delete(attempt);
    }
    for (const [home, keys] of this.#owed) if (this.takes(home)) this.#tellEnds(home, keys);
  }

  /** As much as a link should hold at a time, so that those of a home that was long away do not overrun it. */
  #tellEnds(home: string, keys: Set<string>): void {
    let room: number = limits.linkBacklogBytes;
    for (const key of keys) {
      if (room <= 0) return;
      keys.delete(key);
      const kept = this.#kept.get(key);
      if (kept === undefined) continue;
      this.#print(home, kept.end, kept.output?.rest() ?? []);
      kept.output?.trim();
      this.tell(home, kept.end);
      room -= kept.bytes;
    }
  }

  /** Load, when it changed, and to each home how much of it is others'. */
  tellLoad(load: { running: number; slots: number; cpuLoad: number; draining: boolean }, attempts: Iterable<Attempt>, nowMs: number): void {
    const { running, slots, cpuLoad, draining } = load;
    const totals = `${running}/${Math.round(cpuLoad * 20)}/${draining}`;
    if (nowMs - this.#toldLoadAt < loadGapMs || (totals === this.#toldTotals && nowMs - this.#countedAt < loadGapMs)) return;
    this.#countedAt = nowMs;
    this.#toldTotals = totals;
    const byHome = new Map<string, number>();
    for (const { home, state } of attempts) if (state === 'running' || state === 'ending') byHome.set(home, (byHome.get(home) ?? 0) + 1);
    const told = `${totals} ${[...byHome].join(' ')}`;
    if (told === this.#toldLoad) return;
    this.#toldLoad = told;
    this.#toldLoadAt = nowMs;
    for (const home of this.#linked) {
      this.tell(home, { kind: 'runner_load', running, others: running - (byHome.get(home) ?? 0), slots, cpu_load: cpuLoad, draining });
    }
  }

  /** When there is something to say next. */
  wakeAt(nowMs: number): number {
    let at = Infinity;
    for (const { home, output } of this.#talking) if (output !== undefined && this.takes(home)) at = Math.min(at, output.dueAt());
    for (const [home, keys] of this.#owed) if (keys.size > 0 && this.takes(home)) at = nowMs;
    return at;
  }
}
