/** The place of the editor; until it is loaded, and if it cannot be, a plain field that does the same. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Editor } from '../editor.ts';

export function Code({ text, language, onChange, version }: { text: string; language: string; onChange: (text: string) => void; /** Another number: the text was replaced from outside. */ version: number }) {
  const holder = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor>(undefined);
  const newest = useRef(text);
  newest.current = text;
  const [loaded, setLoaded] = useState(false);
  useEffect(() => {
    let gone = false;
    void import('../editor.ts').then(({ makeEditor }) => {
      if (gone || holder.current === null) return;
      const root = holder.current.shadowRoot ?? holder.current.attachShadow({ mode: 'open' });
      editor.current = makeEditor(root, newest.current, language, onChange);
      setLoaded(true);
    });
    return () => {
      gone = true;
      editor.current?.destroy();
      editor.current = undefined;
    };
  }, []);
  useEffect(() => editor.current?.setLanguage(language), [language]);
  useEffect(() => {
    if (editor.current !== undefined && editor.current.text() !== newest.current) editor.current.setText(newest.current);
  }, [version]);
  return (
    <>
      <div ref={holder} class="editor" hidden={!loaded} />
      {loaded ? null : <textarea class="editor" aria-label="Program" value={text} spellcheck={false} onInput={(event) => onChange(event.currentTarget.value)} />}
    </>
  );
}
