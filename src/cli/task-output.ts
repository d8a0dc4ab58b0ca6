/**
 * What tasks print, on stderr as it comes, every line marked with its peer.
 *
 * Owns: lines that come in pieces, and that pieces of different peers never share a line. On a
 * terminal control codes are taken out, so that no task can draw over what others say; into a pipe
 * or file the bytes go as they are.
 */
import { TextDecoder } from 'node:util';
import type { TaskOutput } from '../sdk/index.ts';
import type { Terminal } from './terminal.ts';
import { clean, cleanLine, droppedText } from './text.ts';

const NEWLINE = 0x0a;
/** An escape sequence that its chunk cut off, to be joined with the next. */
const cutOffSequence = new RegExp(`${String.fromCodePoint(0x1b)}[^A-Za-z~]{0,32}$`);

interface Source {
  decoder: TextDecoder;
  /** Text that cannot be shown before more comes. */
  rest: string;
}

/** A new attempt prints from its beginning again. */
const markOf = (peer: string, attempt: number): string => (attempt > 1 ? `[${cleanLine(peer)}, attempt ${attempt}] ` : `[${cleanLine(peer)}] `);

export class TaskPrinter {
  readonly #terminal: Terminal;
  readonly #mark: boolean;
  readonly #sources = new Map<string, Source>();
  /** Whose line is not at its end. */
  #open: string | undefined;

  constructor(terminal: Terminal, mark: boolean) {
    this.#terminal = terminal;
    this.#mark = mark;
  }

  /** Whether a line is not at its end. */
  get lineIsOpen(): boolean {
    return this.#open !== undefined;
  }

  print({ peer, attempt, stream, dropped, data }: TaskOutput): void {
    const key = `${peer} ${attempt} ${stream}`;
    if (dropped > 0) this.#gap(key, markOf(peer, attempt), dropped);
    const bytes = this.#terminal.errIsTerminal ? Buffer.from(this.#cleaned(key, data)) : data;
    if (bytes.length === 0) return;
    if (!this.#mark) {
      this.#open = bytes.at(-1) === NEWLINE ? undefined : key;
      this.#terminal.err(bytes);
      return;
    }
    this.#terminal.err(this.#marked(key, markOf(peer, attempt), bytes));
  }

  /** A line of its own for what is missing. What was cut off before it will not be completed. */
  #gap(key: string, mark: string, dropped: number): void {
    this.#sources.delete(key);
    if (this.#open !== undefined) this.#terminal.err('\n');
    this.#open = undefined;
    this.#terminal.err(`${this.#mark ? mark : ''}${droppedText(dropped)}\n`);
  }

  /** Brings an open line to its end; unmarked output in a pipe stays byte for byte. */
  end(): void {
    if (this.#open !== undefined && (this.#mark || this.#terminal.errIsTerminal)) this.#terminal.err('\n');
    this.#open = undefined;
  }

  #marked(key: string, mark: string, bytes: Uint8Array): Buffer {
    const parts: (Uint8Array | string)[] = [];
    if (this.#open !== undefined && this.#open !== key) parts.push('\n');
    let atStart = this.#open !== key;
    for (let from = 0; from < bytes.length; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline === -1 ? bytes.length : newline + 1;
      if (atStart) parts.push(mark);
      parts.push(bytes.subarray(from, to));
      atStart = newline !== -1;
      from = to;
    }
    this.#open = atStart ? undefined : key;
    return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  }

  #cleaned(key: string, data: Uint8Array): string {
    let source = this.#sources.get(key);
    if (source === undefined) this.#sources.set(key, (source = { decoder: new TextDecoder(), rest: '' }));
    const text = source.rest + source.decoder.decode(data, { stream: true });
    source.rest = cutOffSequence.exec(text)?.[0] ?? (text.endsWith('\r') ? '\r' : '');
    return clean(text.slice(0, text.length - source.rest.length));
  }
}
