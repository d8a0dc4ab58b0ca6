/** How errors are shown, and which exit status they make. */
import { PotluckError, causeText, exit, exitStatusOf } from '../errors.ts';
import { clean, cleanLine } from './text.ts';

/** What all errors have in common once they are to be shown. */
export interface Shown {
  code: string;
  what: string;
  why: string | undefined;
  fix: string | undefined;
}

export function shownOf(error: unknown): Shown {
  if (error instanceof PotluckError) return { code: error.code, what: error.message, why: error.why, fix: error.fix };
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : undefined;
  return { code: 'internal', what: `potluck itself failed: ${causeText(error)}`, why: stack, fix: 'please report this with the lines above' };
}

export const statusOf = (error: unknown): number => (error instanceof PotluckError ? exitStatusOf(error.code) : exit.failed);

/** Three lines: what, why, what to do. A why of several lines goes on, indented. */
export function errorLines({ what, why, fix }: Shown, red: (text: string) => string = (text) => text): string[] {
  const lines = [`${red('error:')} ${cleanLine(what)}`];
  if (why !== undefined && why !== '') lines.push(...hanging('  why: ', clean(why)));
  if (fix !== undefined && fix !== '') lines.push(...hanging('  fix: ', clean(fix)));
  return lines;
}

const hanging = (label: string, text: string): string[] => text.split('\n').map((line, at) => (at === 0 ? label : ' '.repeat(label.length)) + line);

/** The document for `--json`. */
export function errorJson({ code, what, why, fix }: Shown): string {
  const message = why === undefined || code === 'internal' ? what : `${what}: ${why}`;
  return JSON.stringify({ error: { code, message, hint: fix ?? null } });
}
