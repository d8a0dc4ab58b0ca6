// @ts-check
/**
 * JSON without loss: integers that a double cannot hold come in as bigint and go out digit
 * by digit, and a value that JSON cannot hold is named instead of dropped.
 */

/** A value that JSON cannot hold: where it is, what it is, what to do. */
export class Misfit extends Error {
  /**
   * @param {string} path
   * @param {string} type
   * @param {string} hint
   */
  constructor(path, type, hint) {
    super(`${path} is ${type}`);
    this.path = path;
    this.type = type;
    this.hint = hint;
  }
}

const { parse, stringify } = JSON;
const { getPrototypeOf, keys } = Object;

/** 16 digits in a row: shorter integers are exact as doubles. */
const LONG_DIGITS = /\d{16}/;

/**
 * @param {string} text
 * @returns {unknown}
 * @throws {SyntaxError} when it is not one JSON text
 */
export function readExact(text) {
  const plain = parse(text);
  return LONG_DIGITS.test(text) ? new Reader(text).value() : plain;
}

/** Reads a text that was found to be JSON. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.token = /[\s,:]*(?:("(?:[^"\\]|\\.)*")|(-?\d[-+.\deE]*)|([[\]{}])|(true|false|null))/y;
  }

  /** @returns {unknown} */
  value() {
    return this.from(this.next());
  }

  /**
   * @param {string} token
   * @returns {unknown}
   */
  from(token) {
    if (token === '[') return this.array();
    if (token === '{') return this.object();
    const value = parse(token);
    const isLong = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(token);
    return isLong ? BigInt(token) : value;
  }

  array() {
    /** @type {unknown[]} */
    const items = [];
    for (let token = this.next(); token !== ']'; token = this.next()) items.push(this.from(token));
    return items;
  }

  object() {
    /** @type {Record<string, unknown>} */
    const object = {};
    for (let token = this.next(); token !== '}'; token = this.next()) {
      // A key such as __proto__ must become a property like any other.
      Object.defineProperty(object, parse(token), { value: this.value(), writable: true, enumerable: true, configurable: true });
    }
    return object;
  }

  next() {
    const match = this.token.exec(this.text);
    if (match === null) throw new SyntaxError('not JSON');
    return match[1] ?? match[2] ?? match[3] ?? match[4] ?? '';
  }
}

/**
 * @param {unknown} root
 * @returns {string}
 * @throws {Misfit}
 */
export function writeExact(root) {
  /** @type {Set<object>} */
  const open = new Set();

  /**
   * @param {unknown} value
   * @param {() => string} path
   * @returns {string}
   */
  const write = (value, path) => {
    if (value === null || value === undefined) return 'null';
    if (typeof value === 'string' || typeof value === 'boolean') return stringify(value);
    if (typeof value === 'bigint') return String(value);
    if (typeof value === 'number') {
      if (Number.isFinite(value)) return stringify(value);
      throw new Misfit(path(), String(value), 'return null or a string in its place');
    }
    if (typeof value !== 'object') throw new Misfit(path(), typeName(value), hintFor(value));
    if (open.has(value)) throw new Misfit(path(), 'an object that contains itself', 'return a tree, without the loop');
    open.add(value);
    const text = writeObject(value, path);
    open.delete(value);
    return text;
  };

  /**
   * @param {object} value
   * @param {() => string} path
   */
  const writeObject = (value, path) => {
    // A Buffer has a toJSON of its own, which nobody wants to get.
    if ('toJSON' in value && !ArrayBuffer.isView(value) && typeof value.toJSON === 'function') return write(value.toJSON(''), path);
    if (Array.isArray(value)) return `[${value.map((item, index) => write(item, () => `${path()}[${index}]`)).join(',')}]`;
    if (isMisfit(value)) throw new Misfit(path(), typeName(value), hintFor(value));
    const parts = [];
    for (const key of keys(value)) {
      const item = /** @type {Record<string, unknown>} */ (value)[key];
      // As JSON.stringify does: a property that is undefined is not there.
      if (item !== undefined) parts.push(`${stringify(key)}:${write(item, () => `${path()}[${stringify(key)}]`)}`);
    }
    return `{${parts.join(',')}}`;
  };

  return write(root, () => 'result');
}

/** @param {object} value */
function isMisfit(value) {
  return (
    value instanceof Map || value instanceof Set || value instanceof WeakMap || value instanceof WeakSet ||
    value instanceof Promise || value instanceof RegExp || value instanceof Error ||
    value instanceof ArrayBuffer || ArrayBuffer.isView(value) || Symbol.iterator in value || Symbol.asyncIterator in value
  );
}

/**
 * @param {unknown} value
 * @returns {string}
 */
export function typeName(value) {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  const name = getPrototypeOf(value)?.constructor?.name;
  if (typeof name === 'string' && name !== '') return name;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  return tag === 'Object' ? 'object' : tag;
}

/** @param {unknown} value */
function hintFor(value) {
  if (value instanceof Map) return 'return Object.fromEntries(m) or [...m]';
  if (value instanceof Set) return 'return [...s]';
  if (value instanceof Error) return 'throw it, or return its message';
  if (value instanceof RegExp) return 'return r.source';
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return 'return Array.from(a), or base64: Buffer.from(a).toString("base64")';
  if (value instanceof Promise) return 'await it first';
  if (typeof value === 'function') return 'return its result: call it';
  if (typeof value === 'symbol') return 'return its description';
  return 'return plain objects, arrays, strings, numbers, booleans or null, such as [...it]';
}
