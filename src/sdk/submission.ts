/**
 * From what a program asks for to the message that submits it.
 *
 * Owns: checking and encoding of one submission, and the content that the home may still ask for.
 *
 * Invariants
 * 1. Content stays available until every submission that names it was accepted or refused.
 * 2. The text of a program is hashed once, however many tasks run it.
 */
import { createHash } from 'node:crypto';
import { PotluckError } from '../errors.ts';
import { uuidv7 } from '../lib/uuid.ts';
import { limits } from '../limits.ts';
import { idSchema, languages, optionsSchema, type Language, type MessageOf, type TaskOptions, type TaskState, type Value } from '../wire/messages.ts';
import { checkJson, writeExact, type JsonText } from './json.ts';

/** One call: what to run, with what, and how. */
export interface TaskRequest extends Partial<{ [K in keyof TaskOptions]: TaskOptions[K] }> {
  language: Language;
  /** Source text; at most 1 MiB. Python: run once per worker like an import. JavaScript: an ES module. */
  program: string;
  /** The function to call; `main` unless said. */
  function?: string;
  /** Its arguments; none unless said. `{ json }` is passed on verbatim. */
  args?: readonly unknown[] | JsonText;
  /** Its keyword arguments (Python only). */
  kwargs?: Readonly<Record<string, unknown>> | JsonText;
  /** At most 64 of A-Z a-z 0-9 _ -; a UUIDv7 unless said. The same id with the same content is the same task. */
  id?: string;
  /** Called with what the task prints, as it comes; a new attempt starts again. */
  onOutput?: (output: TaskOutput) => void;
  /** Called when the state changes, and when the reason does for which it waits. */
  onState?: (change: StateChange) => void;
}

export interface TaskOutput {
  readonly id: string;
  readonly peer: string;
  /** From 1. */
  readonly attempt: number;
  readonly stream: 'stdout' | 'stderr';
  /** Bytes that this attempt printed to this stream before `data`. */
  readonly offset: number;
  /** Of those, how many are missing since what was told last: it printed more than was kept or the link took. */
  readonly dropped: number;
  /** As printed; may end within a line or a character. Empty if only `dropped` is told. */
  readonly data: Uint8Array;
}

export interface StateChange {
  readonly id: string;
  readonly state: TaskState;
  readonly attempt: number;
  readonly peer: string | null;
  /** While it waits: the reason, as a sentence. */
  readonly waitingFor?: string;
}

/** A checked and encoded submission. */
export interface Submission {
  readonly message: MessageOf<'submit'>;
  /** Bytes that count against what one client may have unaccepted. */
  readonly bytes: number;
  /** What the home may ask for before it accepts, by hash. */
  readonly contents: readonly Content[];
  /** Two submissions with the same id are the same task if this agrees; only for ids that were chosen. */
  readonly digest: string | undefined;
}

export interface Content {
  readonly hash: string;
  readonly bytes: Uint8Array;
}

interface Program extends Content {
  /** The contents of a submission whose values travel in its message. */
  readonly alone: readonly Content[];
}

/** What a submission weighs besides its values. */
const SUBMISSION_BYTES = 256;
/** Programs whose hash is remembered; more different ones than this at a time are rare, and cost only a hash. */
const PROGRAMS_REMEMBERED = 256;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export class SubmissionMaker {
  readonly #programs = new Map<string, Program>();

  /**
   * @throws PotluckError `bad_submission`, `bad_json`, `program_too_large` or `arguments_too_large`
   */
  make(request: TaskRequest): Submission {
    checkRequest(request);
    const program = this.#program(request.program);
    const args = encode(textOf(request.args ?? [], 'array', 'args'), 'args');
    const kwargs = request.kwargs === undefined ? undefined : encode(textOf(request.kwargs, 'object', 'kwargs'), 'kwargs');
    const options = optionsOf(request);
    const message: MessageOf<'submit'> = {
      kind: 'submit',
      id: request.id ?? uuidv7(),
      program: program.hash,
      language: request.language,
      function: request.function ?? 'main',
      args: args.value,
      options,
    };
    if (kwargs !== undefined) message.kwargs = kwargs.value;
    if (request.onOutput !== undefined || request.onState !== undefined) message.follow = true;
    return {
      message,
      bytes: SUBMISSION_BYTES + args.bytes.length + (kwargs?.bytes.length ?? 0),
      contents: args.content === undefined && kwargs?.content === undefined ? program.alone : [program, args.content, kwargs?.content].filter((content) => content !== undefined),
      digest: request.id === undefined ? undefined : digestOf(message, args.bytes, kwargs?.bytes),
    };
  }

  #program(text: string): Program {
    const known = this.#programs.get(text);
    if (known !== undefined) return known;
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length > limits.programBytesMax) {
      throw new PotluckError('program_too_large', `the program has ${bytes.length} bytes`, { why: `a program may have ${limits.programBytesMax}`, fix: 'pass data as arguments, not inside the program' });
    }
    const content: Content = { hash: sha256(bytes), bytes };
    const program: Program = { ...content, alone: [content] };
    if (this.#programs.size >= PROGRAMS_REMEMBERED) this.#programs.delete(this.#programs.keys().next().value!);
    this.#programs.set(text, program);
    return program;
  }
}

