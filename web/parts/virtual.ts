/**
 * Scrolling through more rows than a browser can make tall: they stop at some 17 million pixels.
 *
 * Owns: where the window stands in the whole list. Above the height that is safe, the bar is scaled, and the
 * wheel and the keys move by rows all the same.
 */
const heightMax = 8_000_000;

export interface Window {
  /** Pixels from the top of the whole list. */
  top: number;
  /** What the scroll bar is told. */
  height: number;
  /** Whole pixels of the list for one of the bar. */
  scale: number;
}

export function windowOf(rows: number, rowHeight: number, viewHeight: number, scrollTop: number): Window {
  const full = rows * rowHeight;
  if (full <= heightMax) return { top: Math.max(0, Math.min(scrollTop, full - viewHeight)), height: full, scale: 1 };
  const scale = (full - viewHeight) / (heightMax - viewHeight);
  return { top: scrollTop * scale, height: heightMax, scale };
}
