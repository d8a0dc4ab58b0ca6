/** The flags that every command of a client shares. */
import type { Command } from 'commander';

export const withAddress = (command: Command): Command =>
  command
    .option('--host <host>', 'the peer to talk to (default: 127.0.0.1)')
    .option('--port <port>', 'its port (default: 9000)')
    .option('--json', 'print one JSON document, on standard output')
    .option('-q, --quiet', 'say nothing but the result and errors');

export const withProgress = (command: Command): Command => command.option('--no-progress', 'do not say what is being waited for');

/** Examples under the help of a command. */
export const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
