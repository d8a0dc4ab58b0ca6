/* oxlint-disable no-control-regex -- control characters are what this file reads */
/**
 * What a terminal would show of a stream of bytes: lines, with colours, and carriage returns that write over
 * what stands there (progress bars). Every other control sequence is inert.
 *
 * Invariant: what comes out is text and names of classes from a closed list, never markup.
 */
export interface Span {
  text: string;
  /** Of style.css: a1 bold …, c1 red …, b1 red behind it. */
  classes: string;
}

export interface Line {
  spans: Span[];
  /** As searched and copied. */
  text: string;
}

const lineCharactersMax = 20_000;
const sequenceMax = 64;

interface Cell {
  text: string;
  classes: string;
}

export class Terminal {
  readonly lines: Line[] = [];
  #cells: Cell[] = [];
  #column = 0;
  #classes = '';
  #style = { marks: new Set<number>(), color: -1, behind: -1 };
  /** The beginning of a sequence whose end has not come yet. */
  #rest = '';

  /** The line that is being written. */
  get last(): Line {
    return lineOf(this.#cells);
  }

  write(text: string): void {
    let left = this.#rest + text;
    this.#rest = '';
    while (left !== '') {
      const at = left.search(/[\u001b\r\n\b]/);
      const plain = at === -1 ? left : left.slice(0, at);
      if (plain !== '') this.#put(plain);
      if (at === -1) return;
      left = this.#control(left.slice(at));
    }
  }

  /** No more comes. */
  end(): void {
    this.#rest = '';
    if (this.#cells.length > 0) this.#newline();
  }

  /** Returns what is behind the control character or sequence. */
  #control(text: string): string {
    switch (text[0]) {
      case '\n':
        this.#newline();
        return text.slice(1);
      case '\r':
        this.#column = 0;
        return text.slice(1);
      case '\b':
        this.#column = Math.max(0, this.#column - 1);
        return text.slice(1);
      default:
        return this.#escape(text);
    }
  }

  #escape(text: string): string {
    const kind = text[1];
    if (kind === undefined) {
      this.#rest = text;
      return '';
    }
    if (kind === '[') {
      const found = /^\u001b\[([0-9:;<=>?]*)[ -/]*([@-~])/.exec(text);
      if (found === null) return this.#unfinished(text, 2);
      if (found[2] === 'm') this.#restyle(found[1] ?? '');
      else if (found[2] === 'K') this.#erase(found[1] ?? '');
      return text.slice(found[0].length);
    }
    if (kind === ']' || kind === 'P' || kind === '_' || kind === '^' || kind === 'X') {
      // Titles, links, the clipboard: a text that is for the terminal, not for eyes.
      const end = /\u0007|\u001b\\/.exec(text);
      if (end === null) return this.#unfinished(text, 2);
      return text.slice(end.index + end[0].length);
    }
    return text.slice(2);
  }

  /** Waits for the end of a sequence, but not for long: then its beginning is skipped. */
  #unfinished(text: string, skip: number): string {
    if (text.length > sequenceMax) return text.slice(skip);
    this.#rest = text;
    return '';
  }

  #put(text: string): void {
    for (const character of text) {
      if (this.#column >= lineCharactersMax) return;
      while (this.#cells.length < this.#column) this.#cells.push({ text: ' ', classes: '' });
      this.#cells[this.#column] = { text: shown(character), classes: this.#classes };
      this.#column += 1;
    }
  }

  #newline(): void {
    this.lines.push(lineOf(this.#cells));
    this.#cells = [];
    this.#column = 0;
  }

  #erase(how: string): void {
    if (how === '2') this.#cells = [];
    else if (how === '1') for (let at = 0; at < Math.min(this.#column, this.#cells.length); at += 1) this.#cells[at] = { text: ' ', classes: '' };
    else this.#cells.length = Math.min(this.#cells.length, this.#column);
  }

  #restyle(codes: string): void {
    const list = codes.split(/[;:]/).map(Number);
    const style = this.#style;
    for (let at = 0; at < list.length; at += 1) {
      const code = list[at] ?? 0;
      if (code === 0) this.#style = Object.assign(style, { marks: new Set<number>(), color: -1, behind: -1 });
      else if (code < 10) style.marks.add(code);
      else if (code === 22) [1, 2].forEach((mark) => style.marks.delete(mark));
      else if (code > 22 && code < 30) style.marks.delete(code - 20);
      else if (code >= 30 && code < 38) style.color = code - 30;
      else if (code === 39) style.color = -1;
      else if (code >= 40 && code < 48) style.behind = code - 40;
      else if (code === 49) style.behind = -1;
      else if (code >= 90 && code < 98) style.color = code - 82;
      else if (code >= 100 && code < 108) style.behind = code - 92;
      else if (code === 38 || code === 48) {
        const near = nearest(list, at);
        if (code === 38) style.color = near.color;
        else style.behind = near.color;
        at += near.used;
      }
    }
    const marks = [...style.marks].filter((mark) => [1, 2, 3, 4, 9].includes(mark)).map((mark) => `a${mark}`);
    this.#classes = [...marks, ...(style.color < 0 ? [] : [`c${style.color}`]), ...(style.behind < 0 ? [] : [`b${style.behind}`])].join(' ');
  }
}

/** One of the 16 for a colour of 256 or of all. */
function nearest(list: readonly number[], at: number): { color: number; used: number } {
  if (list[at + 1] === 5) {
    const index = list[at + 2] ?? 0;
    if (index < 16) return { color: index, used: 2 };
    if (index >= 232) return { color: index < 244 ? 8 : 7, used: 2 };
    const cube = index - 16;
    return { color: fromRgb(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51), used: 2 };
  }
  if (list[at + 1] === 2) return { color: fromRgb(list[at + 2] ?? 0, list[at + 3] ?? 0, list[at + 4] ?? 0), used: 4 };
  return { color: -1, used: 0 };
}

const fromRgb = (red: number, green: number, blue: number): number => (red > 110 ? 1 : 0) + (green > 110 ? 2 : 0) + (blue > 110 ? 4 : 0);

/** Characters that are not seen, or turn text around, are shown as being there. */
const shown = (character: string): string => (character !== '\t' && /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u.test(character) ? '\ufffd' : character);

function lineOf(cells: readonly Cell[]): Line {
  const spans: Span[] = [];
  for (const { text, classes } of cells) {
    const last = spans.at(-1);
    if (last?.classes === classes) last.text += text;
    else spans.push({ text, classes });
  }
  return { spans, text: spans.map(({ text }) => text).join('') };
}
