/** The interpreters of this machine. One that was named must run; one that was not is done without. */
import { causeText, PotluckError } from '../errors.ts';
import { type Interpreter, probeInterpreter } from '../sandbox/interpreters.ts';
import type { Language } from '../wire/index.ts';

export interface WithoutInterpreter {
  readonly language: Language;
  readonly why: string;
}

/**
 * @param named paths that the owner gave; null: what is found
 * @throws PotluckError `interpreter_missing` for a named one
 */
export async function findInterpreters(named: { python: string | null; node: string | null }): Promise<{ interpreters: Interpreter[]; without: WithoutInterpreter[] }> {
  const found = await Promise.all([look('python', 'python', named.python), look('javascript', 'node', named.node)]);
  return {
    interpreters: found.filter((each) => 'path' in each),
    without: found.filter((each) => 'why' in each),
  };
}

async function look(language: Language, flag: string, named: string | null): Promise<Interpreter | WithoutInterpreter> {
  try {
    return await probeInterpreter(language, named ?? undefined);
  } catch (error) {
    const why = causeText(error);
    if (named === null) return { language, why };
    throw new PotluckError('interpreter_missing', `${named} cannot run ${language}`, { why, fix: `give another path with --${flag}` });
  }
}
