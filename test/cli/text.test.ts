import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clean, cleanLine, cut, flow, padEnd, padStart, widthOf } from '../../src/cli/text.ts';

const esc = '\u001b';

describe('what may reach a terminal', () => {
  it.each([
    [`${esc}[31mred${esc}[0m`, 'red'],
    [`${esc}]0;title\u0007after`, 'after'],
    [`${esc}]8;;http://x${esc}\\link`, 'link'],
    [`a${esc}[2Jb`, 'ab'],
    ['a\u009b31mb', 'ab'],
    ['a\u0008\u0008b', 'ab'],
    ['50 %\rdone', '50 %\ndone'],
    ['one\r\ntwo\tx', 'one\ntwo\tx'],
    ['abc\u202etxt', 'abctxt'],
    [`${esc}`, ''],
  ])('%j is shown as %j', (text, shown) => {
    expect(clean(text)).toBe(shown);
  });

  it('holds no control code, whatever came', () => {
    const nasty = fc.array(fc.oneof(fc.constantFrom(esc, '[', ']', '\u0007', '\u009b', '\u009d', '\r', '\n', 'm', ';', '0', '\u202e', '\\'), fc.string({ unit: 'binary' }))).map((parts) => parts.join(''));
    fc.assert(
      fc.property(nasty, (text) => {
        expect(clean(text)).not.toMatch(/[^\P{Cc}\t\n]/u);
        expect(cleanLine(text)).not.toMatch(/\p{Cc}/u);
      }),
    );
  });
});

describe('widths', () => {
  it.each([
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['👍', 2],
    ['héllo', 5],
    ['', 0],
  ])('%j takes %d columns', (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  it('never cuts to more than was asked', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, width) => widthOf(cut(text, width)) <= width || width === 0));
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut('日本語', 4)).toBe('日…');
  });

  it('pad by what is seen', () => {
    expect(padEnd('日', 4)).toBe('日  ');
    expect(padStart('日', 4)).toBe('  日');
  });

  it('flow on as many lines as it takes; 0 is no limit', () => {
    expect(flow(['aaa', 'bbb', 'ccc'], 9)).toEqual(['aaa   bbb', 'ccc']);
    expect(flow(['aaa', 'bbb', 'ccc'], 0)).toEqual(['aaa   bbb   ccc']);
    expect(flow(['aaaaaaaaaaaa'], 4)).toEqual(['aaaaaaaaaaaa']);
  });
});
