/** All tasks of this home: filtered over the whole set, the filter in the address, rows that do not move under the hand. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ApiBulkDone, ApiFilter, ApiTaskRow } from '../../src/wire/api.ts';
import { bulk } from '../api.ts';
import { Confirm, Problem, Quiet, type Question, type Shown, shownOf, StateMark, Time, useLive, useTitle } from '../parts/bits.tsx';
import { List } from '../parts/list.tsx';
import { Pages } from '../parts/pages.ts';
import { linkTo, type Place, replaceQuery } from '../router.ts';
import { count, duration, isOpen, plain, plural, stateWord } from '../words.ts';

const states: readonly [string, string][] = [
  ['', 'all'],
  ['queued', 'waiting'],
  ['running', 'running'],
  ['done', 'done'],
  ['failed', 'failed'],
  ['timed_out', 'timed out'],
  ['cancelled', 'cancelled'],
];
const otherStates = ['open', 'ended', 'assigned', 'out_of_memory', 'expired', 'unknown', 'quarantined'];
const spans: readonly [string, string][] = [['', 'any time'], ['15min', 'last 15 min'], ['1h', 'last hour'], ['1d', 'last day'], ['7d', 'last 7 days']];
const spanMs: Readonly<Record<string, number>> = { '15min': 900_000, '1h': 3_600_000, '1d': 86_400_000, '7d': 604_800_000 };

/** By address, so that Back finds the list where it was. */
const places = new Map<string, { top: number }>();

/** What the address says, as the API wants it. */
function filterOf(query: URLSearchParams): ApiFilter {
  const text = (name: string) => query.get(name) ?? undefined;
  const since = spanMs[query.get('since') ?? ''];
  return {
    ...(query.has('state') ? { state: query.getAll('state') as NonNullable<ApiFilter['state']> } : {}),
    ...(query.has('retried') ? { retried: true } : {}),
    ...(query.has('peer') ? { peer: text('peer') } : {}),
    ...(query.has('program') ? { program: text('program') } : {}),
    ...(query.has('text') ? { text: text('text') } : {}),
    ...(since === undefined ? {} : { since: new Date(Date.now() - since).toISOString() }),
  };
}

function asQuery(filter: ApiFilter): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined) query.append(name, String(each));
  return query;
}

export function Tasks({ place }: { place: Place }) {
  const address = place.query.toString();
  const [, redraw] = useState(0);
  const held = useRef(false);
  const [paused, setPaused] = useState(false);
  const filter = useMemo(() => filterOf(place.query), [address]);
  const pages = useMemo(() => new Pages(asQuery(filter), () => redraw((times) => times + 1)), [filter]);
  const scroll = useMemo(() => places.get(address) ?? { top: 0 }, [address]);
  const { counts, state: live } = useLive();
  const { total, newer, changed, problem, loading, asOf } = pages.state;
  useTitle(`${count(total)} tasks · potluck`, 'idle');
  useEffect(() => {
    places.set(address, scroll);
    pages.sight(0, 50);
    return () => pages.close();
  }, [pages]);

  // What changed is told once in a while; then the rows in sight are asked about.
  const stamp = counts === undefined ? '' : `${counts.accepted} ${counts.running} ${counts.assigned} ${JSON.stringify(counts.ended)}`;
  const isStill = paused || live !== 'live';
  useEffect(() => {
    if (isStill || asOf === undefined) return;
    const timer = setTimeout(() => {
      const selected = document.getSelection()?.isCollapsed === false;
      if ((newer > 0 || changed) && scroll.top === 0 && !held.current && !selected) void pages.renew();
      else void pages.refresh();
    }, 1_000);
    return () => clearTimeout(timer);
  }, [stamp, isStill, asOf, newer, changed]);

  return (
    <main>
      <h1 class="sr">Tasks</h1>
      <section>
        <Filters place={place} />
        <div class="line">
          <span class="quiet" role="status">{problem === undefined ? (loading ? 'Searching …' : `${plural(total, 'task')}${address === '' ? '' : ' that match'}`) : ''}</span>
          <Bulk filter={filter} pages={pages} address={address} />
          <button type="button" class="plain push" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? 'go on' : 'pause'}</button>
        </div>
        {problem === undefined ? null : <Problem problem={problem} />}
        <div class="listbox">
          {(newer > 0 || changed) && !loading ? (
            <button type="button" class="newer" onClick={() => { scroll.top = 0; void pages.renew(); }}>{newer > 0 ? `${count(newer)} new` : 'others match now'}</button>
          ) : null}
          <List<ApiTaskRow> key={address} label="Tasks, the newest first" total={total} rowAt={(at) => pages.rowAt(at)} onSight={(from, to) => pages.sight(from, to)} onHold={(now) => (held.current = now)} head={<Head />} draw={(row) => <Row row={row} />} place={scroll} />
          {!loading && total === 0 && problem === undefined ? <Quiet>{address === '' ? 'No tasks yet. Submit one, and it is here.' : 'No task matches.'}</Quiet> : null}
        </div>
      </section>
    </main>
  );
}

