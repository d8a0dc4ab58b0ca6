/**
 * What the page of a peer asks of that peer, answered from its home and its runner.
 *
 * Invariant: content of a task (program, arguments, output, result, error) is shown to its submitter only;
 * who looks at the page is who runs the peer, so its own key.
 */
import { readFileSync } from 'node:fs';
import { invalidResult, PotluckError } from '../errors.ts';
import type { Home } from '../home/home.ts';
import { jsonTextOf } from '../lib/json-text.ts';
import { sourceOf } from '../lib/stream-ends.ts';
import { isPruned, type Past, type Story } from '../home/records.ts';
import { currentAttempt, type Task } from '../home/task-state.ts';
import { isSubmittedBy } from '../home/past-state.ts';
import { listTasks, matchingIds } from '../home/task-list.ts';
import { endedTask, openTask, prunedTask } from '../home/views.ts';
import { unknownTask, type Viewer, viewerOf } from '../home/viewer.ts';
import { waitingStory } from '../home/why-peers.ts';
import { codeOf } from '../lib/system-errors.ts';
import type { PageHome, TaskContent, TaskOutput, TaskPart } from '../page/page-home.ts';
import type { Runner } from '../runner/runner.ts';
import * as z from 'zod';
import type { TrackerPlace } from '../config.ts';
import { askTracker, invite } from './admin.ts';
import { apiAuditLine, apiInvitation, apiMember, apiStatus, type ApiCounts, type ApiPeer, type ApiProcess, type ApiTask } from '../wire/api.ts';
import { type Connection, connectInMemory, type Value } from '../wire/index.ts';

export interface PageHomeOptions {
  peer: string;
  /** The key of this folder. */
  viewer: string;
  home: Home;
  runner: Runner;
  status: () => Record<string, unknown>;
  homeFolder: string;
  tracker: TrackerPlace;
}

export class PeerPageHome implements PageHome {
  readonly peer: string;
  readonly #o: PageHomeOptions;
  /** When each peer was last up, by the wall clock. */
  readonly #seen = new Map<string, number>();
  readonly #cpu = new CpuMeter();

  constructor(options: PageHomeOptions) {
    this.peer = options.peer;
    this.#o = options;
  }

  status() {
    return apiStatus.parse({ ...this.#o.status(), queue_size: this.#o.home.state.waiting.count });
  }

  peers(): ApiPeer[] {
    const now = Date.now();
    return this.#o.home.peerRows().map((row) => {
      const isUp = row.state === 'up' || row.state === 'draining';
      if (isUp) this.#seen.set(row.peer, now);
      const seen = this.#seen.get(row.peer);
      return { ...row, languages: row.languages as Record<string, string>, last_seen_at: isUp || seen === undefined ? null : new Date(seen).toISOString(), own: row.peer === this.peer };
    });
  }

  counts(): ApiCounts {
    const { state, tally } = this.#o.home;
    let assigned = 0;
    let running = 0;
    for (const { attempts } of state.runners.values()) {
      for (const [key, id] of attempts) {
        const task = state.tasks.get(id);
        if (task === undefined || currentAttempt(task)?.key !== key) continue;
        if (task.state === 'running') running += 1;
        else assigned += 1;
      }
    }
    const first = state.waiting.firstLine(new Set())?.task;
    return { queued: Math.max(0, state.tasks.size - assigned - running), assigned, running, accepted: tally.accepted, ended: { ...tally.ended }, waiting_for: first === undefined ? null : state.why(first) };
  }

  failures() {
    return this.#o.home.tally.failures(this.#o.viewer);
  }

  processes(): ApiProcess[] {
    const { runner, viewer } = this.#o;
    const { isolation } = this.status();
    const attempts = [...runner.state.attempts.values()];
    const rows = runner.processes().filter(({ pid }) => pid !== null);
    this.#cpu.keep(rows.map(({ pid }) => pid ?? 0));
    return rows.map(({ worker, pid, language, busy, ageMs, jobsRun, rssBytes }) => {
      const running = attempts.find((attempt) => attempt.worker === worker && attempt.state === 'running');
      const submitter = runner.state.submitterOf(worker) ?? '';
      const own = submitter === viewer;
      return {
        pid: pid ?? 0,
        language,
        state: busy ? 'busy' : 'idle',
        since_ms: Math.round(ageMs),
        tasks_run: jobsRun,
        rss_mb: rssBytes === null ? null : Math.round(rssBytes / 1_048_576),
        cpu: this.#cpu.of(pid ?? 0),
        isolation,
        submitter: own ? 'own' : submitter,
        task: own ? (running?.message.id ?? null) : null,
        function: own ? (running?.message.function ?? null) : null,
      };
    });
  }

