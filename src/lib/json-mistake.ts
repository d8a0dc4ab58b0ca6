/**
 * Finds the place where a text stops being JSON, for people.
 *
 * Owns: the place and a guess at what was meant. Whether a text is JSON at all is JSON.parse's to say
 * (it is faster and the judge everybody shares); this runs only after it said no. Never recursive, so
 * that nesting cannot exhaust the stack.
 */
export interface JsonMistake {
  /** In UTF-16 units from the start; the text's length when it ends too early. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  readonly what: string;
}

type Want = 'value' | 'first item' | 'key' | 'first key' | 'colon' | 'comma' | 'end';

const blank = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const word = /[A-Za-z_$][\w$]*/y;

const wantText: Record<Want, string> = {
  value: 'a value is missing here',
  'first item': 'a value or ] is missing here',
  key: 'a name in double quotes is missing here',
  'first key': 'a name in double quotes or } is missing here',
  colon: 'a : is missing here',
  comma: 'a , or the closing bracket is missing here',
  end: 'there is more text after the end of the JSON',
};

const meant: Record<string, string> = {
  True: 'JSON writes true',
  False: 'JSON writes false',
  None: 'JSON writes null',
  undefined: 'JSON has no undefined; write null',
  NaN: 'JSON has no NaN',
  Infinity: 'JSON has no Infinity',
};

/** @returns the first mistake, or undefined if the text is exactly one JSON text */
export function findJsonMistake(text: string): JsonMistake | undefined {
  const found = new Scanner(text).run();
  if (found === undefined) return undefined;
  const before = text.slice(0, found.offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { offset: found.offset, line: before.split('\n').length, column: found.offset - lineStart + 1, what: found.what };
}

/** The line of the mistake and a caret under its column, cut to `width` around the mistake. */
export function pointAt(text: string, mistake: JsonMistake, width = 72): string[] {
  const start = text.lastIndexOf('\n', mistake.offset - 1) + 1;
  const end = text.indexOf('\n', mistake.offset);
  const line = text.slice(start, end === -1 ? undefined : end).replaceAll('\t', ' ');
  const from = Math.max(0, mistake.column - 1 - Math.floor(width / 2));
  return [line.slice(from, from + width), `${' '.repeat(mistake.column - 1 - from)}^`];
}

interface Found {
  offset: number;
  what: string;
}

class Scanner {
  readonly #text: string;
  #at = 0;
  #want: Want = 'value';
  readonly #open: string[] = [];
  #found: Found | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  run(): Found | undefined {
    for (;;) {
      this.#at += matchAt(blank, this.#text, this.#at)?.length ?? 0;
      if (this.#at >= this.#text.length) {
        return this.#want === 'end' ? undefined : { offset: this.#at, what: this.#endsEarly() };
      }
      this.#step();
      if (this.#found !== undefined) return this.#found;
    }
  }

  #endsEarly(): string {
    const open = this.#open.at(-1);
    if (this.#text.trim() === '') return 'there is no JSON here';
    return open === undefined ? wantText[this.#want] : `the text ends, but a ${open} is still open`;
  }

  #step(): void {
    const char = this.#text[this.#at]!;
    switch (this.#want) {
      case 'first item':
        return char === ']' ? this.#close('[') : this.#value(char);
      case 'value':
        return this.#value(char);
      case 'first key':
        return char === '}' ? this.#close('{') : this.#key(char);
      case 'key':
        return this.#key(char);
      case 'colon':
        return char === ':' ? this.#advance(1, 'value') : this.#fail(wantText.colon);
      case 'comma':
        return this.#comma(char);
      case 'end':
        return this.#fail(wantText.end);
    }
  }

  #value(char: string): void {
    if (char === '[' || char === '{') {
      this.#open.push(char);
      return this.#advance(1, char === '[' ? 'first item' : 'first key');
    }
    if (char === '"') return this.#string(this.#afterValue());
    if (char === "'") return this.#fail('JSON strings stand in double quotes');
    if (char === ']' || char === '}') return this.#fail(this.#want === 'value' && this.#open.length > 0 ? 'a value is missing here (JSON allows no comma before the end)' : wantText[this.#want]);
    const digits = matchAt(number, this.#text, this.#at);
    if (digits) return this.#number(digits);
    return this.#word();
  }

  #number(digits: string): void {
    const next = this.#text[this.#at + digits.length];
    if (next !== undefined && /[\w.]/.test(next)) return this.#fail('this is not a number as JSON writes it');
    this.#advance(digits.length, this.#afterValue());
  }

  #word(): void {
    const found = matchAt(word, this.#text, this.#at);
    if (found === 'true' || found === 'false' || found === 'null') return this.#advance(found.length, this.#afterValue());
    if (found === undefined || found === '') return this.#fail(this.#want === 'first item' ? wantText['first item'] : wantText.value);
    this.#fail(Object.hasOwn(meant, found) ? meant[found]! : 'this word is not JSON; text stands in double quotes');
  }

  #key(char: string): void {
    if (char === '"') return this.#string('colon');
    if (char === '}') return this.#fail('JSON allows no comma before the end');
    this.#fail(char === "'" ? 'JSON strings stand in double quotes' : wantText[this.#want]);
  }

  #comma(char: string): void {
    const open = this.#open.at(-1);
    if (char === ',') return this.#advance(1, open === '[' ? 'value' : 'key');
    if (char === ']' || char === '}') return this.#close(char === ']' ? '[' : '{');
    this.#fail(wantText.comma);
  }

  #close(open: string): void {
    if (this.#open.at(-1) !== open) return this.#fail('this bracket closes nothing that is open');
    this.#open.pop();
    this.#advance(1, this.#afterValue());
  }

  #string(then: Want): void {
    for (let at = this.#at + 1; at < this.#text.length; at += 1) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x22) return this.#advance(at + 1 - this.#at, then);
      if (code < 0x20) return this.#fail(code === 0x0a ? 'the string does not end on its line (write \\n)' : 'a control character must be written as \\u00XX', at);
      if (code !== 0x5c) continue;
      const escape = this.#text.slice(at + 1, at + 6);
      if (/^["\\/bfnrt]/.test(escape)) at += 1;
      else if (/^u[0-9a-fA-F]{4}/.test(escape)) at += 5;
      else return this.#fail('JSON knows no such escape after \\', at);
    }
    this.#fail('this string does not end');
  }

  #afterValue(): Want {
    return this.#open.length === 0 ? 'end' : 'comma';
  }

  #advance(by: number, want: Want): void {
    this.#at += by;
    this.#want = want;
  }

  #fail(what: string, offset = this.#at): void {
    this.#found = { offset, what };
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
