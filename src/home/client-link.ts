/**
 * One client's link at its home: gathers the content of submissions, passes on requests, answers questions.
 *
 * Invariants
 * 1. A submission reaches the decider only when program and values are here, the large ones on disk.
 * 2. What a client says about an id waits until the submission of that id has been passed on.
 * 3. A client reads what is its key's: viewer.ts. Content by hash, only what this link named to it.
 */
import { createHash } from 'node:crypto';
import { PotluckError, causeText } from '../errors.ts';
import { inParts } from '../lib/parts.ts';
import { limits } from '../limits.ts';
import type { Roster } from '../identity/roster.ts';
import { type Connection, type Message, type MessageBody, type MessageOf, type Problem, type TaskOptions, type Value } from '../wire/index.ts';
import type { HomeEvent, OutputNews, Submission } from './home-events.ts';
import type { HomeState } from './home-state.ts';
import type { HomeStore } from './home-store.ts';
import { digestFor, isSubmittedBy, outcomeOf, outputOf } from './past-state.ts';
import { OutputFeed } from './output-feed.ts';
import type { ProgramCache } from './program-cache.ts';
import { isPruned, type Past } from './records.ts';
import { othersTask, unknownTask, type Viewer, viewerOf } from './viewer.ts';
import { endedTask, historyRow, openRows, openTask, othersHistoryRow, othersTaskDocument, prunedTask, resultOf, statusRows } from './views.ts';

const answersMax = 4;
/** Results that are fetched by hash right after they were named; one that is named again can be fetched again. */
const namedMax = 10_000;

/** What a client's link needs of its home. */
export interface ClientHome {
  readonly state: HomeState;
  readonly store: HomeStore;
  readonly programs: ProgramCache;
  readonly roster: Roster;
  dispatch(event: HomeEvent): void;
  /** Ms on the home's clock. */
  now(): number;
  /** What is known of the peers of the pool, as rows. */
  peerRows(): readonly unknown[];
  /** Content by its hash. */
  provide(hash: string): Promise<Uint8Array | undefined>;
  bytesOf(value: Value): Promise<Uint8Array>;
  /** What is known of an ended task. */
  ended(id: string): Promise<Past | undefined>;
  /** Resolves when what is decided now is on disk. */
  onDisk(): Promise<void>;
}

export class ClientLink {
  readonly #number: number;
  readonly #connection: Connection;
  readonly #home: ClientHome;
  readonly #about: () => Record<string, unknown>;
  /** Submissions whose content is on its way, by id. */
  readonly #gathering = new Map<string, Promise<void>>();
  /** Programs on their way here, by hash. */
  readonly #bringing = new Map<string, Promise<void>>();
  readonly #accepted: string[] = [];
  readonly #feed: OutputFeed;
  readonly #answers = new Map<string, Uint8Array>();
  /** Content that outcomes on this link have named. */
  readonly #named = new Set<string>();

  constructor(number: number, connection: Connection, home: ClientHome, about: () => Record<string, unknown>) {
    this.#number = number;
    this.#connection = connection;
    this.#home = home;
    this.#about = about;
    this.#feed = new OutputFeed(connection);
  }

  start(hello: MessageBody<'hello'>): void {
    this.#connection.serve(async (hash) => this.#answers.get(hash) ?? (this.#named.has(hash) ? this.#home.provide(hash) : undefined));
    this.#connection.send({ kind: 'hello', ...hello });
    this.#connection.onDrain = () => this.#feed.drained();
    this.#connection.onMessage = (message) => this.#heard(message);
  }

  send(message: Message): void {
    if (message.kind === 'outcome') {
      this.#feed.end(message.id);
      if (message.result !== undefined && !(message.result instanceof Uint8Array)) this.#name(message.result.hash);
    }
    this.#connection.send(message);
  }

  #name(hash: string): void {
    this.#named.add(hash);
    for (const oldest of this.#named) {
      if (this.#named.size <= namedMax) return;
      this.#named.delete(oldest);
    }
  }

