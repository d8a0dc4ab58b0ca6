/**
 * One line that says what is being waited for.
 *
 * Owns: when it is shown and how. On a terminal it is painted over, with the time so far; elsewhere
 * every change is a line of its own. Nothing is shown for what is over within a second.
 */
import { duration } from './format.ts';
import type { Terminal } from './terminal.ts';
import { cleanLine, cut, widthOf } from './text.ts';

/** Shorter waits need no explanation. */
const PATIENCE_MS = 1_000;
/** The seconds that the line shows. */
const REPAINT_MS = 1_000;

export class Progress {
  readonly #terminal: Terminal;
  readonly #wanted: boolean;
  readonly #since = performance.now();
  #text = '';
  #shown = '';
  #painted = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #patient = true;
  #paused = false;

  constructor(terminal: Terminal, wanted: boolean) {
    this.#terminal = terminal;
    this.#wanted = wanted;
  }

  start(): void {
    if (!this.#wanted) return;
    this.#timer = setTimeout(() => {
      this.#patient = false;
      this.#show();
      if (!this.#terminal.canRepaint) return;
      this.#timer = setInterval(() => this.#show(), REPAINT_MS);
    }, PATIENCE_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.erase();
    this.#patient = true;
  }

  /** What is being waited for now. */
  say(text: string): void {
    this.#text = cleanLine(text);
    this.#show();
  }

  /** Shown at once, however short the wait so far. */
  sayNow(text: string): void {
    this.#patient = false;
    this.say(text);
  }

  /** Makes room for something else on the terminal; the next painting brings the line back. */
  erase(): void {
    if (this.#painted === 0) return;
    this.#terminal.err(`\r${' '.repeat(this.#painted)}\r`);
    this.#painted = 0;
  }

  /** While another line of the terminal is not at its end, nothing is painted. */
  pause(paused: boolean): void {
    this.#paused = paused;
  }

  #show(): void {
    if (!this.#wanted || this.#patient || this.#text === '' || this.#paused) return;
    if (this.#terminal.canRepaint) {
      const line = cut(`${this.#text} (${elapsed(performance.now() - this.#since)})`, this.#terminal.errWidth - 1);
      this.erase();
      this.#terminal.err(line);
      this.#painted = widthOf(line);
    } else if (this.#text !== this.#shown) {
      this.#terminal.errLine(this.#text);
      this.#shown = this.#text;
    }
  }
}

const elapsed = (ms: number): string => (ms < 60_000 ? `${Math.round(ms / 1000)} s` : duration(ms));