/** What the home may still ask for. */
export class ContentShelf {
  readonly #held = new Map<string, { bytes: Uint8Array; uses: number }>();

  hold(contents: readonly Content[]): void {
    for (const { hash, bytes } of contents) {
      const held = this.#held.get(hash);
      if (held === undefined) this.#held.set(hash, { bytes, uses: 1 });
      else held.uses += 1;
    }
  }

  release(contents: readonly Content[]): void {
    for (const { hash } of contents) {
      const held = this.#held.get(hash);
      if (held === undefined) continue;
      held.uses -= 1;
      if (held.uses === 0) this.#held.delete(hash);
    }
  }

  get(hash: string): Uint8Array | undefined {
    return this.#held.get(hash)?.bytes;
  }
}

interface Encoded {
  bytes: Uint8Array;
  value: Value;
  /** If it is too large to travel in the message. */
  content?: Content;
}

function encode(text: string, name: string): Encoded {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= limits.inlineBytesMax) return { bytes, value: bytes };
  if (bytes.length > limits.valueBytesMax) {
    throw new PotluckError('arguments_too_large', `${name} has ${bytes.length} bytes of JSON`, { why: `a value may have ${limits.valueBytesMax}`, fix: 'split the work into more tasks, or pass the path of a file' });
  }
  const hash = sha256(bytes);
  return { bytes, value: { hash, size: bytes.length }, content: { hash, bytes } };
}

function textOf(value: unknown, shape: 'array' | 'object', name: string): string {
  if (isJsonText(value)) {
    checkJson(value.json, shape, name);
    return value.json;
  }
  const fits = shape === 'array' ? Array.isArray(value) : typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!fits) throw new PotluckError('bad_submission', `${name} must be ${shape === 'array' ? 'a list' : 'an object'}`, { fix: 'or JSON text as { json: "..." }' });
  return writeExact(value, name);
}

const isJsonText = (value: unknown): value is JsonText =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 1 && 'json' in value && typeof value.json === 'string';

const bad = (what: string, fix: string) => new PotluckError('bad_submission', what, { fix });

function checkRequest(request: TaskRequest): void {
  if (!languages.includes(request.language)) throw bad(`there is no language ${JSON.stringify(request.language)}`, `use one of ${languages.join(', ')}`);
  if (typeof request.program !== 'string') throw bad('the program must be source text', 'pass a string');
  if (request.kwargs !== undefined && request.language !== 'python') throw bad('only Python has keyword arguments', 'pass an object as the last of args');
  if (request.id !== undefined && !idSchema.safeParse(request.id).success) throw bad(`the id ${JSON.stringify(request.id)} will not do`, `use at most ${limits.idLengthMax} of A-Z a-z 0-9 _ -`);
  const name = request.function;
  if (name !== undefined && (name === '' || name.length > limits.functionNameLengthMax)) throw bad('the name of the function will not do', `use 1 to ${limits.functionNameLengthMax} characters`);
}

const optionNames = Object.keys(optionsSchema.shape) as (keyof TaskOptions)[];

/** Of the options that have a default that can be written; the default of the others is to be absent. */
const defaults: TaskOptions = { retries: 0, priority: 0, confidential: false, once: false, fresh: false };

const noOptions: TaskOptions = {};

/** Only what differs from the default: options that say nothing belong to no task's content. */
function optionsOf(request: TaskRequest): TaskOptions {
  let given: Partial<{ -readonly [K in keyof TaskOptions]: unknown }> | undefined;
  for (const name of optionNames) {
    const value = request[name];
    if (value !== undefined && value !== defaults[name]) (given ??= {})[name] = value;
  }
  if (given === undefined) return noOptions;
  const parsed = optionsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new PotluckError('bad_submission', `the option ${issue.path.join('.')} will not do`, { why: issue.message, fix: 'see TaskRequest for what it may be' });
}

function digestOf(message: MessageOf<'submit'>, args: Uint8Array, kwargs: Uint8Array | undefined): string {
  const { program, language, function: name, options } = message;
  const sorted = Object.entries(options).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify([program, language, name, sorted, args.length]));
  hash.update(args);
  if (kwargs !== undefined) hash.update(kwargs);
  return hash.digest('hex');
}
