/** Programs that leave traces, for tests that must know what really ran and how often. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Appends a line in one write, so that lines of processes that run at once do not mix. */
const NOTE = `
import os, time

def note(path, line):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, (line + "\\n").encode())
    os.close(fd)
`;

/** `main(notes, name)`: notes that it runs; gives its process id. */
export const noting = `${NOTE}
def main(notes, name):
    note(notes, name)
    return os.getpid()
`;

/** `main(notes, name, gate)`: notes `name`, waits until the file `gate` exists, notes `name ended`; gives `name`. */
export const gated = `${NOTE}
def main(notes, name, gate):
    note(notes, name)
    while not os.path.exists(gate):
        time.sleep(0.02)
    note(notes, name + " ended")
    return name
`;

/** `main(seconds)`: sleeps. */
export const sleeping = 'import time\ndef main(seconds): time.sleep(seconds)';

/** A file to which tasks write lines, and gates for which they wait. */
export class Notes {
  readonly path: string;
  readonly #folder: string;

  constructor(folder: string, name = 'notes') {
    this.#folder = folder;
    this.path = join(folder, name);
  }

  lines(): string[] {
    return existsSync(this.path) ? readFileSync(this.path, 'utf8').split('\n').slice(0, -1) : [];
  }

  /** How often a line was written. */
  count(line: string): number {
    return this.lines().filter((found) => found === line).length;
  }

  /** The path of a gate, closed until `open`. */
  gate(name: string): string {
    return join(this.#folder, `gate-${name}`);
  }

  open(name: string): void {
    writeFileSync(this.gate(name), '');
  }
}
