/**
 * JSON without loss: whole numbers of any size in both directions.
 *
 * Owns: turning arguments into JSON text and result text into values. Everything between client and
 * worker passes the text on as it is.
 *
 * Invariants
 * 1. `parseExact` accepts exactly what JSON.parse accepts.
 * 2. A whole number that a double cannot hold for certain (beyond 2⁵³ - 1) becomes a bigint, and a
 *    bigint is written digit for digit: text → value → text keeps every digit of a whole number.
 */
import { PotluckError } from '../errors.ts';
import { findJsonMistake, pointAt } from '../lib/json-mistake.ts';

/** JSON text to be passed on verbatim instead of a value to be written. */
export interface JsonText {
  readonly json: string;
}

/** Below 16 digits every whole number is a safe integer. */
const longNumber = /\d{16}/;

/**
 * The value of a JSON text.
 * @throws SyntaxError if it is not exactly one JSON text
 */
export function parseExact(text: string): unknown {
  const plain: unknown = JSON.parse(text);
  return longNumber.test(text) ? new ExactReader(text).read() : plain;
}

type Container = unknown[] | Record<string, unknown>;

/** Reads a text that JSON.parse has accepted; only therefore it may be so short. */
class ExactReader {
  readonly #text: string;
  #at = 0;
  readonly #open: { container: Container; key: string | undefined }[] = [];
  #root: unknown;

  constructor(text: string) {
    this.#text = text;
  }

  read(): unknown {
    while (this.#at < this.#text.length) this.#token(this.#text[this.#at]!);
    return this.#root;
  }

  #token(char: string): void {
    switch (char) {
      case '[':
      case '{': {
        const container: Container = char === '[' ? [] : {};
        this.#put(container);
        this.#open.push({ container, key: undefined });
        this.#at += 1;
        break;
      }
      case ']':
      case '}':
        this.#open.pop();
        this.#at += 1;
        break;
      case '"':
        this.#string();
        break;
      case ' ':
      case '\t':
      case '\n':
      case '\r':
      case ',':
      case ':':
        this.#at += 1;
        break;
      default:
        this.#scalar();
    }
  }

  #string(): void {
    const start = this.#at;
    let end = start;
    do end = this.#text.indexOf('"', end + 1);
    while (this.#escaped(end));
    this.#at = end + 1;
    const value = JSON.parse(this.#text.slice(start, this.#at)) as string;
    const open = this.#open.at(-1);
    if (open !== undefined && !Array.isArray(open.container) && open.key === undefined) open.key = value;
    else this.#put(value);
  }

  /** Whether an odd number of backslashes stands before `at`. */
  #escaped(at: number): boolean {
    let before = at - 1;
    while (this.#text[before] === '\\') before -= 1;
    return (at - before) % 2 === 0;
  }

  #scalar(): void {
    const start = this.#at;
    while (this.#at < this.#text.length && !',]} \t\n\r'.includes(this.#text[this.#at]!)) this.#at += 1;
    this.#put(scalarOf(this.#text.slice(start, this.#at)));
  }

  #put(value: unknown): void {
    const open = this.#open.at(-1);
    if (open === undefined) {
      this.#root = value;
    } else if (Array.isArray(open.container)) {
      open.container.push(value);
    } else {
      const key = open.key!;
      open.key = undefined;
      if (key === '__proto__') Object.defineProperty(open.container, key, { value, writable: true, enumerable: true, configurable: true });
      else open.container[key] = value;
    }
  }
}

function scalarOf(token: string): unknown {
  if (token === 'true') return true;
  if (token === 'false') return false;
  if (token === 'null') return null;
  const number = Number(token);
  return /[.eE]/.test(token) || Number.isSafeInteger(number) ? number : BigInt(token);
}

/**
 * The JSON text of a value. As JSON.stringify, except that a bigint is written as a whole number and
 * that nothing is lost in silence: NaN, infinities, functions and symbols are errors.
 * @param name what the value is, for the error: `args`
 * @throws PotluckError `bad_json` with the path of what JSON cannot hold
 */