  endProcess(pid: number): boolean {
    if (!this.#o.runner.processes().some((row) => row.pid === pid)) return false;
    try {
      process.kill(pid, 'SIGKILL');
      return true;
    } catch (error) {
      if (codeOf(error) === 'ESRCH') return false;
      throw error;
    }
  }

  connect(): Connection {
    const [ours, theirs] = connectInMemory(this.#o.viewer, this.peer);
    this.#o.home.accept(theirs);
    return ours;
  }

  async list(query: Parameters<PageHome['list']>[0]) {
    const page = await listTasks(this.#o.home, query, this.#viewer);
    return page as Awaited<ReturnType<PageHome['list']>>;
  }

  matching(query: Parameters<PageHome['matching']>[0], which: 'open' | 'ended', limit: number) {
    return matchingIds(this.#o.home, query, which, limit, this.#viewer);
  }

  /** Its role may change while the page is open. */
  get #viewer(): Viewer {
    return viewerOf(this.#o.home.roster, this.#o.viewer);
  }

  // --- members -----------------------------------------------------------------------------

  async members() {
    return z.array(apiMember).parse(await this.#ask({ kind: 'registry', what: 'members' }));
  }

  async invitations() {
    return z.array(apiInvitation).parse(await this.#ask({ kind: 'registry', what: 'invitations' }));
  }

  async audit(limit: number) {
    return z.array(apiAuditLine).parse(await this.#ask({ kind: 'registry', what: 'audit', limit }));
  }

  async invite(wanted: Parameters<PageHome['invite']>[0]) {
    const { id, token, expires_at } = await invite(this.#o.homeFolder, this.#o.tracker, { ...wanted, addresses: [] });
    return { id, command: `potluck join ${token}`, expires_at };
  }

  async revoke(what: { member: string } | { invitation: string }): Promise<void> {
    await this.#ask({ kind: 'revoke', ...what });
  }

  #ask(question: Parameters<typeof askTracker>[2]): Promise<unknown> {
    return askTracker(this.#o.homeFolder, this.#o.tracker, question);
  }

  // --- one task ----------------------------------------------------------------------------

  async task(id: string): Promise<ApiTask> {
    const found = await this.#find(id);
    const { home, viewer } = this.#o;
    if (!('accepted' in found.task) && !isSubmittedBy(found.task, viewer, home.state.key)) throw unknownTask(id);
    if (!('accepted' in found.task)) return shown(JSON.parse(prunedTask(found.task).toString()) as Document, undefined, found);
    const { accepted } = found.task;
    const document = JSON.parse('open' in found ? openTask(home.state, found.open, home.now()) : endedTask(found.task as Story, placeOf(found.task as Story)).toString()) as Document;
    const task = shown(document, accepted, found);
    if ('open' in found && found.open.state === 'queued') task.waiting = waitingStory(home.state, found.open, { ms: home.now(), wall: Date.now() });
    if (accepted.submitter === viewer) return task;
    if (!this.#viewer.isAdmin) throw unknownTask(id);
    return redacted(task);
  }

  async part(id: string, part: TaskPart): Promise<Uint8Array | undefined> {
    const story = await this.#own(id);
    const { accepted } = story;
    if (part === 'program') return this.#o.home.provide(accepted.program);
    const value = part === 'result' ? (story as Partial<Story>).ended?.result : accepted[part];
    if (value === undefined) return undefined;
    const bytes = await this.#o.home.bytesOf(value);
    if (part === 'result' && jsonTextOf(bytes) === undefined) throw invalidResult(id, (story as Story).ended.peer);
    return bytes;
  }

  async content(id: string): Promise<TaskContent> {
    const { program, language, function: name, args, kwargs, options } = (await this.#own(id)).accepted;
    const { home } = this.#o;
    return { program, language, function: name, args: await home.bytesOf(args), kwargs: kwargs === undefined ? undefined : await home.bytesOf(kwargs), options };
  }

  async output(id: string): Promise<TaskOutput> {
    const found = await this.#own(id);
    if ('attempts' in found && 'order' in found) {
      const current = currentAttempt(found);
      return { attempt: current?.attempt ?? found.attempts.length, peer: current?.peer ?? null, ended: false, stdout: found.stdout, stderr: found.stderr };
    }
    const { ended } = found as Story;
    const of = (stream: 'stdout' | 'stderr') => (ended[stream] === undefined ? undefined : sourceOf(ended[stream]));
    return { attempt: ended.attempt, peer: ended.peer, ended: true, stdout: of('stdout'), stderr: of('stderr') };
  }

  async #own(id: string): Promise<Task | Story> {
    const { task } = await this.#find(id);
    if (!('accepted' in task)) throw new PotluckError('no_longer_kept', `of task ${id} only the outcome is kept`, { fix: 'submit it again under a new id' });
    if (task.accepted.submitter !== this.#o.viewer) throw unknownTask(id);
    return task;
  }

  async #find(id: string): Promise<Found> {
    const { home } = this.#o;
    const open = home.state.tasks.get(id);
    if (open !== undefined) return { task: open, open };
    const past = await home.ended(id);
    if (past === undefined) throw unknownTask(id);
    if (!isPruned(past)) await home.onDisk();
    return { task: past };
  }
}

type Found = { task: Task; open: Task } | { task: Past };

type Document = Omit<ApiTask, 'args_bytes' | 'kwargs_bytes' | 'result_bytes' | 'output_bytes' | 'waiting' | 'own'> & { output?: unknown; result?: unknown };

/** What stands for the result in a document that is shown without it; a large one is looked at when it is asked for. */
const placeOf = ({ ended }: Story): Uint8Array => (ended.result instanceof Uint8Array ? ended.result : Buffer.from('null'));

function shown({ output: _output, result: _result, ...document }: Document, accepted: Story['accepted'] | undefined, found: Found): ApiTask {
  const { task } = found;
  const ended = 'ended' in task ? task.ended : undefined;
  const sizes = 'open' in found ? { stdout: found.open.stdout?.size ?? 0, stderr: found.open.stderr?.size ?? 0 } : { stdout: keptBytes(ended?.stdout), stderr: keptBytes(ended?.stderr) };
  return { ...document, args_bytes: sizeOf(accepted?.args), kwargs_bytes: sizeOf(accepted?.kwargs), result_bytes: sizeOf(ended?.result), output_bytes: sizes, waiting: null, own: true };
}

/** That it is there, where and how it ended; nothing of what it is. */
function redacted(task: ApiTask): ApiTask {
  const { function: _function, program: _program, options: _options, error, ...rest } = task;
  return {
    ...rest,
    ...(error === undefined ? {} : { error: { code: error.code, message: 'it is another member\'s task', hint: null } }),
    attempts: task.attempts.map((attempt) => ({ ...attempt, reason: null })),
    receipt: null,
    waiting_for: null,
    waiting: null,
    args_bytes: null,
    kwargs_bytes: null,
    result_bytes: null,
    output_bytes: { stdout: 0, stderr: 0 },
    own: false,
  };
}

const sizeOf = (value: Value | undefined): number | null => (value === undefined ? null : value instanceof Uint8Array ? value.length : value.size);
const keptBytes = (kept: Story['ended']['stdout']): number => (kept === undefined ? 0 : kept.head.length + kept.dropped + kept.tail.length);

/** CPU use of processes between two looks, in cores. */
class CpuMeter {
  readonly #last = new Map<number, { at: number; ticks: number; use: number | null }>();

  keep(pids: readonly number[]): void {
    const there = new Set(pids);
    for (const pid of this.#last.keys()) if (!there.has(pid)) this.#last.delete(pid);
  }

  of(pid: number): number | null {
    const ticks = ticksOf(pid);
    if (ticks === undefined) return null;
    const at = performance.now();
    const last = this.#last.get(pid);
    if (last !== undefined && at - last.at < lookMs) return last.use;
    const use = last === undefined ? null : Math.round(((ticks - last.ticks) / ticksPerSecond / ((at - last.at) / 1000)) * 100) / 100;
    this.#last.set(pid, { at, ticks, use });
    return use;
  }
}

const lookMs = 500;
/** Of every Linux that Node runs on. */
const ticksPerSecond = 100;

function ticksOf(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return undefined; // it ended
  }
}
