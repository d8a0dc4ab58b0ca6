/** Small things that every view uses. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from '../api.ts';
import { current, type Live, subscribe } from '../live.ts';
import { clock, exact, glyphs, plain, roughly, stateWord, toneOf } from '../words.ts';

export function useLive(): Live {
  const [live, setLive] = useState(current);
  useEffect(() => {
    setLive(current());
    return subscribe(() => setLive(current()));
  }, []);
  return live;
}

/** Draws again that often; what is shown is counted from the clock, so a tab that slept is right at once. */
export function useTick(ms: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}

export const StateMark = ({ state }: { state: string }) => {
  const tone = toneOf(state);
  return (
    <span class={`state tone-${tone}`}>
      <i aria-hidden="true">{glyphs[tone]}</i>
      <span>{stateWord(state)}</span>
    </span>
  );
};

export const Time = ({ at }: { at: string }) => (
  <time dateTime={at} title={exact(at)} class="nowrap">
    {clock(at)}
  </time>
);

/** How long ago, counted now. */
export function Ago({ at }: { at: string }) {
  const now = useTick(1_000);
  return (
    <time dateTime={at} title={exact(at)} class="nowrap">
      {roughly(now - Date.parse(at))} ago
    </time>
  );
}

export interface Shown {
  message: string;
  hint: string | null;
}

export const shownOf = (error: unknown): Shown => (error instanceof ApiError ? { message: error.message, hint: error.hint } : { message: error instanceof Error ? error.message : String(error), hint: null });

export const Problem = ({ problem }: { problem: Shown }) => (
  <div class="box error" role="alert">
    <div class="in">
      <p class="tone-fail">{plain(problem.message)}</p>
      {problem.hint === null ? null : <p class="quiet">{plain(problem.hint)}</p>}
    </div>
  </div>
);

export const Quiet = ({ children }: { children: ComponentChildren }) => <p class="quiet">{children}</p>;

export function Copy({ text, what }: { text: string | (() => Promise<string>); what: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : await text());
      setSaid('copied');
    } catch {
      setSaid('the browser refused');
    }
    setTimeout(() => setSaid(''), 2_000);
  };
  return (
    <button type="button" class="plain" onClick={() => void copy()} title={`copy ${what}`}>
      {said === '' ? 'copy' : said}
      <span class="sr"> {what}</span>
    </button>
  );
}

/** Saves bytes under a name: the request carries the login, which a plain link cannot. */
export async function save(load: () => Promise<Blob>, name: string): Promise<void> {
  const url = URL.createObjectURL(await load());
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export interface Question {
  title: string;
  text: ComponentChildren;
  yes: string;
  danger?: boolean;
}

/** Asks before something is done that cannot be taken back. */
export function Confirm({ question, onAnswer }: { question: Question | undefined; onAnswer: (yes: boolean) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (question !== undefined && dialog.current?.open === false) dialog.current.showModal();
  }, [question]);
  if (question === undefined) return null;
  const answer = (yes: boolean) => {
    dialog.current?.close();
    onAnswer(yes);
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onCancel={() => onAnswer(false)}>
      <div class="stack">
        <h2 id="question">{question.title}</h2>
        <div>{question.text}</div>
        <div class="line">
          <button type="button" class={question.danger === true ? 'danger push' : 'primary push'} onClick={() => answer(true)}>
            {question.yes}
          </button>
          <button type="button" onClick={() => answer(false)}>
            Leave it
          </button>
        </div>
      </div>
    </dialog>
  );
}

export type Icon = 'idle' | 'run' | 'done' | 'warn' | 'fail';

/** The state comes first, in words and in the icon: tabs are narrow. */
export function useTitle(title: string, icon: Icon): void {
  useEffect(() => {
    document.title = title;
    const link = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    if (link !== null && !link.href.endsWith(`/icon-${icon}.svg`)) link.href = `/icon-${icon}.svg`;
  }, [title, icon]);
}