export function writeExact(value: unknown, name: string): string {
  try {
    return write(value, '');
  } catch (error) {
    if (error instanceof CannotHold) throw new PotluckError('bad_json', `${name}${error.path} cannot be written as JSON`, { why: `JSON cannot hold ${error.what}`, fix: 'convert it to text, a number, a list or an object first' });
    if (!(error instanceof RangeError)) throw error;
    throw new PotluckError('bad_json', `${name} cannot be written as JSON`, { why: 'it is nested too deeply, or contains itself', fix: 'pass a flatter value', cause: error });
  }
}

/** The path is put together on the way out: values that are fine, which are nearly all, need none. */
class CannotHold extends Error {
  readonly what: string;
  path = '';

  constructor(what: string) {
    super(what);
    this.what = what;
  }
}

function write(value: unknown, key: string): string {
  const plain = hasToJson(value) ? value.toJSON(key) : value;
  switch (typeof plain) {
    case 'string':
      return JSON.stringify(plain);
    case 'number':
      if (Number.isFinite(plain)) return JSON.stringify(plain);
      throw new CannotHold(String(plain));
    case 'boolean':
      return plain ? 'true' : 'false';
    case 'bigint':
      return plain.toString();
    case 'object':
      return plain === null ? 'null' : Array.isArray(plain) ? writeArray(plain) : writeObject(plain);
    default:
      throw new CannotHold(`a value of type ${typeof plain}`);
  }
}

function writeArray(items: readonly unknown[]): string {
  let text = '[';
  for (let at = 0; at < items.length; at += 1) {
    if (at > 0) text += ',';
    try {
      text += items[at] === undefined ? 'null' : write(items[at], String(at));
    } catch (error) {
      throw below(error, `[${at}]`);
    }
  }
  return `${text}]`;
}

function writeObject(value: object): string {
  if (isCollection(value)) throw new CannotHold(`a ${value.constructor.name}`);
  let text = '{';
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    try {
      text += `${text.length > 1 ? ',' : ''}${JSON.stringify(key)}:${write(member, key)}`;
    } catch (error) {
      throw below(error, `.${key}`);
    }
  }
  return `${text}}`;
}

function below(error: unknown, step: string): unknown {
  if (error instanceof CannotHold) error.path = step + error.path;
  return error;
}

/** What JSON.stringify would turn into an empty object, or a list into one with numbered names. */
const isCollection = (value: object): boolean => ArrayBuffer.isView(value) || ['Map', 'Set', 'WeakMap', 'WeakSet', 'ArrayBuffer', 'Promise'].includes(value.constructor?.name);

const hasToJson = (value: unknown): value is { toJSON(key: string): unknown } =>
  typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function';

/**
 * Checks text that somebody wrote as JSON.
 * @param name what it is, for the error: `--args`
 * @throws PotluckError `bad_json` with line, column and a caret under the place
 */
export function checkJson(text: string, shape: 'array' | 'object' | 'any', name: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notJson(text, name, error);
  }
  if (shape === 'any') return;
  const found = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (found === shape) return;
  const fix = shape === 'array' ? `write it as a list, for example [${text.length < 40 ? text.trim() : '1, 2'}]` : 'write it as names and values, for example {"n": 5}';
  throw new PotluckError('bad_json', `${name} is not a JSON ${shape}`, { why: `it is ${found === 'null' ? 'null' : `${/^[aeiou]/.test(found) ? 'an' : 'a'} ${found}`}`, fix });
}

function notJson(text: string, name: string, cause: unknown): PotluckError {
  const mistake = findJsonMistake(text);
  if (mistake === undefined) return new PotluckError('bad_json', `${name} is not JSON`, { why: String(cause), cause });
  const place = `line ${mistake.line}, column ${mistake.column}`;
  const why = [`${place}: ${mistake.what}`, ...pointAt(text, mistake)].join('\n');
  return new PotluckError('bad_json', `${name} is not JSON`, { why, fix: `mend it at ${place}`, cause });
}
