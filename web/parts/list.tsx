/** A table of any number of rows, of which only those in sight are there; parts are asked for as they come into sight. */
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { windowOf } from './virtual.ts';

interface ListProps<Row> {
  label: string;
  total: number;
  /** Undefined while it is on its way. */
  rowAt: (at: number) => Row | undefined;
  /** Rows from `from` up to and without `to` are in sight. */
  onSight: (from: number, to: number) => void;
  head: ComponentChildren;
  draw: (row: Row | undefined, at: number) => ComponentChildren;
  /** Somebody points at it, or has the focus in it: rows must not move. */
  onHold: (held: boolean) => void;
  /** Where it was when one left; told again on scrolling. */
  place: { top: number };
}

export function List<Row>({ label, total, rowAt, onSight, head, draw, onHold, place }: ListProps<Row>) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ height: 400, row: 28 });
  const [top, setTop] = useState(place.top);
  // Between two steps of a scaled bar.
  const fine = useRef(0);
  const { top: at, height, scale } = windowOf(total, view.row, view.height, Math.min(top, 1e9));
  const exact = Math.max(0, Math.min(at + (scale === 1 ? 0 : fine.current), total * view.row - view.height));
  const first = Math.floor(exact / view.row);
  const last = Math.min(total, first + Math.ceil(view.height / view.row) + 1);

  useLayoutEffect(() => {
    const measure = () => {
      const row = Number.parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row')) || 28;
      setView({ height: box.current?.clientHeight ?? 400, row });
    };
    measure();
    if (box.current !== null) box.current.scrollTop = place.top;
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => onSight(first, last), [first, last, total]);

  const scrolled = () => {
    const now = box.current?.scrollTop ?? 0;
    if (now !== top) fine.current = 0;
    place.top = now;
    setTop(now);
  };
  /** By pixels of rows, where a pixel of the bar is many. */
  const by = (pixels: number) => {
    const target = Math.max(0, Math.min(exact + pixels, total * view.row - view.height));
    const bar = Math.round(target / scale);
    fine.current = target - bar * scale;
    place.top = bar;
    setTop(bar);
    if (box.current !== null) box.current.scrollTop = bar;
  };
  const wheel = (event: WheelEvent) => {
    if (scale === 1 || event.ctrlKey) return;
    event.preventDefault();
    by(event.deltaMode === 1 ? event.deltaY * view.row : event.deltaY);
  };
  useEffect(() => {
    const element = box.current;
    element?.addEventListener('wheel', wheel, { passive: false });
    return () => element?.removeEventListener('wheel', wheel);
  });
  const pressed = (event: KeyboardEvent) => {
    if (event.key === 'j' || event.key === 'k') return move(event, event.key === 'j' ? 1 : -1);
    const step = { ArrowDown: view.row, ArrowUp: -view.row, PageDown: view.height - view.row, PageUp: view.row - view.height }[event.key];
    if (scale === 1 || step === undefined) return;
    event.preventDefault();
    by(step);
  };
  /** The next row that has a link gets the focus. */
  const move = (event: KeyboardEvent, step: number) => {
    event.preventDefault();
    const links = [...(box.current?.querySelectorAll<HTMLElement>('.trow a') ?? [])];
    const now = links.indexOf(document.activeElement as HTMLElement);
    if (links[now + step] === undefined) by(step * view.row);
    links[Math.max(0, Math.min(links.length - 1, now + step))]?.focus();
  };

  const rows: JSX.Element[] = [];
  for (let index = first; index < last; index += 1) {
    rows.push(
      <div key={index} class="trow" role="row" aria-rowindex={index + 2} style={{ transform: `translateY(${index * view.row - exact}px)` }}>
        {draw(rowAt(index), index)}
      </div>,
    );
  }
  return (
    <div role="table" aria-label={label} aria-rowcount={total + 1}>
      <div role="rowgroup"><div class="trow head" role="row" aria-rowindex={1}>{head}</div></div>
      <div
        ref={box}
        class="list"
        role="rowgroup"
        tabIndex={0}
        aria-label="rows; j and k go from one to the next"
        onScroll={scrolled}
        onKeyDown={pressed}
        onPointerEnter={() => onHold(true)}
        onPointerLeave={() => onHold(false)}
        onFocusIn={() => onHold(true)}
        onFocusOut={() => onHold(false)}
      >
        <div style={{ height: `${Math.max(height, 1)}px` }} role="presentation">
          <div class="window" role="presentation" style={{ height: `${Math.min(view.height, Math.max(height, 1))}px` }}>{rows}</div>
        </div>
      </div>
    </div>
  );
}
