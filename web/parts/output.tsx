/** What a task prints: from the first kept byte, then as it comes; a new attempt goes below a divider. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ApiTask } from '../../src/wire/api.ts';
import { output, request } from '../api.ts';
import { bytes, count, isOpen } from '../words.ts';
import { Copy, save } from './bits.tsx';
import { type Line, Terminal } from './ansi.ts';

type Stream = 'stdout' | 'stderr';

interface Row {
  /** Undefined: a divider. */
  number: number | undefined;
  line: Line;
}

/** The screen of one stream, over all attempts that this tab has seen. */
class Screen {
  rows: Row[] = [];
  size = 0;
  #at = 0;
  #terminal = new Terminal();
  #decoder = new TextDecoder();
  #taken = 0;
  #number = 0;

  get next(): number {
    return this.#at;
  }

  take(size: number, pieces: readonly { offset: number; base64: string }[]): void {
    for (const { offset, base64 } of pieces) {
      if (offset > this.#at) this.#divide(`${bytes(offset - this.#at)} were not kept`);
      const data = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      this.#terminal.write(this.#decoder.decode(data, { stream: true }));
      this.#at = offset + data.length;
    }
    this.#gather();
    this.size = size;
  }

  /** Another attempt begins at its first byte. */
  restart(what: string): void {
    this.#flush();
    this.#at = 0;
    if (this.rows.length > 0) this.#divide(what);
  }

  get last(): Line {
    return this.#terminal.last;
  }

  get text(): string {
    return [...this.rows.map(({ line }) => line.text), this.last.text].join('\n');
  }

  #divide(what: string): void {
    this.#flush();
    this.rows.push({ number: undefined, line: { spans: [{ text: what, classes: '' }], text: what } });
  }

  #flush(): void {
    this.#terminal.write(this.#decoder.decode());
    this.#terminal.end();
    this.#gather();
    this.#terminal = new Terminal();
    this.#decoder = new TextDecoder();
    this.#taken = 0;
  }

  #gather(): void {
    for (const line of this.#terminal.lines.slice(this.#taken)) this.rows.push({ number: (this.#number += 1), line });
    this.#taken = this.#terminal.lines.length;
  }
}

const pollMs = 500;
/** Drawn at once; more are one button away. */
const rowsDrawn = 2_000;

