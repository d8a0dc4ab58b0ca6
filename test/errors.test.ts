import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { catalogue, exit, exitStatusOf, isErrorCode, PotluckError, type ErrorCode } from '../src/errors.ts';

const reference = readFileSync(new URL('../docs/reference/errors.md', import.meta.url), 'utf8');

interface Row {
  code: string;
  who: string;
  exit: number;
  retry: boolean;
  summary: string;
}

/** Rows of the reference's tables: | `code` | who | exit | again | what | */
const rows: Row[] = [...reference.matchAll(/^\| `(\w+)` \| (\w+) \| (\d) \| (yes|no) \| (.+) \|$/gm)].map(([, code, who, status, retry, summary]) => ({
  code: code!,
  who: who!,
  exit: Number(status),
  retry: retry === 'yes',
  summary: summary!,
}));

describe('the reference of errors', () => {
  it('names every error once, and no other', () => {
    expect(rows.map(({ code }) => code).toSorted()).toEqual(Object.keys(catalogue).toSorted());
  });

  it.each(rows)('says of $code what the catalogue says', ({ code, ...said }) => {
    expect(said).toEqual(catalogue[code as ErrorCode]);
  });

  it('names every exit status', () => {
    const documented = [...reference.matchAll(/^\| (\d) \| /gm)].map(([, status]) => Number(status));
    expect(documented).toEqual(Object.values(exit));
  });
});

describe('an error', () => {
  it('travels as code, message and hint', () => {
    expect(new PotluckError('draining', 'going down', { why: 'told to', fix: 'ask another' }).toProblem()).toEqual({ code: 'draining', message: 'going down: told to', hint: 'ask another' });
    expect(new PotluckError('draining', 'going down').toProblem()).toEqual({ code: 'draining', message: 'going down' });
  });

  it('of a code that this version does not know is a failure', () => {
    expect(exitStatusOf('made_up')).toBe(exit.failed);
    expect(isErrorCode('toString')).toBe(false);
  });
});
