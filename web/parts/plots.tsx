/** The last quarter of an hour as lines, with a cursor that the arrow keys move, and as a table. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import type { ApiSample } from '../../src/wire/api.ts';

interface Line {
  name: string;
  tone: 'ink' | 'run' | 'fail' | 'done';
  of: (sample: ApiSample) => number;
  show: (value: number) => string;
  dashed?: boolean;
}

const whole = (value: number): string => String(Math.round(value * 10) / 10);

const load: readonly Line[] = [
  { name: 'busy slots', tone: 'run', of: (sample) => sample[1], show: whole },
  { name: 'slots', tone: 'ink', of: (sample) => sample[2], show: whole, dashed: true },
];
const rate: readonly Line[] = [
  { name: 'tasks ended per second here', tone: 'done', of: (sample) => sample[5], show: whole },
  { name: 'of them failures', tone: 'fail', of: (sample) => sample[6], show: whole },
];

export function Plots({ samples }: { samples: readonly ApiSample[] }) {
  return (
    <section class="plots" aria-label="The last 15 minutes">
      <Plot title="Slots of the pool" lines={load} samples={samples} />
      <Plot title="Throughput" lines={rate} samples={samples} />
      <Minutes samples={samples} />
    </section>
  );
}

/** As long as the samples reach; fewer points than pixels. */
const spanSeconds = 900;
/** A peer that has just started does not show its first minute on the last pixels. */
const spanSecondsMin = 120;

function Plot({ title, lines, samples }: { title: string; lines: readonly Line[]; samples: readonly ApiSample[] }) {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [at, setAt] = useState<number>();
  const last = samples.length - 1;
  const shown = samples[at ?? last] ?? samples[last];

  useEffect(() => {
    let gone = false;
    let observer: ResizeObserver | undefined;
    void import('./plot-draw.ts').then(({ draw }) => {
      if (gone || holder.current === null) return;
      const drawn = draw(holder.current, lines, setAt);
      plot.current = drawn;
      observer = new ResizeObserver(() => drawn.setSize({ width: holder.current?.clientWidth ?? 300, height: 148 }));
      observer.observe(holder.current);
      setAt(undefined);
    });
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
    };
  }, [lines]);

  useEffect(() => {
    const newest = samples[samples.length - 1]?.[0] ?? Math.round(Date.now() / 1000);
    plot.current?.setData([samples.map(([time]) => time), ...lines.map(({ of }) => samples.map(of))], false);
    const span = Math.min(spanSeconds, Math.max(spanSecondsMin, newest - (samples[0]?.[0] ?? newest)));
    plot.current?.setScale('x', { min: newest - span, max: newest });
  });

  const move = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60, Home: -spanSeconds, End: spanSeconds }[event.key];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(last, (at ?? last) + step));
    setAt(to);
    const drawn = plot.current;
    if (drawn !== undefined) drawn.setCursor({ left: drawn.valToPos(samples[to]![0], 'x'), top: 0 });
  };

  return (
    <figure class="stack" style={{ margin: 0 }}>
      <figcaption class="line wide">
        <h2>{title}</h2>
        {lines.map(({ name, tone, of, show }) => (
          <span key={name} class={`key swatch-${tone}`}>
            <i aria-hidden="true" />
            <span class="quiet small">{name} <b>{shown === undefined ? '–' : show(of(shown))}</b></span>
          </span>
        ))}
        <span class="quiet small push">{shown === undefined ? '' : at === undefined ? 'now' : new Date(shown[0] * 1000).toLocaleTimeString('en-GB')}</span>
      </figcaption>
      <div class="plot" ref={holder} tabIndex={0} role="img" aria-label={`${title}, the last 15 minutes; the arrow keys move the cursor; the table below has the same figures`} onKeyDown={move} onBlur={() => setAt(undefined)} />
    </figure>
  );
}

/** One row a minute; the first second of each that is there. */
function Minutes({ samples }: { samples: readonly ApiSample[] }) {
  const [open, setOpen] = useState(false);
  const rows = open ? minutes(samples) : [];
  return (
    <details style={{ gridColumn: '1 / -1' }} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class="quiet small">The same as a table, by the minute</summary>
      <div class="scroll">
        <table>
          <thead><tr><th scope="col">Minute</th><th scope="col" class="num">Busy slots</th><th scope="col" class="num">Slots</th><th scope="col" class="num">CPU here</th><th scope="col" class="num">Waiting here</th><th scope="col" class="num">Ended</th><th scope="col" class="num">Failures</th></tr></thead>
          <tbody>
            {rows.map(({ time, busy, slots, cpu, waiting, ended, failed }) => (
              <tr key={time}><td>{new Date(time * 1000).toLocaleTimeString('en-GB').slice(0, 5)}</td><td class="num">{whole(busy)}</td><td class="num">{slots}</td><td class="num">{Math.round(cpu * 100)} %</td><td class="num">{whole(waiting)}</td><td class="num">{Math.round(ended)}</td><td class="num">{Math.round(failed)}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function minutes(samples: readonly ApiSample[]) {
  const groups = Map.groupBy(samples, ([time]) => Math.floor(time / 60) * 60);
  return [...groups].toReversed().map(([time, group]) => {
    const mean = (at: 1 | 3 | 4) => group.reduce((sum, sample) => sum + sample[at], 0) / group.length;
    const total = (at: 5 | 6) => group.reduce((sum, sample) => sum + sample[at], 0);
    return { time, busy: mean(1), slots: group.at(-1)?.[2] ?? 0, cpu: mean(3), waiting: mean(4), ended: total(5), failed: total(6) };
  });
}