const Head = () => (
  <>
    <span role="columnheader"><span class="sr">State</span></span>
    <span role="columnheader">Task</span>
    <span role="columnheader">Function</span>
    <span role="columnheader" class="c-peer">Ran on</span>
    <span role="columnheader" class="num">Accepted</span>
    <span role="columnheader" class="num c-queued">Waited</span>
    <span role="columnheader" class="num c-run">Ran</span>
    <span role="columnheader" class="c-note">Note</span>
  </>
);

function Row({ row }: { row: ApiTaskRow | undefined }) {
  if (row === undefined) return <><span role="cell" /><span role="cell" class="ghost"><span class="sr">on its way</span></span></>;
  const note = row.error === undefined ? (row.waiting_for ?? (row.submitter === null ? '' : `of ${row.submitter}`)) : row.state === 'cancelled' ? '' : row.error.message;
  const tries = row.attempt > 1 ? `attempt ${row.attempt}${note === '' ? '' : ': '}` : '';
  return (
    <>
      <span role="cell"><StateMark state={row.state} /></span>
      <span role="cell" class="mono" title={row.id}><a href={linkTo(['tasks', row.id])}>{row.id}</a></span>
      <span role="cell">{row.function === null ? <span class="quiet">–</span> : plain(row.function)}</span>
      <span role="cell" class="c-peer quiet">{row.peer === null ? '–' : plain(row.peer)}</span>
      <span role="cell" class="num quiet"><Time at={row.accepted_at} /></span>
      <span role="cell" class="num quiet c-queued">{duration(row.queued_ms)}</span>
      <span role="cell" class="num c-run">{row.run_ms === null ? '–' : duration(row.run_ms)}</span>
      <span role="cell" class="c-note quiet" title={plain(`${tries}${note}`)}>{plain(`${tries}${note}`)}</span>
    </>
  );
}

function Filters({ place }: { place: Place }) {
  const { peers } = useLive();
  const [text, setText] = useState(place.query.get('text') ?? '');
  const chosen = place.query.getAll('state');
  const set = (name: string, value: string) => {
    const query = new URLSearchParams(place.query);
    query.delete(name);
    if (value !== '') query.set(name, value);
    replaceQuery(place, query);
  };
  useEffect(() => setText(place.query.get('text') ?? ''), [place.query.get('text')]);
  useEffect(() => {
    if (text.trim() === (place.query.get('text') ?? '')) return;
    const timer = setTimeout(() => set('text', text.trim()), 300);
    return () => clearTimeout(timer);
  }, [text]);
  const program = place.query.get('program');
  const state = chosen.length === 1 ? chosen[0]! : '';
  return (
    <div class="line">
      <div class="seg" role="group" aria-label="State">
        {states.map(([value, word]) => <button key={value} type="button" aria-pressed={state === value && chosen.length < 2} onClick={() => set('state', value)}>{word}</button>)}
      </div>
      <select aria-label="Other states" value={otherStates.includes(state) ? state : ''} onChange={(event) => set('state', event.currentTarget.value)}>
        <option value="">other states</option>
        {otherStates.map((value) => <option key={value} value={value}>{stateWord(value)}</option>)}
      </select>
      <select aria-label="Peer that it ran on" value={place.query.get('peer') ?? ''} onChange={(event) => set('peer', event.currentTarget.value)}>
        <option value="">any peer</option>
        {[...new Set([...peers.map(({ peer }) => peer), ...place.query.getAll('peer')])].map((peer) => <option key={peer} value={peer}>{plain(peer)}</option>)}
      </select>
      <select aria-label="Accepted" value={place.query.get('since') ?? ''} onChange={(event) => set('since', event.currentTarget.value)}>
        {spans.map(([value, word]) => <option key={value} value={value}>{word}</option>)}
      </select>
      <label><input type="checkbox" checked={place.query.has('retried')} onChange={(event) => set('retried', event.currentTarget.checked ? '1' : '')} />tried again</label>
      <input type="search" aria-label="Text in id, function, peer or error" placeholder="id, function, peer, error" maxLength={200} value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} />
      {program === null ? null : <button type="button" onClick={() => set('program', '')} title="show other programs too">program <span class="mono">{program.slice(0, 12)}</span> ✕</button>}
      {place.query.toString() === '' ? null : <button type="button" class="plain" onClick={() => replaceQuery(place, new URLSearchParams())}>clear</button>}
    </div>
  );
}