export function Output({ task }: { task: ApiTask }) {
  const screens = useMemo(() => ({ stdout: new Screen(), stderr: new Screen() }), [task.id]);
  const seen = useRef<number>(undefined);
  const [, redraw] = useState(0);
  const open = isOpen(task.state);
  useEffect(() => {
    if (!task.own) return;
    const abort = new AbortController();
    const ask = async () => {
      const told = await output(task.id, screens.stdout.next, screens.stderr.next, abort.signal);
      if (seen.current !== undefined && told.attempt !== seen.current) {
        for (const screen of Object.values(screens)) screen.restart(`attempt ${told.attempt}${told.peer === null ? '' : ` on ${told.peer}`}`);
        seen.current = told.attempt;
        return ask();
      }
      if (told.attempt > 0) seen.current = told.attempt;
      for (const stream of ['stdout', 'stderr'] as const) screens[stream].take(told.streams[stream]?.size ?? 0, told.streams[stream]?.pieces ?? []);
      redraw((times) => times + 1);
    };
    const again = () => void ask().catch(() => undefined); // the banner of the page says that the peer is away
    again();
    const timer = open ? setInterval(again, pollMs) : undefined;
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [task.id, open, task.attempt]);
  const shown = (['stdout', 'stderr'] as const).filter((stream) => screens[stream].rows.length > 0 || screens[stream].last.text !== '');
  if (!task.own) return null;
  return (
    <section class="stack">
      {shown.length === 0 ? <div class="box"><header><h2>Output</h2><span class="quiet">{open ? 'nothing yet' : 'it printed nothing'}</span></header></div> : null}
      {shown.map((stream) => <Pane key={stream} id={task.id} stream={stream} screen={screens[stream]} open={open} />)}
    </section>
  );
}

function Pane({ id, stream, screen, open }: { id: string; stream: Stream; screen: Screen; open: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const [follow, setFollow] = useState(true);
  const [wanted, setWanted] = useState('');
  const [hit, setHit] = useState(0);
  const [drawn, setDrawn] = useState(rowsDrawn);
  const rows = screen.last.text === '' ? screen.rows : [...screen.rows, { number: (screen.rows.findLast(({ number }) => number !== undefined)?.number ?? 0) + 1, line: screen.last }];
  const hits = wanted === '' ? [] : rows.flatMap(({ line }, at) => (line.text.toLowerCase().includes(wanted.toLowerCase()) ? [at] : []));
  const at = hits[hit % Math.max(1, hits.length)];
  // What was found is drawn even if it lies above what is.
  const first = Math.max(0, Math.min(rows.length - drawn, (at ?? Infinity) - 100));

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    if (at !== undefined) element.querySelector('.hit')?.scrollIntoView({ block: 'center' });
    else if (follow && open) element.scrollTop = element.scrollHeight;
  });
  const scrolled = () => {
    const element = box.current;
    if (element !== null) setFollow(element.scrollHeight - element.scrollTop - element.clientHeight < 24);
  };
  const step = (by: number) => setHit((now) => (hits.length === 0 ? 0 : (now + by + hits.length) % hits.length));
  return (
    <div class="box">
      <header>
        <h2>{stream === 'stdout' ? 'Output' : 'Errors (stderr)'}</h2>
        <span class="quiet small">{bytes(screen.size)}{open ? (follow ? ', following' : ', not following') : ''}</span>
        <input class="push" type="search" aria-label={`Search in ${stream}`} placeholder="search" value={wanted} onInput={(event) => { setWanted(event.currentTarget.value); setHit(0); }} onKeyDown={(event) => event.key === 'Enter' && step(event.shiftKey ? -1 : 1)} />
        {wanted === '' ? null : <span class="quiet small" role="status">{hits.length === 0 ? 'not found' : `${(hit % hits.length) + 1} of ${count(hits.length)}`}</span>}
        {wanted === '' || hits.length < 2 ? null : <><button type="button" class="plain" onClick={() => step(-1)}>previous</button><button type="button" class="plain" onClick={() => step(1)}>next</button></>}
        {open && !follow ? <button type="button" class="plain" onClick={() => setFollow(true)}>follow</button> : null}
        <Copy text={() => Promise.resolve(screen.text)} what={stream} />
        <button type="button" class="plain" onClick={() => void save(async () => (await request(`/api/v1/tasks/${encodeURIComponent(id)}/${stream}`)).blob(), `${id}.${stream}.txt`)}>download</button>
      </header>
      <div class="out" ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label={stream} aria-live="off">
        {first > 0 ? <div class="l"><button type="button" class="plain" onClick={() => setDrawn(drawn * 4)}>show {count(Math.min(first, drawn * 3))} lines before</button></div> : null}
        {rows.slice(first).map(({ number, line }, index) =>
          number === undefined ? (
            <div key={first + index} class="gap">{line.text}</div>
          ) : (
            <div key={first + index} class={first + index === at ? 'l hit' : 'l'} id={`${stream}-${number}`}>
              <a href={`#/tasks/${encodeURIComponent(id)}?line=${stream}-${number}`} tabIndex={-1} aria-hidden="true">{number}</a>
              <span>{line.spans.map(({ text, classes }, part) => (classes === '' ? text : <span key={part} class={classes}>{text}</span>))}</span>
            </div>
          ),
        )}
      </div>
    </div>
  );
}

/** Goes to the line that the address names, once it is there. */
export function useLineOf(line: string | null): void {
  useEffect(() => {
    if (line === null || !/^(stdout|stderr)-\d+$/.test(line)) return;
    const until = Date.now() + 5_000;
    const look = setInterval(() => {
      const found = document.getElementById(line);
      found?.classList.add('hit');
      found?.scrollIntoView({ block: 'center' });
      if (found !== null || Date.now() > until) clearInterval(look);
    }, 100);
    return () => clearInterval(look);
  }, [line]);
}
