/**
 * Text on a terminal: how wide it is, and what of it may get there.
 *
 * Invariant: what a peer, a program or a file said passes `clean` before it is shown: it can move no
 * cursor, set no title and look like nothing that potluck says.
 */

export { clean, cleanLine } from '../lib/clean-text.ts';

/** Combining marks, joiners and variation selectors take no column of their own. */
const narrow = /^(?:\p{Mn}|\p{Me}|\p{Cf})$/u;
/** East Asian wide and fullwidth ranges, and pictographs. */
const wide = /^[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]$/u;

const charWidth = (char: string): number => (narrow.test(char) ? 0 : wide.test(char) ? 2 : 1);

/** Columns that a text takes. */
export function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += charWidth(char);
  return width;
}

/** The text in at most `width` columns; what is cut ends with an ellipsis. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return '';
  let kept = '';
  let used = 0;
  for (const char of text) {
    if (used + charWidth(char) > width - 1) break;
    kept += char;
    used += charWidth(char);
  }
  return `${kept}…`;
}

export const padEnd = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - widthOf(text)));
export const padStart = (text: string, width: number): string => ' '.repeat(Math.max(0, width - widthOf(text))) + text;

/** Puts parts one after another, `gap` between them, on as many lines as it takes; width 0 is no limit. */
export function flow(parts: readonly string[], width: number, gap = '   '): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && (width <= 0 || widthOf(last) + gap.length + widthOf(part) <= width)) lines[lines.length - 1] = last + gap + part;
    else lines.push(part);
  }
  return lines;
}

/** A sentence on as many lines as it takes; width 0 is no limit. */
export const wrap = (text: string, width: number): string[] => flow(text.split(' '), width, ' ');

/** What stands for output that was not kept or not told. */
export const droppedText = (bytes: number): string => `… ${bytes} bytes dropped …`;
