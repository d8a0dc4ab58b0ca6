/**
 * The page as a client of its home: submits, cancels, over a link in memory.
 *
 * Owns: that one link. What it submits is subject to every rule that other clients are subject to.
 */
import { createHash } from 'node:crypto';
import { PotluckError, isErrorCode } from '../errors.ts';
import { uuidv7 } from '../lib/uuid.ts';
import { limits } from '../limits.ts';
import type { Connection, Message, MessageOf, OutcomeState, Problem, TaskOptions, Value } from '../wire/index.ts';

export interface PageSubmission {
  id: string | undefined;
  /** Its source, or the hash of one that the home has. */
  program: Uint8Array | string;
  language: 'python' | 'javascript';
  function: string;
  args: Uint8Array;
  kwargs: Uint8Array | undefined;
  options: TaskOptions;
}

interface Waiting {
  resolve(state: OutcomeState | undefined): void;
  reject(error: PotluckError): void;
}

export class HomeClient {
  readonly #connect: () => Connection;
  #link: Connection | undefined;
  readonly #contents = new Map<string, Uint8Array>();
  /** Who waits for the acceptance of an id, and who for its outcome. */
  readonly #submitted = new Map<string, Waiting>();
  readonly #cancelled = new Map<string, Set<Waiting>>();

  constructor(connect: () => Connection) {
    this.#connect = connect;
  }

  /** Resolves with the id once the task is accepted. @throws PotluckError as submissions are refused */
  async submit({ id = uuidv7(), program, language, function: name, args, kwargs, options }: PageSubmission): Promise<string> {
    if (this.#submitted.has(id)) throw new PotluckError('id_conflict', `the id ${id} is being submitted by another request`, { fix: 'leave out the id, or choose another one' });
    const held: string[] = [];
    const hold = (bytes: Uint8Array): string => {
      const hash = createHash('sha256').update(bytes).digest('hex');
      this.#contents.set(hash, bytes);
      held.push(hash);
      return hash;
    };
    const value = (bytes: Uint8Array): Value => (bytes.length <= limits.inlineBytesMax ? bytes : { hash: hold(bytes), size: bytes.length });
    const message: Message = {
      kind: 'submit',
      id,
      program: typeof program === 'string' ? program : hold(program),
      language,
      function: name,
      args: value(args),
      ...(kwargs === undefined ? {} : { kwargs: value(kwargs) }),
      options,
    };
    try {
      await new Promise<unknown>((resolve, reject) => {
        this.#submitted.set(id, { resolve, reject });
        this.#open().send(message);
      });
      return id;
    } finally {
      this.#submitted.delete(id);
      this.#link?.send({ kind: 'unwatch', id });
      for (const hash of held) this.#contents.delete(hash);
    }
  }

  /** Resolves with the task's outcome, which is `cancelled` unless it had ended before. @throws PotluckError `unknown_task` */
  async cancel(id: string): Promise<OutcomeState> {
    const waiters = this.#cancelled.get(id) ?? new Set<Waiting>();
    this.#cancelled.set(id, waiters);
    const state = await new Promise<OutcomeState | undefined>((resolve, reject) => {
      waiters.add({ resolve, reject });
      const link = this.#open();
      link.send({ kind: 'watch', id, follow: false });
      link.send({ kind: 'cancel', id });
    });
    return state ?? 'unknown';
  }

  close(): void {
    this.#link?.close();
  }

  #open(): Connection {
    if (this.#link !== undefined) return this.#link;
    const link = this.#connect();
    this.#link = link;
    link.serve(async (hash) => this.#contents.get(hash));
    link.onMessage = (message) => this.#heard(message);
    link.onClose = () => this.#lost(link);
    return link;
  }

  #heard(message: Message): void {
    switch (message.kind) {
      case 'accepted':
        for (const id of message.ids) this.#submitted.get(id)?.resolve(undefined);
        return;
      case 'refused':
        this.#submitted.get(message.id)?.reject(errorOf(message.error));
        return;
      case 'no_task':
        this.#settle(message, (waiting) => waiting.reject(errorOf(message.error)));
        return;
      case 'outcome':
        // Of a submission that was made before under this id.
        this.#submitted.get(message.id)?.resolve(message.state);
        this.#settle(message, (waiting) => waiting.resolve(message.state));
        return;
      default:
    }
  }

  #settle({ id }: MessageOf<'no_task'> | MessageOf<'outcome'>, tell: (waiting: Waiting) => void): void {
    const waiters = this.#cancelled.get(id);
    this.#cancelled.delete(id);
    for (const waiting of waiters ?? []) tell(waiting);
  }

  /** The home starts again, or stops; the next request opens a link anew. */
  #lost(link: Connection): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    const error = new PotluckError('link_lost', 'the home did not answer', { why: 'it is starting again or being stopped', fix: 'look whether the task is there, or try again' });
    const waiting = [...this.#submitted.values(), ...[...this.#cancelled.values()].flatMap((waiters) => [...waiters])];
    this.#submitted.clear();
    this.#cancelled.clear();
    for (const each of waiting) each.reject(error);
  }
}

const errorOf = ({ code, message, hint }: Problem): PotluckError => new PotluckError(isErrorCode(code) ? code : 'internal', message, { fix: hint });
