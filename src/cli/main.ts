/**
 * The command `potluck`: carries out one command line and ends with its exit status.
 *
 * Invariant: the process ends only after both streams are flushed.
 */
import { version } from '../version.ts';
import { errorJson, errorLines, shownOf, statusOf } from './errors.ts';
import { Terminal } from './terminal.ts';

async function main(argv: readonly string[]): Promise<number> {
  const terminal = new Terminal(process.stdout, process.stderr, process.env).start();
  const status = await run(argv, terminal);
  await terminal.flush();
  return status;
}

async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    terminal.out(`${version}\n`);
    return 0;
  }
  try {
    const { runCommand } = await import('./program.ts');
    return await runCommand(argv, terminal);
  } catch (error) {
    const shown = shownOf(error);
    if (wantsJson(argv)) terminal.out(`${errorJson(shown)}\n`);
    else for (const line of errorLines(shown, (text) => terminal.red(text))) terminal.errLine(line);
    return statusOf(error);
  }
}

/** Whatever else is wrong with the command line, who typed --json reads JSON. */
const wantsJson = (argv: readonly string[]): boolean => argv.includes('--json');

process.exit(await main(process.argv.slice(2)));
