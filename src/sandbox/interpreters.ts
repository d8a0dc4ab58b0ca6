/**
 * Finding the real interpreters: what `python3` and `node` on the path stand for.
 *
 * A version manager's shim or a wrapper script costs a start and can answer differently in
 * another folder, so the interpreter itself is asked, once, where it is.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { codeOf } from '../lib/system-errors.ts';
import type { Language } from './types.ts';

const run = promisify(execFile);

/** A shim that has to set up its manager takes up to a second; more is broken. */
const PROBE_TIMEOUT_MS = 10_000;
const PYTHON_OLDEST = [3, 8] as const;
const NODE_OLDEST = [20, 0] as const;

export interface Interpreter {
  language: Language;
  /** The executable itself; inside a virtual environment, the environment's. */
  path: string;
  version: string;
  /** What its workers need in their environment, such as where the user's packages are. */
  env: Record<string, string>;
}

/** There is no usable interpreter; the message says what was tried. */
export class InterpreterError extends Error {}

const PYTHON_QUESTION =
  'import json, site, sys; print(json.dumps([sys.executable, "%d.%d.%d" % sys.version_info[:3], site.getuserbase() or ""]))';
const NODE_QUESTION = 'console.log(JSON.stringify([process.execPath, process.versions.node, ""]))';

/**
 * @param path what to try; by default `python3` on the path, or the `node` that runs this.
 * @throws InterpreterError when it cannot be run or is too old
 */
export async function probeInterpreter(language: Language, path?: string): Promise<Interpreter> {
  const command = path ?? (language === 'python' ? 'python3' : process.execPath);
  const question = language === 'python' ? ['-c', PYTHON_QUESTION] : ['-e', NODE_QUESTION];
  const [executable, version, userBase] = await ask(language, command, question);
  const oldest = language === 'python' ? PYTHON_OLDEST : NODE_OLDEST;
  if (!atLeast(version, oldest)) {
    throw new InterpreterError(`${executable} is ${language} ${version}; ${oldest.join('.')} or newer is needed`);
  }
  // The home folder of a worker is its scratch, so the user's own packages are named outright.
  const env: Record<string, string> = userBase === '' ? {} : { PYTHONUSERBASE: userBase };
  return { language, path: executable, version, env };
}

async function ask(language: Language, command: string, question: string[]): Promise<[string, string, string]> {
  const kept = ['PATH', 'HOME', 'PYENV_ROOT', 'PYENV_VERSION', 'ASDF_DIR', 'ASDF_DATA_DIR'];
  const env = Object.fromEntries(kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
  let printed: string;
  try {
    printed = (await run(command, question, { env, timeout: PROBE_TIMEOUT_MS })).stdout;
  } catch (error) {
    throw new InterpreterError(`${language} cannot be run as ${command}: ${reason(error)}`, { cause: error });
  }
  const answer = parsed(printed);
  if (Array.isArray(answer) && answer.length === 3 && answer.every((part) => typeof part === 'string')) {
    return [String(answer[0]), String(answer[1]), String(answer[2])];
  }
  throw new InterpreterError(`${command} does not answer as ${language} does`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // whatever it is, it did not understand the question
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (codeOf(error) === 'ENOENT') return 'no such program';
  return error.message.split('\n').slice(0, 3).join(' ');
}

function atLeast(version: string, oldest: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
}
