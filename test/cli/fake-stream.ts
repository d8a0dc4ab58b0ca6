/** A stream of a terminal or pipe that keeps what is written to it. */
import type { Stream } from '../../src/cli/terminal.ts';
import { Terminal } from '../../src/cli/terminal.ts';

export class FakeStream implements Stream {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly #parts: Buffer[] = [];

  constructor(columns?: number) {
    this.isTTY = columns !== undefined;
    this.columns = columns ?? 0;
  }

  write(chunk: string | Uint8Array, written?: (error?: Error | null) => void): boolean {
    this.#parts.push(Buffer.from(chunk as string));
    written?.();
    return true;
  }

  on(): this {
    return this;
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString();
  }
}

/** @param columns of a terminal; undefined: a pipe */
export function fakeTerminal(columns?: number, env: Record<string, string> = {}): { terminal: Terminal; out: FakeStream; err: FakeStream } {
  const [out, err] = [new FakeStream(columns), new FakeStream(columns)];
  return { terminal: new Terminal(out, err, env).start(), out, err };
}
