import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonMistake, pointAt } from '../../src/lib/json-mistake.ts';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('the place of a mistake in JSON', () => {
  it.each([
    ['[1, 2', 1, 6, 'still open'],
    ['[1,]', 1, 4, 'no comma before the end'],
    ["['a']", 1, 2, 'double quotes'],
    ['[True]', 1, 2, 'JSON writes true'],
    ['[1 2]', 1, 4, 'a , or'],
    ['{a: 1}', 1, 2, 'double quotes'],
    ['{"a" 1}', 1, 6, 'a : is missing'],
    ['[1,\n 2,\n x]', 3, 2, 'not JSON'],
    ['[01]', 1, 2, 'not a number'],
    ['["\\x41"]', 1, 3, 'no such escape'],
    ['[1] 2', 1, 5, 'more text'],
    ['', 1, 1, 'no JSON'],
    ['[}', 1, 2, 'value or ]'],
    ['"ab', 1, 1, 'does not end'],
  ])('%j is wrong at line %d, column %d', (text, line, column, what) => {
    expect(findJsonMistake(text)).toMatchObject({ line, column, what: expect.stringContaining(what) as string });
  });

  it('agrees with JSON.parse about every text near JSON', () => {
    const near = fc.array(fc.constantFrom('[', ']', '{', '}', ',', ':', '"', '"a"', '1', '-', '.', 'e', 'true', 'nul', ' ', '\\', '\\u12', '\n', '0'), { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(fc.property(fc.oneof(near, fc.json()), (text) => (findJsonMistake(text) === undefined) === parses(text)), { numRuns: 3000 });
  });

  it('survives a nesting that would exhaust the stack', () => {
    expect(findJsonMistake('['.repeat(200_000))).toMatchObject({ column: 200_001 });
  });

  it('points under the mistake, also far into a long line', () => {
    const text = `[${'1, '.repeat(100)}x]`;
    const [line, caret] = pointAt(text, findJsonMistake(text)!, 40);
    expect(line!.length).toBeLessThanOrEqual(40);
    expect(line![caret!.length - 1]).toBe('x');
  });
});
