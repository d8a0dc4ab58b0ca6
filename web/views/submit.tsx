/** Write a program, say with what, see what comes of it on the same page. */
import { useEffect, useState } from 'preact/hooks';
import { part, submit, task as askTask } from '../api.ts';
import { Copy, Problem, Quiet, type Shown, shownOf, StateMark, useLive, useTitle } from '../parts/bits.tsx';
import { type Call, commandLine } from '../parts/cli.ts';
import { Code } from '../parts/code.tsx';
import { examples, functionsOf, jsonMistake, type Mistake } from '../parts/programs.ts';
import { linkTo, type Place } from '../router.ts';
import { TaskBody, useTask } from './task.tsx';
import { plain } from '../words.ts';

interface Draft extends Call {
  /** As typed. */
  fields: Record<'timeout' | 'wait' | 'retries' | 'priority' | 'memory', string>;
  flags: Record<'confidential' | 'once' | 'fresh', boolean>;
}

const draftKey = 'potluck-draft';
const [first] = examples;
const empty: Draft = {
  program: first!.program,
  language: first!.language,
  function: 'main',
  args: first!.args,
  kwargs: '',
  options: {},
  fields: { timeout: '', wait: '', retries: '', priority: '', memory: '' },
  flags: { confidential: false, once: false, fresh: false },
};

/** What was written is there again after a reload; the submitted ones are in the list. */
function stored(): Draft {
  try {
    return { ...empty, ...(JSON.parse(sessionStorage.getItem(draftKey) ?? '{}') as Partial<Draft>) };
  } catch {
    return empty;
  }
}

const fieldWords: readonly [keyof Draft['fields'], string, string][] = [
  ['timeout', 'Timeout, s', 'killed after that'],
  ['wait', 'Start within, s', 'expires otherwise'],
  ['retries', 'Retries', 'after failures'],
  ['priority', 'Priority', '0'],
  ['memory', 'Memory, MB', 'no limit'],
];
const flagWords: readonly [keyof Draft['flags'], string, string][] = [
  ['confidential', 'only on this peer', 'it never leaves its home'],
  ['once', 'at most once', 'rather unknown than run twice'],
  ['fresh', 'fresh process', 'no interpreter that ran something before'],
];

function optionsOf({ fields, flags }: Draft): { options: Record<string, unknown>; wrong: string | undefined } {
  const options: Record<string, unknown> = {};
  let wrong: string | undefined;
  const number = (name: keyof Draft['fields'], option: string, factor: number, isOk: (value: number) => boolean) => {
    if (fields[name].trim() === '') return;
    const value = Number(fields[name]) * factor;
    if (isOk(value)) options[option] = value;
    else wrong ??= `${fieldWords.find(([field]) => field === name)![1]}: ${fields[name]} will not do`;
  };
  const isCount = (value: number) => Number.isInteger(value) && value >= 0;
  number('timeout', 'timeoutMs', 1000, (value) => isCount(value) && value > 0);
  number('wait', 'waitMs', 1000, (value) => isCount(value) && value > 0);
  number('retries', 'retries', 1, isCount);
  number('priority', 'priority', 1, Number.isInteger);
  number('memory', 'memoryMb', 1, (value) => isCount(value) && value > 0);
  for (const [name, on] of Object.entries(flags)) if (on) options[name] = true;
  return { options, wrong };
}

