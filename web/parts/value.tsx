/** Arguments, results and programs: shown, copied and saved as the bytes that they are. */
import { useEffect, useState } from 'preact/hooks';
import { part } from '../api.ts';
import { bytes } from '../words.ts';
import { Copy, save, type Shown, shownOf } from './bits.tsx';

type Name = 'program' | 'args' | 'kwargs' | 'result';
const titles: Readonly<Record<Name, string>> = { program: 'Program', args: 'Arguments', kwargs: 'Keyword arguments', result: 'Result' };
/** A screen holds less; the rest is in the download. */
const shownMax = 100_000;

export function ValueBox({ id, name, size, note }: { id: string; name: Name; size: number | null; note?: string }) {
  const [text, setText] = useState<string>();
  const [problem, setProblem] = useState<Shown>();
  useEffect(() => {
    let gone = false;
    setText(undefined);
    part(id, name)
      .then(async (blob) => {
        const head = await blob.slice(0, shownMax * 2).text();
        if (!gone) setText(head);
      })
      .catch((error: unknown) => !gone && setProblem(shownOf(error)));
    return () => void (gone = true);
  }, [id, name]);
  const cut = text !== undefined && text.length > shownMax;
  return (
    <div class="box">
      <header>
        <h2>{titles[name]}</h2>
        <span class="quiet small">{size === null ? '' : bytes(size)}{note === undefined ? '' : ` ${note}`}</span>
        <span class="push" />
        <Copy text={async () => (await part(id, name)).text()} what={titles[name].toLowerCase()} />
        <button type="button" class="plain" onClick={() => void save(() => part(id, name), `${id}.${name}.${name === 'program' ? 'txt' : 'json'}`)}>download</button>
      </header>
      {problem === undefined ? <pre class="in" tabIndex={0} aria-label={titles[name]}>{text === undefined ? '…' : text.slice(0, shownMax)}{cut ? '\n…' : ''}</pre> : <p class="in tone-fail">{problem.message}</p>}
    </div>
  );
}
