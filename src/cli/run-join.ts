/** What `potluck join` does. The invitation is a secret: nothing here repeats it. */
import { homeFolderOf } from '../config.ts';
import { exit } from '../errors.ts';
import { hostAndPort } from '../lib/hosts.ts';
import type { Joined } from '../main/join.ts';
import type { Context } from './context.ts';
import { cleanLine } from './text.ts';
import { fileText, usage } from './values.ts';

interface JoinFlags {
  file?: string;
  json?: boolean;
}

export async function runJoin(context: Context<JoinFlags>): Promise<number> {
  const { terminal, flags } = context;
  const pasted = invitationOf(context);
  const { joinPool } = await import('../main/join.ts');
  const joined = await joinPool(pasted, homeFolderOf(process.env), (addresses) => {
    if (flags.json !== true && terminal.errIsTerminal) terminal.errLine(`asking the tracker at ${addresses.map(({ host, port }) => hostAndPort(host, port)).join(' or ')} …`);
  });
  if (flags.json === true) terminal.out(`${joinedJson(joined)}\n`);
  else terminal.outLines(joinedLines(joined));
  return exit.done;
}

function invitationOf({ args, flags }: Context<JoinFlags>): string {
  const [typed] = args;
  if (typed !== undefined && flags.file !== undefined) throw usage('there are two invitations', 'one is typed, and --file names another', 'leave one of them out');
  if (flags.file?.startsWith('pl1-') === true) throw usage('--file takes the name of a file', 'what was given is an invitation itself', 'leave out --file: potluck join pl1-…');
  if (flags.file !== undefined) return fileText('--file', flags.file);
  if (typed === '-') return fileText('join -', '-');
  if (typed !== undefined) return typed;
  throw usage('no invitation was given', 'joining needs the line that the tracker\'s machine prints', 'type "potluck invite" on the machine of the tracker, and here the line that it prints');
}

export function joinedLines({ pool, poolName, name, role, tracker, already }: Joined): string[] {
  const as = `${cleanLine(name)} (${role})`;
  const first = already ? `this machine is in ${cleanLine(poolName)} already, as ${as}; nothing was changed` : `joined ${cleanLine(poolName)} as ${as}`;
  const next = role === 'runner' ? ['next: potluck peer          runs tasks of the others'] : ['next: potluck peer          takes tasks, and runs those of the others', '      potluck members       shows who belongs to the pool'];
  return [first, `its tracker is at ${hostAndPort(tracker.host, tracker.port)}, and the pool's key begins with ${pool.slice(0, 12)}`, ...next];
}

const joinedJson = ({ pool, poolName, name, role, tracker, already }: Joined): string => JSON.stringify({ pool, pool_name: poolName, name, role, tracker, already });
