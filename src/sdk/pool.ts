/**
 * A pool, as a program sees it: through one peer, its home.
 *
 * Owns: the tasks of this program, what of them is under way to the home, and saying it all again on
 * a new link. Neighbours: line.ts (links come and go), task.ts (one task), questions.ts, submission.ts.
 *
 * Invariants
 * 1. At most limits.unacceptedTasksMax submissions and limits.unacceptedBytesMax bytes of them are
 *    under way; the others stand in line here, in the order of submitting. A single larger one goes alone.
 * 2. On a new link everything sent but not accepted is sent again, everything accepted is watched
 *    again: the home knows both by their id.
 * 3. No timer and no promise per task, unless the program asks for the promise.
 */
import { PotluckError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Connection } from '../wire/connection.ts';
import type { Message, MessageOf } from '../wire/messages.ts';
import { Fifo } from '../lib/fifo.ts';
import type { HistoryFilter, HistoryRow, PeerRow, PoolStatus, TaskStory } from './answers.ts';
import { parseExact } from './json.ts';
import { Latch } from '../lib/latch.ts';
import { Line, type Dialled } from './line.ts';
import { errorOf, toOutcome } from './outcome.ts';
import { Questions, fetchContent, type Question } from './questions.ts';
import { ContentShelf, SubmissionMaker, type Submission, type TaskRequest } from './submission.ts';
import { Task, TaskView, failView } from './task.ts';

export interface PoolOptions {
  /** A new link to the home, greeted. */
  dial: () => Promise<Dialled>;
  /** Told when the link is lost and when it is back. */
  onLink?: ((link: LinkChange) => void) | undefined;
  /** How long a lost link is dialled again before everything under way fails with `link_lost`; for ever unless said. */
  giveUpMs?: number | undefined;
}

export interface LinkChange {
  readonly up: boolean;
  /** Why it was lost. */
  readonly why?: string;
}

/** Made by `connect`. */
export class Pool {
  readonly #line: Line;
  readonly #onLink: PoolOptions['onLink'];
  readonly #maker = new SubmissionMaker();
  readonly #shelf = new ContentShelf();
  readonly #questions = new Questions();
  /** Every task that has not ended. */
  readonly #tasks = new Map<string, TaskView>();
  readonly #inLine = new Fifo<TaskView>();
  /** Sent, neither accepted nor refused; in the order of sending. */
  readonly #sent = new Map<string, TaskView>();
  #sentBytes = 0;
  #room: Latch<void> | undefined;
  #settled: Latch<void> | undefined;
  #ended: PotluckError | undefined;

