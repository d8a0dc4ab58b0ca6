/**
 * Tables that fit.
 *
 * Owns: which columns are shown and how wide. If the least needed columns do not suffice to make it
 * fit, every row becomes a few lines: its first column, then the others indented.
 */
import { cleanLine, cut, flow, padEnd, padStart, widthOf } from './text.ts';

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  /** Columns with the highest figure go first; those without one stay. */
  drop?: number;
  right?: boolean;
  /** May be cut down to this many columns. */
  min?: number;
}

const GAP = '  ';

/**
 * @param width columns of the terminal; 0: no limit
 * @param bold how to write the titles
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number, bold: (text: string) => string = (text) => text): string[] {
  const cells = columns.map((column) => ({ column, texts: rows.map((row) => cleanLine(column.value(row))) }));
  // A column in which nobody has anything to say is not shown.
  const spoken = cells.filter(({ column, texts }) => column.drop === undefined || texts.some((text) => text !== '' && text !== '-'));
  const shown = width > 0 ? withoutLeastNeeded(spoken, width) : spoken;
  const widths = width > 0 ? squeeze(shown, natural(shown), width) : natural(shown);
  if (width > 0 && total(widths) > width) return stacked(cells, rows.length, width);
  const line = (texts: string[]) => texts.map((text, at) => pad(shown[at]!.column, cut(text, widths[at]!), widths[at]!)).join(GAP).trimEnd();
  return [bold(line(shown.map(({ column }) => column.title))), ...rows.map((_, row) => line(shown.map(({ texts }) => texts[row]!)))];
}

interface Cells<Row> {
  column: Column<Row>;
  texts: string[];
}

const natural = <Row>(shown: Cells<Row>[]): number[] => shown.map(({ column, texts }) => texts.reduce((most, text) => Math.max(most, widthOf(text)), widthOf(column.title)));
const total = (widths: number[]): number => widths.reduce((sum, width) => sum + width, 0) + GAP.length * Math.max(0, widths.length - 1);
const pad = <Row>(column: Column<Row>, text: string, width: number): string => (column.right === true ? padStart(text, width) : padEnd(text, width));

/** The columns that are left when the least needed have gone until the rest fits, or none can go. */
function withoutLeastNeeded<Row>(shown: Cells<Row>[], width: number): Cells<Row>[] {
  if (total(natural(shown)) <= width) return shown;
  const [least] = shown.filter(({ column }) => column.drop !== undefined).toSorted((a, b) => b.column.drop! - a.column.drop!);
  return least === undefined ? shown : withoutLeastNeeded(shown.filter((cell) => cell !== least), width);
}

/** Cuts those columns that may be cut, the last first. */
function squeeze<Row>(shown: Cells<Row>[], widths: number[], width: number): number[] {
  const squeezed = [...widths];
  for (let at = shown.length - 1; at >= 0; at -= 1) {
    const over = total(squeezed) - width;
    const min = shown[at]!.column.min;
    if (over > 0 && min !== undefined) squeezed[at] = Math.max(Math.min(min, squeezed[at]!), squeezed[at]! - over);
  }
  return squeezed;
}

function stacked<Row>(cells: Cells<Row>[], rowCount: number, width: number): string[] {
  const [first, ...others] = cells;
  const lines: string[] = [];
  for (let row = 0; row < rowCount; row += 1) {
    lines.push(cut(first!.texts[row]!, width));
    const parts = others.filter(({ texts }) => texts[row] !== '' && texts[row] !== '-').map(({ column, texts }) => cut(`${column.title.toLowerCase()} ${texts[row]!}`, width - GAP.length));
    lines.push(...flow(parts, width - GAP.length, ', ').map((line) => GAP + line));
  }
  return lines;
}