export function Submit({ place }: { place: Place }) {
  const [draft, setDraft] = useState(stored);
  const [version, setVersion] = useState(0);
  const [problem, setProblem] = useState<Shown>();
  const [busy, setBusy] = useState(false);
  const [submitted, setSubmitted] = useState<string>();
  const { peers, status } = useLive();
  const from = place.query.get('from');
  useTitle('submit · potluck', 'idle');
  const change = (more: Partial<Draft>) => setDraft((before) => ({ ...before, ...more }));
  const replace = (more: Partial<Draft>) => {
    change(more);
    setVersion((times) => times + 1);
  };
  useEffect(() => sessionStorage.setItem(draftKey, JSON.stringify(draft)), [draft]);
  useEffect(() => {
    if (from !== null) load(from).then(replace, (error: unknown) => setProblem(shownOf(error)));
  }, [from]);

  const { options, wrong } = optionsOf(draft);
  const argsMistake = draft.args.trim() === '' ? undefined : jsonMistake(draft.args, 'array');
  const kwargsMistake = draft.kwargs.trim() === '' ? undefined : jsonMistake(draft.kwargs, 'object');
  const functions = functionsOf(draft.program, draft.language);
  const name = functions.includes(draft.function) || functions.length === 0 ? draft.function : draft.function;
  const call: Call = { ...draft, function: name, options };
  const port = peers.find(({ own }) => own)?.port ?? 9000;
  const cannot = argsMistake !== undefined || kwargsMistake !== undefined || wrong !== undefined || draft.program.trim() === '';
  const send = async (event: Event) => {
    event.preventDefault();
    if (cannot) return;
    setBusy(true);
    setProblem(undefined);
    try {
      setSubmitted(await submit(call));
    } catch (error) {
      setProblem(shownOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main>
      <h1 class="sr">Submit a task{status === undefined ? '' : ` to ${status.peer}`}</h1>
      <form class="stack" onSubmit={(event) => void send(event)} onKeyDown={(event) => (event.ctrlKey || event.metaKey) && event.key === 'Enter' && void send(event)}>
        <div class="line">
          <label>
            Language
            <select value={draft.language} onChange={(event) => change({ language: event.currentTarget.value, ...(event.currentTarget.value === 'python' ? {} : { kwargs: '' }) })}>
              <option value="python">Python</option>
              <option value="javascript">JavaScript</option>
            </select>
          </label>
          <label>
            Begin with
            <select value="" onChange={(event) => { const example = examples.find((each) => each.name === event.currentTarget.value); if (example !== undefined) replace({ ...example, function: 'main', kwargs: '' }); event.currentTarget.value = ''; }}>
              <option value="">an example …</option>
              {examples.map((example) => <option key={example.name} value={example.name}>{example.name}</option>)}
            </select>
          </label>
        </div>
        <Code text={draft.program} language={draft.language} version={version} onChange={(program) => change({ program })} />
        <div class="fields">
          <label>
            Function
            <input list="functions" value={draft.function} onInput={(event) => change({ function: event.currentTarget.value })} spellcheck={false} required maxLength={256} />
            <datalist id="functions">{functions.map((each) => <option key={each} value={each} />)}</datalist>
          </label>
          {fieldWords.map(([field, word, hint]) => (
            <label key={field}>
              {word}
              <input inputMode="decimal" placeholder={hint} value={draft.fields[field]} onInput={(event) => change({ fields: { ...draft.fields, [field]: event.currentTarget.value } })} />
            </label>
          ))}
        </div>
        {functions.length > 0 && !functions.includes(draft.function) ? <p class="tone-warn"><span aria-hidden="true">△ </span>The program has no function {plain(draft.function)} that can be seen here; it has {functions.map((each, at) => <span key={each}>{at > 0 ? ', ' : ''}<button type="button" class="plain" onClick={() => change({ function: each })}>{each}</button></span>)}</p> : null}
        <label class="stack" style={{ alignItems: 'stretch', gap: '2px' }}>
          <span class="quiet">Arguments, a JSON list; they are passed on digit by digit</span>
          <textarea rows={2} value={draft.args} spellcheck={false} aria-invalid={argsMistake !== undefined} onInput={(event) => change({ args: event.currentTarget.value })} />
        </label>
        <MistakeNote mistake={argsMistake} />
        {draft.language === 'python' ? (
          <>
            <label class="stack" style={{ alignItems: 'stretch', gap: '2px' }}>
              <span class="quiet">Keyword arguments, a JSON object</span>
              <textarea rows={1} value={draft.kwargs} spellcheck={false} aria-invalid={kwargsMistake !== undefined} onInput={(event) => change({ kwargs: event.currentTarget.value })} />
            </label>
            <MistakeNote mistake={kwargsMistake} />
          </>
        ) : null}
        <div class="line wide">
          {flagWords.map(([flag, word, hint]) => (
            <label key={flag} title={hint}><input type="checkbox" checked={draft.flags[flag]} onChange={(event) => change({ flags: { ...draft.flags, [flag]: event.currentTarget.checked } })} />{word}</label>
          ))}
          {wrong === undefined ? null : <span class="tone-fail" role="alert">{wrong}</span>}
          <button class="primary push" disabled={busy || cannot} title="Ctrl+Enter">{busy ? 'Submitting …' : 'Run it'}</button>
        </div>
        {problem === undefined ? null : <Problem problem={problem} />}
        <details>
          <summary class="quiet small">The command line that does the same</summary>
          <div class="box"><header><span class="push" /><Copy text={commandLine(call, port)} what="the command line" /></header><pre class="in" tabIndex={0} aria-label="Command line">{commandLine(call, port)}</pre></div>
        </details>
      </form>
      {submitted === undefined ? null : <Outcome id={submitted} />}
    </main>
  );
}

const MistakeNote = ({ mistake }: { mistake: Mistake | undefined }) =>
  mistake === undefined ? null : (
    <div class="mistake" role="alert">
      <p>{mistake.text}</p>
      {mistake.lines.length === 0 ? null : <pre>{mistake.lines.join('\n')}</pre>}
    </div>
  );

/** The task as it runs, below what it was made of. */
function Outcome({ id }: { id: string }) {
  const { task, problem } = useTask(id);
  if (task === undefined) return problem === undefined ? <Quiet>Submitted …</Quiet> : <Problem problem={problem} />;
  return (
    <section class="stack" aria-live="polite">
      <div class="line wide">
        <h2><StateMark state={task.state} /></h2>
        <span class="quiet">{task.peer === null ? '' : `on ${task.peer}`}</span>
        <a class="mono" href={linkTo(['tasks', id])}>{id}</a>
      </div>
      <TaskBody task={task} />
    </section>
  );
}

/** A task that was submitted before, to be changed and run. */
async function load(id: string): Promise<Partial<Draft>> {
  const task = await askTask(id);
  const text = async (name: 'program' | 'args' | 'kwargs', there: boolean) => (there ? (await part(id, name)).text() : '');
  const { timeoutMs, waitMs, retries, priority, memoryMb, confidential, once, fresh } = task.options ?? {};
  const shown = (value: number | undefined, factor = 1) => (value === undefined ? '' : String(value / factor));
  return {
    program: await text('program', true),
    args: await text('args', task.args_bytes !== null),
    kwargs: await text('kwargs', task.kwargs_bytes !== null),
    language: task.language ?? 'python',
    function: task.function ?? 'main',
    fields: { timeout: shown(timeoutMs, 1000), wait: shown(waitMs, 1000), retries: shown(retries), priority: shown(priority), memory: shown(memoryMb) },
    flags: { confidential: confidential === true, once: once === true, fresh: fresh === true },
  };
}
