/**
 * The two streams of a command and what they can show.
 *
 * Invariants
 * 1. stdout carries results and nothing else; everything said to a person goes to stderr, except the
 *    tables and texts that were asked for.
 * 2. Before the process ends both streams are flushed: a result arrives whole, however slow its reader.
 * 3. A reader that went away (EPIPE) is no error; what is written for it is dropped.
 */

export interface Stream {
  write(chunk: string | Uint8Array, written?: (error?: Error | null) => void): boolean;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A terminal that does not say how wide it is gets this many columns. */
const COLUMNS = 80;

export class Terminal {
  readonly #out: Stream;
  readonly #err: Stream;
  readonly #env: Environment;
  readonly #gone = new Set<Stream>();

  constructor(out: Stream, err: Stream, env: Environment) {
    this.#out = out;
    this.#err = err;
    this.#env = env;
  }

  /** Listens for readers that go away. */
  start(): this {
    for (const stream of [this.#out, this.#err]) {
      stream.on('error', (error) => {
        if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error;
        this.#gone.add(stream);
      });
    }
    return this;
  }

  /** Writes to stdout as it is. */
  out(chunk: string | Uint8Array): void {
    this.#write(this.#out, chunk);
  }

  /** Writes to stderr as it is. */
  err(chunk: string | Uint8Array): void {
    this.#write(this.#err, chunk);
  }

  outLines(lines: readonly string[]): void {
    if (lines.length > 0) this.out(`${lines.join('\n')}\n`);
  }

  errLine(line: string): void {
    this.err(`${line}\n`);
  }

  /** Columns of stdout; 0: no limit, it is not a terminal. */
  get outWidth(): number {
    return this.#widthOf(this.#out);
  }

  get errWidth(): number {
    return this.#widthOf(this.#err);
  }

  get outIsTerminal(): boolean {
    return this.#out.isTTY === true;
  }

  get errIsTerminal(): boolean {
    return this.#err.isTTY === true;
  }

  /** Whether a line of stderr can be painted over. */
  get canRepaint(): boolean {
    return this.errIsTerminal && this.#env.TERM !== 'dumb';
  }

  /** Colours on stdout. */
  get color(): boolean {
    return this.#colorOn(this.#out);
  }

  bold(text: string): string {
    return this.color ? `\u001b[1m${text}\u001b[22m` : text;
  }

  /** For stderr. */
  red(text: string): string {
    return this.#colorOn(this.#err) ? `\u001b[31m${text}\u001b[39m` : text;
  }

  /** For stderr. */
  dim(text: string): string {
    return this.#colorOn(this.#err) ? `\u001b[2m${text}\u001b[22m` : text;
  }

  /** Resolves when everything written has left this process, or its reader has gone. */
  async flush(): Promise<void> {
    await Promise.all([this.#out, this.#err].map((stream) => this.#drained(stream)));
  }

  #write(stream: Stream, chunk: string | Uint8Array): void {
    if (!this.#gone.has(stream)) stream.write(chunk);
  }

  #drained(stream: Stream): Promise<void> {
    if (this.#gone.has(stream)) return Promise.resolve();
    return new Promise((resolve) => {
      stream.on('error', () => resolve());
      stream.write('', () => resolve());
    });
  }

  #widthOf(stream: Stream): number {
    if (stream.isTTY === true) return stream.columns === undefined || stream.columns <= 0 ? COLUMNS : stream.columns;
    const asked = Number(this.#env.COLUMNS);
    return Number.isInteger(asked) && asked > 0 ? asked : 0;
  }

  #colorOn(stream: Stream): boolean {
    return stream.isTTY === true && (this.#env.NO_COLOR ?? '') === '' && this.#env.TERM !== 'dumb';
  }
}
