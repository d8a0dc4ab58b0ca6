/** How errors are shown, and which exit status they make. */
import { PotluckError, catalogue, causeText, exit, exitStatusOf, type ErrorCode } from '../errors.ts';
import { clean, cleanLine } from './text.ts';

/** What all errors have in common once they are to be shown. */
export interface Shown {
  code: string;
  what: string;
  /** For people always; if nobody said more, what the catalogue says of the code. */
  why: string | undefined;
  fix: string | undefined;
  /** What and why in one, for `--json`. */
  message: string;
}

export function shownOf(error: unknown): Shown {
  if (error instanceof PotluckError) return { code: error.code, what: error.message, why: error.why ?? summaryOf(error.code), fix: error.fix ?? fixOf(error.code), message: error.toProblem().message };
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : undefined;
  const what = `potluck itself failed: ${causeText(error)}`;
  return { code: 'internal', what, why: stack, fix: 'please report this with the lines above', message: what };
}

/** The catalogue's sentence, in the form of a line of an error. */
const summaryOf = (code: ErrorCode): string => {
  const { summary } = catalogue[code];
  return summary[0]!.toLowerCase() + summary.slice(1).replace(/\.$/, '');
};

const fixOf = (code: ErrorCode): string => (catalogue[code].retry ? 'try again in a moment' : `the reference of errors says more about ${code}`);

export const statusOf = (error: unknown): number => (error instanceof PotluckError ? exitStatusOf(error.code) : exit.failed);

/** Three lines: what, why, what to do. A why of several lines goes on, indented. */
export function errorLines({ what, why, fix }: Omit<Shown, 'message'>, red: (text: string) => string = (text) => text): string[] {
  const lines = [`${red('error:')} ${cleanLine(what)}`];
  if (why !== undefined && why !== '') lines.push(...hanging('  why: ', clean(why)));
  if (fix !== undefined && fix !== '') lines.push(...hanging('  fix: ', clean(fix)));
  return lines;
}

const hanging = (label: string, text: string): string[] => text.split('\n').map((line, at) => (at === 0 ? label : ' '.repeat(label.length)) + line);

/** The document for `--json`. */
export const errorJson = ({ code, message, fix }: Shown): string => JSON.stringify({ error: { code, message, hint: fix ?? null } });
