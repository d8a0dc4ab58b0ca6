/**
 * Text that others said, made fit to be shown.
 *
 * Invariant: what passed `clean` can move no cursor, set no title, and turn no line around.
 */

const escape = String.fromCodePoint(0x1b);
const csi = String.fromCodePoint(0x9b);
const stringTerminator = String.fromCodePoint(0x9c);
const bell = String.fromCodePoint(0x07);
/** Control sequences as a whole (CSI, OSC and its kin, two-character ones), so that no rest of them stays. */
const sequences = new RegExp(
  `(?:${escape}\\[|${csi})[0-?]*[ -/]*[@-~]|${escape}[\\]PX^_][^${bell}${escape}${stringTerminator}]*(?:${bell}|${escape}\\\\|${stringTerminator})?|${escape}[ -/]*[0-~]?`,
  'g',
);
/** C0 but tab and newline, DEL, C1, and what reorders text. */
const controls = /[^\P{Cc}\t\n]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Text without control codes; newlines and tabs stay. */
export const clean = (text: string): string => text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').replace(sequences, '').replace(controls, '');

/** As `clean`, on one line. */
export const cleanLine = (text: string): string => clean(text).replaceAll(/\s*\n\s*/g, ' ').replaceAll('\t', ' ');
