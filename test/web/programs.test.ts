/** What the page says of a program and of JSON before anything is sent. */
import { describe, expect, it } from 'vitest';
import { commandLine } from '../../web/parts/cli.ts';
import { functionsOf, jsonMistake } from '../../web/parts/programs.ts';

describe('functions', () => {
  it('of Python are those at the top level', () => {
    expect(functionsOf('def main(x):\n  def inner(): pass\nasync def later(): pass\ndef _own(): pass\nclass A:\n  def m(self): pass', 'python')).toEqual(['main', 'later']);
  });

  it('of JavaScript also when they are arrows', () => {
    expect(functionsOf('export async function main() {}\nconst add = (a, b) => a + b;\nexport const one = x => x;\nlet n = 5;', 'javascript')).toEqual(['main', 'add', 'one']);
  });
});

describe('JSON', () => {
  it('that is fine is left alone, however long its numbers are', () => {
    expect(jsonMistake('[3544790567247868102]', 'array')).toBeUndefined();
  });

  it('with a mistake is shown with its place', () => {
    const mistake = jsonMistake('[1,\n 2,, 3]', 'array');
    expect(mistake?.text).toMatch(/^line 2, column 4: .*missing/);
    expect(mistake?.lines.at(-1)?.trim()).toBe('^');
  });

  it('that ends too early is shown at its end', () => {
    expect(jsonMistake('[1, 2', 'array')?.text).toMatch(/^line 1, column 6: /);
  });

  it('of another shape says which is wanted', () => {
    expect(jsonMistake('{"a": 1}', 'array')?.text).toContain('a list is wanted');
  });
});

it('the command line is one that a shell reads as it was meant', () => {
  const line = commandLine({ program: "def main(x): return 'it''s'", language: 'python', function: 'main', args: '["a b"]', kwargs: '', options: { timeoutMs: 1500, once: true } }, 9001);
  expect(line).toBe(`potluck cpu --port 9001 --program 'def main(x): return '\\''it'\\'''\\''s'\\''' --args '["a b"]' --timeout 1.5 --once`);
});