  output(news: OutputNews): void {
    this.#feed.tell(news);
  }

  close(): void {
    this.#connection.close();
  }

  /** All ids that one flush accepted go in one message. */
  accepted(id: string): void {
    if (this.#accepted.push(id) > 1) return;
    queueMicrotask(() => {
      const ids = this.#accepted.splice(0);
      for (const part of inParts(ids, limits.idsPartMax)) this.send({ kind: 'accepted', ids: part });
    });
  }

  /** Answers a watch or a cancel for a task that is not in memory. */
  async lookUp(id: string, follow: boolean): Promise<void> {
    try {
      const story = await this.#home.ended(id);
      if (story === undefined || !this.#isOwn(story)) throw this.#unknown(id, story);
      for (const news of follow ? outputOf(story) : []) this.#feed.tell(news);
      this.send(outcomeOf(story));
    } catch (error) {
      this.send({ kind: 'no_task', id, error: problemOf(error) });
    }
  }

  get #viewer(): Viewer {
    return viewerOf(this.#home.roster, this.#connection.peerKey);
  }

  #isOwn(past: Past): boolean {
    return isSubmittedBy(past, this.#connection.peerKey, this.#home.state.key);
  }

  /** What is said of a task that is unknown or somebody else's. */
  #unknown(id: string, past: Past | undefined): PotluckError {
    const submitter = this.#home.state.tasks.get(id)?.accepted.submitter ?? (past === undefined || isPruned(past) ? undefined : past.accepted.submitter);
    const { isAdmin, nameOf } = this.#viewer;
    return isAdmin && submitter !== undefined ? othersTask(id, nameOf(submitter)) : unknownTask(id);
  }

  #heard(message: Message): void {
    switch (message.kind) {
      case 'submit':
        return this.#submit(message);
      case 'watch':
        return this.#inOrder(message.id, () => this.#home.dispatch({ type: 'watched', client: this.#number, by: this.#connection.peerKey, id: message.id, follow: message.follow }));
      case 'unwatch':
        return this.#inOrder(message.id, () => {
          this.#feed.forget(message.id);
          this.#home.dispatch({ type: 'unwatched', client: this.#number, id: message.id });
        });
      case 'cancel':
        return this.#inOrder(message.id, () => this.#home.dispatch({ type: 'cancelled', client: this.#number, by: this.#connection.peerKey, id: message.id }));
      case 'ask':
        void this.#answer(message);
        return;
      case 'bye':
        return;
      default:
        this.#connection.close({ code: 'internal', message: `a client does not send "${message.kind}"` });
    }
  }

  #inOrder(id: string, act: () => void): void {
    const gathering = this.#gathering.get(id);
    if (gathering === undefined) act();
    else void gathering.then(act);
  }

  // --- submissions -------------------------------------------------------------------------

  #submit(spec: MessageOf<'submit'>): void {
    const follow = spec.follow ?? false;
    const problem = tooLarge(spec.args) ?? (spec.kwargs === undefined ? undefined : (tooLarge(spec.kwargs) ?? noKwargs(spec.language)));
    if (problem !== undefined) {
      this.send({ kind: 'refused', id: spec.id, error: problem });
      return;
    }
    const { id, program, language, function: name, args, kwargs, options } = spec;
    const submitter = this.#connection.peerKey;
    const digest = digestFor(digestOf(spec), submitter, this.#home.state.key);
    const submission: Submission = { id, program, language, function: name, args, kwargs, options, digest, submitter };
    const known = !this.#home.store.endedIds.has(spec.id) || this.#home.state.recent.has(spec.id) || this.#home.state.tasks.has(spec.id);
    const here = this.#home.programs.get(spec.program) !== undefined && isInline(spec.args) && isInline(spec.kwargs);
    if (known && here) {
      this.#home.dispatch({ type: 'submitted', client: this.#number, follow, submission });
      return;
    }
    const gathering = this.#gather(submission, follow).finally(() => {
      if (this.#gathering.get(spec.id) === gathering) this.#gathering.delete(spec.id);
    });
    this.#gathering.set(spec.id, gathering);
  }

  async #gather(submission: Submission, follow: boolean): Promise<void> {
    const release = this.#home.store.holdBlobs(blobsOf(submission));
    try {
      const prior = await this.#home.ended(submission.id);
      if (prior === undefined) await this.#fetchContent(submission);
      // Its link was open when it began.
      if (this.#home.roster.isRevoked(submission.submitter)) return;
      this.#home.dispatch({ type: 'submitted', client: this.#number, follow, submission, prior });
    } catch (error) {
      this.send({ kind: 'refused', id: submission.id, error: problemOf(error) });
    } finally {
      // When it has been decided, its record names them.
      setImmediate(release);
    }
  }

  async #fetchContent({ program, args, kwargs }: Submission): Promise<void> {
    const { store } = this.#home;
    await this.#bring(program);
    for (const value of [args, kwargs]) {
      if (value === undefined || value instanceof Uint8Array || (await store.blobs.has(value.hash))) continue;
      await store.blobs.put(await this.#fetch(value.hash, limits.valueBytesMax, 'arguments_too_large'));
    }
  }

  /** Who waits for the same program goes on in the order in which they came: one look on the disk, one transfer for all. */
  #bring(program: string): Promise<void> {
    const under = this.#bringing.get(program);
    if (under !== undefined) return under;
    const bringing = this.#load(program).finally(() => this.#bringing.delete(program));
    this.#bringing.set(program, bringing);
    return bringing;
  }

  async #load(program: string): Promise<void> {
    const { programs } = this.#home;
    if (!(await programs.load(program))) await programs.keep(await this.#fetch(program, limits.programBytesMax, 'program_too_large'));
  }

  async #fetch(hash: string, bytesMax: number, code: 'program_too_large' | 'arguments_too_large'): Promise<Uint8Array> {
    try {
      return await this.#connection.fetch(hash, bytesMax);
    } catch (error) {
      const why = causeText(error);
      throw new PotluckError(/large/.test(why) ? code : 'bad_submission', /large/.test(why) ? `it is larger than ${bytesMax >> 20} MiB` : 'its content did not arrive', { why });
    }
  }

  // --- questions ---------------------------------------------------------------------------

  async #answer(question: MessageOf<'ask'>): Promise<void> {
    try {
      const json = await this.#document(question);
      this.send({ kind: 'answer', ask: question.ask, json: json.length > limits.inlineBytesMax ? this.#keepAnswer(json) : json });
    } catch (error) {
      this.send({ kind: 'answer', ask: question.ask, error: problemOf(error) });
    }
  }

  /** A long answer is fetched by its hash; the last few are kept for that. */
  #keepAnswer(json: Uint8Array): Value {
    const hash = createHash('sha256').update(json).digest('hex');
    this.#answers.set(hash, json);
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= answersMax) break;
      this.#answers.delete(oldest);
    }
    return { hash, size: json.length };
  }

  async #document(question: MessageOf<'ask'>): Promise<Uint8Array> {
    const { state } = this.#home;
    switch (question.what) {
      case 'status': {
        const tasks = statusRows(state, this.#viewer, this.#home.now());
        return Buffer.from(JSON.stringify({ ...this.#about(), queue_size: state.waiting.count, tasks }));
      }
      case 'peers':
        return Buffer.from(JSON.stringify(this.#home.peerRows()));
      case 'history':
        return this.#historyDocument(question);
      case 'task':
        return this.#taskDocument(question.id ?? '');
    }
  }

  async #historyDocument({ limit = 20, state, peer, sinceWall }: MessageOf<'ask'>): Promise<Uint8Array> {
    const viewer = this.#viewer;
    const query = { limit, ...(viewer.isAdmin ? {} : { submitter: viewer.key === this.#home.state.key ? null : viewer.key }), ...(state === undefined ? {} : { state }), ...(peer === undefined ? {} : { peer }), ...(sinceWall === undefined ? {} : { since: sinceWall }) };
    // In this order, so that a task that ends meanwhile is in the index, if not in both.
    const open = openRows(this.#home.state, viewer, query, this.#home.now());
    await this.#home.onDisk();
    await this.#home.store.settleHistory();
    const ended = (await this.#home.store.index.query(query)).rows.map((entry) => {
      const submitter = entry.submitter ?? this.#home.state.key;
      return submitter === viewer.key ? historyRow(entry) : othersHistoryRow(entry, viewer.nameOf(submitter));
    });
    const known = new Set(ended.map(({ id }) => id));
    const rows = [...open.filter(({ id }) => !known.has(id)), ...ended].sort((a, b) => (a.accepted_at < b.accepted_at ? 1 : a.accepted_at > b.accepted_at ? -1 : 0));
    return Buffer.from(JSON.stringify(rows.slice(0, limit)));
  }

  async #taskDocument(id: string): Promise<Uint8Array> {
    const task = this.#home.state.tasks.get(id);
    const viewer = this.#viewer;
    if (task?.accepted.submitter === viewer.key) return Buffer.from(openTask(this.#home.state, task, this.#home.now()));
    if (task !== undefined && viewer.isAdmin) return othersTaskDocument(task, viewer, this.#home.now());
    const story = task === undefined ? await this.#home.ended(id) : undefined;
    if (story === undefined) throw unknownTask(id);
    if (!this.#isOwn(story)) {
      if (!viewer.isAdmin || isPruned(story)) throw unknownTask(id);
      return othersTaskDocument(story, viewer, this.#home.now());
    }
    if (isPruned(story)) return prunedTask(story);
    await this.#home.onDisk();
    const result = resultOf(story);
    return endedTask(story, result === undefined ? undefined : await this.#home.bytesOf(result));
  }
}

const blobsOf = ({ program, args, kwargs }: Submission): string[] => [program, ...[args, kwargs].flatMap((value) => (value === undefined || value instanceof Uint8Array ? [] : [value.hash]))];

const isInline = (value: Value | undefined): boolean => value === undefined || value instanceof Uint8Array;

function tooLarge(value: Value): Problem | undefined {
  const size = value instanceof Uint8Array ? value.length : value.size;
  if (size <= limits.valueBytesMax) return undefined;
  return { code: 'arguments_too_large', message: `the arguments have ${size} bytes, and the limit is ${limits.valueBytesMax >> 20} MiB`, hint: 'put the data where the task can read it, and pass its name' };
}

function noKwargs(language: string): Problem | undefined {
  if (language === 'python') return undefined;
  return { code: 'bad_submission', message: `${language} has no keyword arguments`, hint: 'leave out --kwargs, or pass an object as an argument' };
}

const problemOf = (error: unknown): Problem => (error instanceof PotluckError ? error.toProblem() : { code: 'internal', message: causeText(error) });

/** Names the content of a submission: two with the same digest ask for the same thing. */
function digestOf({ program, language, function: name, args, kwargs, options }: Omit<MessageOf<'submit'>, 'kind' | 'follow'>): string {
  const hash = createHash('sha256');
  hash.update(`${program}\n${language}\n${name}\n${optionsText(options)}\n`);
  for (const value of [args, kwargs]) {
    if (value === undefined) hash.update('-\n');
    else if (value instanceof Uint8Array) hash.update(`${value.length}\n`).update(value);
    else hash.update(`#${value.hash}\n`);
  }
  return hash.digest('hex').slice(0, 32);
}

function optionsText(options: TaskOptions): string {
  const given = Object.entries(options).filter(([key, value]) => value !== undefined && !isDefault(key, value));
  return given.length === 0 ? '' : JSON.stringify(given.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const isDefault = (key: string, value: unknown): boolean => value === false || ((key === 'retries' || key === 'priority') && value === 0);
