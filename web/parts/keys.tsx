/** What the keyboard does, and the list of it. */
import { useEffect, useRef } from 'preact/hooks';
import { go } from '../router.ts';

const keys: readonly [string, string][] = [
  ['/', 'find a task'],
  ['g o', 'overview'],
  ['g t', 'tasks'],
  ['g s', 'submit'],
  ['g p', 'processes'],
  ['g m', 'pool: members and invitations'],
  ['g a', 'access'],
  ['j k', 'next and previous row of a list'],
  ['?', 'this list'],
];
const places: Readonly<Record<string, string[]>> = { o: [], t: ['tasks'], s: ['submit'], p: ['processes'], m: ['pool'], a: ['access'] };

export function Keys() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    let went = 0;
    const pressed = (event: KeyboardEvent) => {
      const target = event.composedPath()[0];
      if (event.ctrlKey || event.metaKey || event.altKey || (target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)))) return;
      if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('#jump')?.focus();
      } else if (event.key === '?') {
        dialog.current?.showModal();
      } else if (event.key === 'g') {
        went = Date.now();
      } else if (Date.now() - went < 1_500 && places[event.key] !== undefined) {
        went = 0;
        go(places[event.key]!);
      }
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="keys">
      <div class="stack">
        <h2 id="keys">Keys</h2>
        <dl class="facts">{keys.map(([key, what]) => [<dt key={key}><kbd>{key}</kbd></dt>, <dd key={what}>{what}</dd>])}</dl>
        <form method="dialog"><button>Close</button></form>
      </div>
    </dialog>
  );
}