const isOf = (filter: ApiFilter, open: boolean): boolean => filter.state === undefined || filter.state.some((state) => state === (open ? 'open' : 'ended') || (state !== 'open' && state !== 'ended' && isOpen(state) === open));

/** For all that match, not only those in sight; the count is frozen before one is asked. */
function Bulk({ filter, pages, address }: { filter: ApiFilter; pages: Pages; address: string }) {
  const [asked, setAsked] = useState<{ what: 'cancel' | 'again'; total: number; asOf: number }>();
  const [report, setReport] = useState<ApiBulkDone>();
  const [problem, setProblem] = useState<Shown>();
  const [busy, setBusy] = useState(false);
  useEffect(() => setReport(undefined), [address]);
  if (address === '') return null;
  const { total, asOf } = pages.state;
  const ask = (what: 'cancel' | 'again') => asOf !== undefined && setAsked({ what, total, asOf });
  const answer = async (yes: boolean) => {
    const what = asked;
    setAsked(undefined);
    if (!yes || what === undefined) return;
    setBusy(true);
    setProblem(undefined);
    try {
      setReport(await bulk(what.what, filter, what.asOf, what.total));
      await pages.renew();
    } catch (error) {
      setProblem(shownOf(error));
    } finally {
      setBusy(false);
    }
  };
  const question: Question | undefined =
    asked === undefined
      ? undefined
      : asked.what === 'cancel'
        ? { title: `Cancel what has not ended of ${plural(asked.total, 'task')}?`, text: 'Those that match now and still wait or run are cancelled. What was accepted after this list was made is left alone.', yes: 'Cancel them', danger: true }
        : { title: `Run again what has ended of ${plural(asked.total, 'task')}?`, text: 'Each is submitted once more with the same program, arguments and options, under a new id.', yes: 'Run them again' };
  return (
    <>
      {isOf(filter, true) ? <button type="button" disabled={busy || total === 0} onClick={() => ask('cancel')}>Cancel all …</button> : null}
      {isOf(filter, false) ? <button type="button" disabled={busy || total === 0} onClick={() => ask('again')}>Run all again …</button> : null}
      {busy ? <span class="quiet">working …</span> : null}
      {report === undefined ? null : (
        <span class={report.failed > 0 ? 'tone-warn' : 'quiet'} role="status" title={report.problems.map(({ id, message }) => `${id}: ${message}`).join('\n')}>
          {report.failed > 0 ? '△ ' : ''}{plural(report.done, 'task')} done{report.failed > 0 ? `, ${count(report.failed)} not: ${plain(report.problems[0]?.message ?? '')}` : ''}
        </span>
      )}
      {problem === undefined ? null : <span class="tone-fail" role="alert">{problem.message}</span>}
      <Confirm question={question} onAnswer={(yes) => void answer(yes)} />
    </>
  );
}
