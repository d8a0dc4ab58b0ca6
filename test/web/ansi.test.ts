/** Output as a terminal would show it, and nothing that it could do. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Terminal } from '../../web/parts/ansi.ts';

const shown = (...pieces: string[]): string[] => {
  const terminal = new Terminal();
  for (const piece of pieces) terminal.write(piece);
  terminal.end();
  return terminal.lines.map(({ text }) => text);
};

describe('a stream of output', () => {
  it.each<[string, string[], string[]]>([
    ['lines', ['a\nb\n'], ['a', 'b']],
    ['a last line without an end', ['a\nb'], ['a', 'b']],
    ['a progress bar writes over itself', ['10 %\r20 %\r100 %\n'], ['100 %']],
    ['a shorter text over a longer one leaves the rest, as a terminal does', ['abcdef\rxy\n'], ['xycdef']],
    ['erase to the end of the line', ['abcdef\rxy\u001b[K\n'], ['xy']],
    ['a sequence that comes in two pieces', ['\u001b[3', '1mred\u001b[0m\n'], ['red']],
    ['a title and a link for the terminal are not shown', ['\u001b]0;title\u0007a\u001b]8;;http://evil\u001b\\b\n'], ['ab']],
    ['moving the cursor and clearing the screen do nothing', ['a\u001b[2J\u001b[10;10Hb\u001bc\n'], ['ab']],
    ['characters that are not seen are shown as being there', ['a\u0007\u202eb\u200b\n'], ['a\ufffd\ufffdb\ufffd']],
    ['backspace', ['ab\bc\n'], ['ac']],
  ])('%s', (_what, pieces, lines) => {
    expect(shown(...pieces)).toEqual(lines);
  });

  it('has colours as names from a closed list', () => {
    const terminal = new Terminal();
    terminal.write('\u001b[1;31;44mA\u001b[38;5;46mB\u001b[48;2;255;0;0mC\u001b[0mD\n');
    expect(terminal.lines[0]?.spans).toEqual([
      { text: 'A', classes: 'a1 c1 b4' },
      { text: 'B', classes: 'a1 c2 b4' },
      { text: 'C', classes: 'a1 c2 b1' },
      { text: 'D', classes: '' },
    ]);
  });

  it('whatever comes: the same however it was cut, and no class beyond the list', () => {
    const piece = fc.oneof(fc.string(), fc.constantFrom('\u001b[', '\u001b]', '31;7m', '38;5;300m', '\r', '\n', '\b', '\u001b', 'K', '2K', '\u0007', ';;;', '999999999m'));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const terminal = new Terminal();
        for (const each of pieces) terminal.write(each);
        terminal.end();
        for (const { spans } of terminal.lines) for (const { classes } of spans) expect(classes).toMatch(/^((a[12349]|[cb](1[0-5]|\d))( |$))*$/);
      }),
    );
  });

  it('a sequence that never ends does not hold what follows', () => {
    const terminal = new Terminal();
    terminal.write(`\u001b]${'x'.repeat(200)}`);
    terminal.write('\nafter\n');
    expect(terminal.lines.at(-1)?.text).toBe('after');
  });
});