  constructor({ dial, onLink, giveUpMs = Infinity }: PoolOptions) {
    this.#onLink = onLink;
    this.#line = new Line({
      dial,
      giveUpMs,
      onUp: (dialled) => this.#linkUp(dialled),
      onDown: (why) => this.#linkDown(why),
      onEnd: (error) => this.#end(error),
    });
  }

  /** Dials the home. Called by `connect`. @throws PotluckError */
  start(): Promise<void> {
    return this.#line.start();
  }

  // --- tasks -----------------------------------------------------------------------------

  /**
   * Submits a task; it starts at once. If too much is under way unaccepted it waits in line in this
   * process: a loop over very many items awaits `pool.ready()` before each, and memory stays bounded.
   * @throws PotluckError `bad_submission`, `bad_json`, `program_too_large`, `arguments_too_large` for
   *   what can be seen here to be wrong; what the home refuses comes by `task.accepted` and `await task`
   */
  submit<T = unknown>(request: TaskRequest): Task<T> {
    if (this.#ended !== undefined) throw this.#ended;
    const submission = this.#maker.make(request);
    const view = this.#viewFor(submission);
    view.listen(request);
    this.#follow(view);
    this.#pump();
    return new Task<T>(view, this.#cancel);
  }

  /** Resolves when the next submission would leave at once. */
  ready(): Promise<void> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#inLine.length === 0 && this.#hasRoom()) return Promise.resolve();
    this.#room ??= new Latch();
    return this.#room.promise();
  }

  /**
   * A task that was submitted before, by this program or another. If the home does not know it,
   * `await task` throws PotluckError `unknown_task`.
   */
  watch<T = unknown>(id: string, listeners: Pick<TaskRequest, 'onOutput' | 'onState'> = {}): Task<T> {
    if (this.#ended !== undefined) throw this.#ended;
    let view = this.#tasks.get(id);
    if (view === undefined) this.#tasks.set(id, (view = new TaskView(id, undefined)));
    view.listen(listeners);
    if (view.asked === undefined && view.phase === 'accepted') this.#sendWatch(view);
    else this.#follow(view);
    return new Task<T>(view, this.#cancel);
  }

  // --- questions -------------------------------------------------------------------------

  /** The peer that this pool talks to, its tasks and its health. @throws PotluckError */
  async status(): Promise<PoolStatus> {
    return (await this.#ask({ what: 'status' })) as PoolStatus;
  }

  /** The peers of the pool. @throws PotluckError */
  async peers(): Promise<PeerRow[]> {
    return (await this.#ask({ what: 'peers' })) as PeerRow[];
  }

  /** Tasks of this home, newest first, without results. @throws PotluckError */
  async history(filter: HistoryFilter = {}): Promise<HistoryRow[]> {
    return (await this.#ask(historyQuestion(filter))) as HistoryRow[];
  }

  /** The whole story of a task. @throws PotluckError `unknown_task` */
  async task(id: string): Promise<TaskStory> {
    return (await this.#ask({ what: 'task', id })) as TaskStory;
  }

  /** The answer to a question as JSON text, exactly as the home wrote it. @throws PotluckError */
  askText(question: Question): Promise<string> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return this.#questions.ask(question, this.#line.connection);
  }

  /**
   * Waits until everything submitted is accepted or refused (if the link is up), then ends the link.
   * Tasks go on without it; handles of those that have not ended fail with `link_lost`.
   */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    if (this.#line.connection !== undefined && this.#unaccepted() > 0) {
      this.#settled ??= new Latch();
      await this.#settled.promise();
    }
    this.#line.stop();
    this.#end(new PotluckError('link_lost', 'this connection to the pool was closed', { why: 'the program closed it', fix: 'what was accepted goes on: connect again and watch it by its id' }));
  }

  // --- submitting ------------------------------------------------------------------------

  #viewFor(submission: Submission): TaskView {
    const { id } = submission.message;
    const known = this.#tasks.get(id);
    if (known?.digest !== undefined && known.digest === submission.digest) return known;
    if (known !== undefined) {
      throw new PotluckError('id_conflict', `the id ${id} is in use`, { why: 'this program has another task of that id that has not ended', fix: 'leave the id out, or choose another' });
    }
    const view = new TaskView(id, submission);
    this.#tasks.set(id, view);
    this.#inLine.push(view);
    this.#shelf.hold(submission.contents);
    return view;
  }

  #hasRoom(bytes = 0): boolean {
    if (this.#sent.size === 0) return true;
    return this.#sent.size < limits.unacceptedTasksMax && this.#sentBytes + bytes <= limits.unacceptedBytesMax;
  }

  #unaccepted(): number {
    return this.#sent.size + this.#inLine.length;
  }

  /** Sends from the head of the line while there is room. */
  #pump(): void {
    const connection = this.#line.connection;
    if (connection !== undefined) while (this.#sendNext(connection)) continue;
    if (this.#room !== undefined && this.#inLine.length === 0 && this.#hasRoom()) {
      this.#room.set();
      this.#room = undefined;
    }
    if (this.#unaccepted() === 0) this.#settled?.set();
  }

  #sendNext(connection: Connection): boolean {
    const view = this.#inLine.peek();
    if (view === undefined) return false;
    const bytes = view.submission?.bytes ?? 0;
    if (view.phase === 'in line') {
      if (!this.#hasRoom(bytes)) return false;
      view.phase = 'sent';
      this.#sent.set(view.id, view);
      this.#sentBytes += bytes;
      this.#sendSubmit(view, connection);
    }
    this.#inLine.shift();
    return true;
  }

  #sendSubmit(view: TaskView, connection: Connection): void {
    view.asked = view.follow ? 'everything' : 'the outcome';
    connection.send(view.follow ? { ...view.submission!.message, follow: true } : view.submission!.message);
    if (view.cancelWanted) connection.send({ kind: 'cancel', id: view.id });
  }

  #sendWatch(view: TaskView): void {
    const connection = this.#line.connection;
    view.asked = view.follow ? 'everything' : 'the outcome';
    view.replays();
    connection?.send({ kind: 'watch', id: view.id, follow: view.follow });
    if (view.cancelWanted) connection?.send({ kind: 'cancel', id: view.id });
  }

  /** A listener came later than the submission. */
  #follow(view: TaskView): void {
    if (view.phase === 'accepted' && view.follow && view.asked !== 'everything') this.#sendWatch(view);
  }

  readonly #cancel = (view: TaskView): void => {
    if (view.phase === 'over' || view.cancelWanted) return;
    view.cancelWanted = true;
    if (view.phase === 'in line' && view.digest === undefined) this.#cancelInLine(view);
    else if (view.phase !== 'in line') this.#line.connection?.send({ kind: 'cancel', id: view.id });
  };

  /**
   * It never left this process, so nobody else need be asked. An id that was chosen may be known at the home, from an
   * earlier process: then only the home can say how it ended.
   */
  #cancelInLine(view: TaskView): void {
    const error = { code: 'cancelled', message: 'the task was cancelled before it was submitted' };
    this.#forget(view);
    view.accepted.set();
    view.outcome.set({ id: view.id, state: 'cancelled', peer: null, attempt: 0, queuedMs: 0, runMs: null, receipt: null, error });
  }

  /** The home has it, or will never have it: its content need not be kept. */
  #leftUs(view: TaskView): void {
    if (this.#sent.delete(view.id)) this.#sentBytes -= view.submission?.bytes ?? 0;
    if (view.submission !== undefined) this.#shelf.release(view.submission.contents);
    view.submission = undefined;
  }

  #forget(view: TaskView): void {
    this.#leftUs(view);
    view.phase = 'over';
    this.#tasks.delete(view.id);
  }

  // --- what the home says ----------------------------------------------------------------

  #handle(message: Message, connection: Connection): void {
    switch (message.kind) {
      case 'accepted':
        for (const id of message.ids) this.#accepted(this.#tasks.get(id));
        return this.#pump();
      case 'refused':
      case 'no_task':
        this.#failed(message.id, errorOf(message.error));
        return this.#pump();
      case 'task_state':
        return this.#tasks.get(message.id)?.stateChanged(message);
      case 'output':
        return this.#tasks.get(message.id)?.printed(message);
      case 'outcome':
        return this.#outcome(message, connection);
      case 'answer':
        return this.#questions.answered(message, connection);
      default:
        // What only a newer home says, and what was said to others, is not for us.
        return undefined;
    }
  }

  #accepted(view: TaskView | undefined): void {
    if (view === undefined || view.phase === 'over') return;
    this.#leftUs(view);
    view.phase = 'accepted';
    view.accepted.set();
    this.#follow(view);
  }

  #failed(id: string, error: PotluckError): void {
    const view = this.#tasks.get(id);
    if (view === undefined) return;
    this.#forget(view);
    failView(view, error);
  }

  #outcome(message: MessageOf<'outcome'>, connection: Connection): void {
    const view = this.#tasks.get(message.id);
    if (view === undefined) return;
    this.#accepted(view);
    if (message.result === undefined || message.result instanceof Uint8Array) {
      this.#finish(view, message, message.result);
    } else {
      fetchContent(connection, message.result.hash).then(
        (result) => result !== undefined && this.#finish(view, message, result),
        (error: PotluckError) => this.#failed(view.id, error),
      );
    }
    this.#pump();
  }

  #finish(view: TaskView, message: MessageOf<'outcome'>, result: Uint8Array | undefined): void {
    if (view.phase === 'over') return;
    this.#forget(view);
    view.state = message.state;
    view.outcome.set(toOutcome(message, result));
  }

  async #ask(question: Question): Promise<unknown> {
    return parseExact(await this.askText(question));
  }

  // --- links -----------------------------------------------------------------------------

  #linkUp({ connection }: Dialled): void {
    connection.serve(async (hash) => this.#shelf.get(hash));
    connection.onMessage = (message) => this.#handle(message, connection);
    for (const view of this.#sent.values()) {
      view.replays();
      this.#sendSubmit(view, connection);
    }
    for (const view of this.#tasks.values()) if (view.phase === 'accepted') this.#sendWatch(view);
    this.#questions.linkUp(connection);
    this.#pump();
    this.#onLink?.({ up: true });
  }

  #linkDown(why: string): void {
    this.#questions.linkDown();
    this.#settled?.set();
    this.#onLink?.({ up: false, why });
  }

  #end(error: PotluckError): void {
    this.#ended = error;
    this.#questions.failAll(error);
    this.#room?.fail(error);
    this.#settled?.set();
    for (const view of this.#tasks.values()) failView(view, error);
    this.#tasks.clear();
    this.#sent.clear();
    this.#inLine.clear();
  }
}

/** @throws RangeError if the filter's date is none */
export function historyQuestion({ limit, state, peer, since }: HistoryFilter): Question {
  const question: Question = { what: 'history' };
  if (limit !== undefined) question.limit = limit;
  if (state !== undefined) question.state = state;
  if (peer !== undefined) question.peer = peer;
  if (since !== undefined) question.sinceWall = Date.parse(since.toISOString());
  return question;
}
