/** The tree of commands, and what is said when what was typed is not in it. */
import { Command, CommanderError } from 'commander';
import { PotluckError } from '../errors.ts';
import { nearest } from '../lib/nearest.ts';
import { version } from '../version.ts';
import { addClient, addClientCommands } from './commands/client.ts';
import { examples } from './commands/client-flags.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addInvite } from './commands/invite.ts';
import { addJoin } from './commands/join.ts';
import { addJournal } from './commands/journal.ts';
import { addAudit, addMembers, addRevoke } from './commands/members.ts';
import { addPage } from './commands/page.ts';
import { addPeer } from './commands/peer.ts';
import { addTracker } from './commands/tracker.ts';
import { addUp } from './commands/up.ts';
import { makeStart } from './context.ts';
import type { Terminal } from './terminal.ts';

/**
 * Carries out one command line.
 * @returns the exit status
 * @throws whatever the command throws; wrong use as PotluckError `usage`
 */
export async function runCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  let status = 0;
  const program = makeProgram(terminal, (ended) => {
    status = ended;
  });
  if (argv.length === 0) {
    program.outputHelp();
    return 0;
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    throw usageError(error, program, argv);
  }
  return status;
}

export function makeProgram(terminal: Terminal, ended: (status: number) => void): Command {
  const program = new Command('potluck')
    .description('Pools the computers you already have, and runs a function on whichever is least busy.')
    .version(version, '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError(false)
    .addHelpText('after', examples('potluck up', 'potluck cpu --program "def main(x): return x * x" --args "[5]"', 'potluck status', 'potluck COMMAND --help'));
  const start = makeStart(terminal, ended);
  addUp(program, start);
  addDown(program, start);
  addTracker(program, start);
  addPeer(program, start);
  addInvite(program, start);
  addJoin(program, start);
  addMembers(program, start);
  addRevoke(program, start);
  addAudit(program, start);
  addClientCommands(program, start);
  addDoctor(program, start);
  addPage(program, start);
  addJournal(program, start);
  addClient(program, start);
  for (const command of everyCommand(program)) prepare(command, terminal);
  return program;
}

function prepare(command: Command, terminal: Terminal): void {
  command.exitOverride();
  command.showSuggestionAfterError(false);
  command.configureOutput({
    writeOut: (text) => terminal.out(text),
    writeErr: (text) => terminal.out(text),
    outputError: () => undefined,
    getOutHelpWidth: () => terminal.outWidth || 80,
    getErrHelpWidth: () => terminal.outWidth || 80,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  if (command.commands.length === 0) return;
  command.enablePositionalOptions();
  // A group without one of its commands is asked for help; an unknown command is an error.
  command.action(() => {
    const [typed] = command.args;
    if (typed === undefined) command.outputHelp();
    else throw typed.startsWith('-') ? unknownFlag(typed, command) : unknownCommand(typed, command);
  });
  // Also beside flags of a command that does not exist, the command is the mistake.
  command.allowExcessArguments().allowUnknownOption();
  command.helpCommand(command.parent === null);
}

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap((child) => everyCommand(child))];

function unknownCommand(typed: string, command: Command): PotluckError {
  // An invitation is a secret, and is repeated nowhere.
  if (typed.startsWith('pl1-')) return new PotluckError('usage', 'an invitation is no command', { why: 'it is what the command join takes', fix: 'type the whole line that was printed: potluck join pl1-…' });
  const names = command.commands.map((child) => child.name());
  const near = nearest(typed, names);
  const path = pathOf(command);
  return new PotluckError('usage', `${path} has no command ${typed}`, {
    why: `it has ${names.join(', ')}`,
    fix: near === undefined ? `see ${path} --help` : `did you mean ${path} ${near}?`,
  });
}

const pathOf = (command: Command): string => (command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`);

function unknownFlag(typed: string, command: Command): PotluckError {
  const path = pathOf(command);
  const flags = command.options.filter(({ hidden }) => !hidden).map(({ long }) => long).filter((long) => typeof long === 'string');
  const near = nearest(typed, flags);
  return new PotluckError('usage', `${path} has no flag ${typed}`, {
    why: 'it is not one of those that it knows',
    fix: near === undefined ? `see ${path} --help` : `did you mean ${near}?`,
  });
}

/** What the parser says, in our form: what, why, what to do. */
function usageError(error: CommanderError, program: Command, argv: readonly string[]): PotluckError {
  const command = commandOf(program, argv);
  const path = pathOf(command);
  const what = error.message.replace(/^error: /, '').split('\n')[0]!;
  const flag = /unknown option '([^'=]+)/.exec(what)?.[1];
  if (flag !== undefined) return unknownFlag(flag, command);
  return new PotluckError('usage', what, { why: `that is not how ${path} is used`, fix: `see ${path} --help` });
}

/** The command that was typed, as far as it exists. */
function commandOf(program: Command, argv: readonly string[]): Command {
  let command = program;
  for (const word of argv) {
    const child = command.commands.find((each) => each.name() === word);
    if (child !== undefined) command = child;
    if (command !== program && command.commands.length === 0) break;
  }
  return command;
}
