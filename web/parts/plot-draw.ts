/** Draws lines with uPlot; loaded when the overview is looked at. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

interface Drawn {
  name: string;
  tone: string;
  dashed?: boolean;
}

/** @param onCursor told the index of the point under the pointer, or undefined */
export function draw(holder: HTMLElement, lines: readonly Drawn[], onCursor: (at: number | undefined) => void): uPlot {
  const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const tones: Record<string, () => string> = { ink: () => color('--control'), run: () => color('--run'), fail: () => color('--fail'), done: () => color('--done') };
  const axis: uPlot.Axis = { stroke: () => color('--muted'), font: '12px system-ui, sans-serif', grid: { stroke: () => color('--line'), width: 1 }, ticks: { show: false } };
  return new uPlot(
    {
      width: holder.clientWidth || 300,
      height: 148,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { setScale: false } },
      scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.1)] } },
      axes: [
        { ...axis, values: '{HH}:{mm}', incrs: [60, 120, 300, 600], space: 60, size: 24, gap: 4 },
        { ...axis, size: 40, gap: 4, space: 28 },
      ],
      series: [{}, ...lines.map(({ tone, dashed }) => ({ stroke: tones[tone] ?? 'currentColor', width: 1.5, points: { show: false }, ...(dashed === true ? { dash: [4, 4] } : {}) }))],
      hooks: { setCursor: [(plot) => onCursor(plot.cursor.idx ?? undefined)] },
    },
    [[], ...lines.map(() => [])],
    holder,
  );
}
