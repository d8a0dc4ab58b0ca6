/** One task: where it is, why it waits, why it ran there, what came of it. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiTask } from '../../src/wire/api.ts';
import { again, ApiError, cancel, task as askTask } from '../api.ts';
import { Ago, Confirm, Copy, type Icon, Problem, Quiet, type Shown, shownOf, StateMark, Time, useLive, useTick, useTitle } from '../parts/bits.tsx';
import { Output, useLineOf } from '../parts/output.tsx';
import { ValueBox } from '../parts/value.tsx';
import { go, type Place } from '../router.ts';
import { duration, exact, glyphs, isOpen, percent, plain, plural, roughly, stateWord, type Tone, toneOf } from '../words.ts';

const icons: Readonly<Record<Tone, Icon>> = { wait: 'idle', run: 'run', done: 'done', warn: 'warn', fail: 'fail' };
const pollMs = 1_000;

/** The task as it is now, asked for again until it has ended. */
export function useTask(id: string): { task: ApiTask | undefined; problem: Shown | undefined; missing: boolean } {
  const [known, setKnown] = useState<{ id: string; task?: ApiTask; problem?: Shown; missing?: boolean }>({ id });
  const { state: live } = useLive();
  const task = known.id === id ? known.task : undefined;
  const over = task !== undefined && !isOpen(task.state);
  useEffect(() => {
    if (over) return;
    const abort = new AbortController();
    const ask = async () => {
      try {
        setKnown({ id, task: await askTask(id, abort.signal) });
      } catch (error) {
        if (!abort.signal.aborted) setKnown((before) => ({ ...(before.id === id ? before : { id }), problem: shownOf(error), missing: error instanceof ApiError && error.status === 404 }));
      }
    };
    void ask();
    const timer = setInterval(() => void ask(), pollMs);
    return () => {
      abort.abort();
      clearInterval(timer);
    };
  }, [id, over, live]);
  return { task, problem: known.id === id ? known.problem : undefined, missing: known.missing === true };
}

export function TaskPage({ id, place }: { id: string; place: Place }) {
  const { task, problem, missing } = useTask(id);
  const tone = task === undefined ? 'wait' : toneOf(task.state);
  useTitle(task === undefined ? 'task · potluck' : `${glyphs[tone]} ${plain(task.function ?? task.id)}${task.peer === null ? '' : ` · ${task.peer}`}`, icons[tone]);
  useLineOf(place.query.get('line'));
  if (task === undefined) {
    return <main>{problem === undefined ? <Quiet>Asking the home …</Quiet> : <><h1>{missing ? 'No such task' : 'The task cannot be shown'}</h1><Problem problem={problem} /></>}</main>;
  }
  return (
    <main>
      <TaskHead task={task} />
      <TaskBody task={task} />
    </main>
  );
}

function TaskHead({ task }: { task: ApiTask }) {
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<Shown>();
  const act = async (what: () => Promise<unknown>) => {
    setProblem(undefined);
    try {
      await what();
    } catch (error) {
      setProblem(shownOf(error));
    }
  };
  return (
    <section>
      <div class="line wide">
        <h1 class="line"><StateMark state={task.state} /><span class="mono">{plain(task.function ?? (task.own ? '' : 'another member\'s task'))}</span></h1>
        <span class="quiet">{where(task)}</span>
        <span class="line push">
          {isOpen(task.state) && task.own ? <button type="button" class="danger" onClick={() => setAsking(true)}>Cancel …</button> : null}
          {task.program !== undefined && task.own ? <button type="button" onClick={() => void act(async () => go(['tasks', (await again(task.id)).id]))}>Run again</button> : null}
          {task.program !== undefined && task.own ? <button type="button" onClick={() => go(['submit'], new URLSearchParams({ from: task.id }))}>Edit and run</button> : null}
        </span>
      </div>
      <div class="line"><span class="mono quiet">{task.id}</span><Copy text={task.id} what="id" /></div>
      {problem === undefined ? null : <Problem problem={problem} />}
      <Confirm question={asking ? { title: 'Cancel this task?', text: task.state === 'queued' ? 'It has not started and will not.' : 'Its process and everything that it started are killed.', yes: 'Cancel it', danger: true } : undefined} onAnswer={(yes) => { setAsking(false); if (yes) void act(() => cancel(task.id)); }} />
    </section>
  );
}

function where({ state, peer, attempt, run_ms: runMs, queued_ms: queuedMs }: ApiTask): string {
  const tries = attempt > 1 ? `, attempt ${attempt}` : '';
  if (state === 'queued') return `waiting for ${roughly(queuedMs)}${attempt > 0 ? `, attempt ${attempt + 1} comes next` : ''}`;
  if (isOpen(state)) return `on ${peer ?? '?'}${tries}`;
  return `${peer === null ? 'on no peer' : `on ${peer}`}${tries}${runMs === null ? '' : `, ran ${duration(runMs)}`}, waited ${duration(queuedMs)}`;
}

export function TaskBody({ task }: { task: ApiTask }) {
  return (
    <>
      {task.waiting === null ? null : <Waiting task={task} waiting={task.waiting} />}
      {task.error === undefined ? null : <Failure state={task.state} error={task.error} />}
      <div class="two">
        <div class="stack">
          {task.state === 'done' && task.own && task.result_bytes !== null ? <ValueBox id={task.id} name="result" size={task.result_bytes} /> : null}
          <Output task={task} />
        </div>
        <div class="stack">
          <TimeLine task={task} />
          <Receipt task={task} />
          {task.own && task.args_bytes !== null ? <ValueBox id={task.id} name="args" size={task.args_bytes} /> : null}
          {task.own && task.kwargs_bytes !== null ? <ValueBox id={task.id} name="kwargs" size={task.kwargs_bytes} /> : null}
          {task.own && task.program !== undefined ? <ValueBox id={task.id} name="program" size={null} note={`${task.language ?? ''} ${task.program.slice(0, 12)}`} /> : null}
          {task.options === undefined || Object.keys(task.options).length === 0 ? null : <Options options={task.options} />}
        </div>
      </div>
    </>
  );
}

const verdicts: Readonly<Record<string, string>> = { free: 'could take it now', busy: 'busy now', away: 'away', never: 'never as it is' };

/** A mere wait is nothing bad; what can never end is a warning. */
function Waiting({ task, waiting }: { task: ApiTask; waiting: NonNullable<ApiTask['waiting']> }) {
  const now = useTick(500);
  const last = task.attempts.at(-1);
  const groups = Object.entries(Object.groupBy(waiting.peers, ({ verdict, why }) => `${verdict}\n${why}`));
  return (
    <section class="box" aria-label="Why it waits">
      <header><h2>Why it waits</h2></header>
      <div class="in stack">
        <p>{plain(waiting.why)}.</p>
        {waiting.retry_at === null ? null : <p>Attempt {task.attempt + 1} in <b>{duration(Math.max(0, Date.parse(waiting.retry_at) - now))}</b>. {last?.reason == null ? '' : `The last one: ${plain(last.reason)}`}</p>}
        {waiting.ahead === 0 ? null : <p class="quiet">{plural(waiting.ahead, 'task')} of this home {waiting.ahead === 1 ? 'comes' : 'come'} first.</p>}
        <dl class="facts">
          {groups.map(([key, peers = []]) => [
            <dt key={`${key}t`}>{plural(peers.length, 'peer')} {verdicts[peers[0]?.verdict ?? '']}</dt>,
            <dd key={key}>{plain(peers[0]?.why ?? '')}: <span class="quiet">{peers.slice(0, 8).map(({ peer }) => peer).join(', ')}{peers.length > 8 ? ` and ${peers.length - 8} more` : ''}</span></dd>,
          ])}
        </dl>
        {waiting.fix === null ? null : <p class="tone-warn"><span aria-hidden="true">△ </span>{plain(waiting.fix)}</p>}
      </div>
    </section>
  );
}

function Failure({ state, error }: { state: string; error: NonNullable<ApiTask['error']> }) {
  const tone = toneOf(state);
  const message = error.type !== undefined && !error.message.startsWith(error.type) ? `${error.type}: ${error.message}` : error.message;
  return (
    <section class={`box ${tone === 'fail' ? 'error' : tone === 'warn' ? 'error late' : ''}`} aria-label="Error">
      <header><h2 class={`tone-${tone}`}>{stateWord(state)}</h2><span class="quiet small mono">{error.code}</span><span class="push" /><Copy text={error.traceback ?? message} what="the error" /></header>
      <div class="in stack">
        <p class="mono">{plain(message)}</p>
        {error.hint == null ? null : <p class="quiet">{plain(error.hint)}</p>}
        {error.traceback === undefined ? null : <pre tabIndex={0} aria-label="Traceback">{plain(error.traceback)}</pre>}
      </div>
    </section>
  );
}

/** Waiting and running have a scale each: an hour's wait does not flatten a run of seconds. */
function TimeLine({ task }: { task: ApiTask }) {
  const now = useTick(1_000);
  const { states = [], attempts, accepted_at: accepted, ended_at: ended } = task;
  if (accepted === undefined) return <section class="box"><header><h2>Of this task only the outcome is kept</h2></header></section>;
  const end = ended === undefined ? now : Date.parse(ended);
  const starts = attempts.map(({ at }) => Date.parse(at));
  const spans = attempts.map((attempt, at) => ({ ...attempt, ms: (starts[at + 1] ?? (isOpen(task.state) && task.state === 'queued' ? Date.parse(attempt.at) : end)) - starts[at]! }));
  const last = spans.at(-1);
  if (last !== undefined && task.run_ms !== null) last.ms = task.run_ms;
  const waits = [{ what: 'waited', ms: task.queued_ms }];
  const waitMax = Math.max(1, ...waits.map(({ ms }) => ms));
  const runMax = Math.max(1, ...spans.map(({ ms }) => ms));
  return (
    <section class="box" aria-label="Time line">
      <header><h2>Time line</h2></header>
      <div class="in scroll">
        <table>
          <tbody>
            <tr><td>accepted</td><td class="nowrap"><Time at={accepted} /></td><td /><td class="num quiet"><Ago at={accepted} /></td></tr>
            {waits.map(({ what, ms }) => <tr key={what}><td>{what}</td><td /><td style={{ width: '40%' }}><Bar share={ms / waitMax} /></td><td class="num nowrap">{duration(ms)}</td></tr>)}
            {spans.map(({ attempt, peer, state, reason, at, ms }) => (
              <tr key={attempt} title={reason === null ? '' : plain(reason)}>
                <td class="nowrap">attempt {attempt} <StateMark state={state} /></td>
                <td class="nowrap"><span title={exact(at)}>{plain(peer)}</span></td>
                <td><Bar share={ms / runMax} ran /></td>
                <td class="num nowrap">{duration(ms)}</td>
              </tr>
            ))}
            {ended === undefined ? null : <tr><td>{stateWord(states.at(-1)?.state ?? task.state)}</td><td class="nowrap"><Time at={ended} /></td><td /><td class="num quiet"><Ago at={ended} /></td></tr>}
          </tbody>
        </table>
        {spans.filter(({ reason, state }) => reason !== null && state !== task.state).map(({ attempt, reason }) => <p key={attempt} class="quiet small">attempt {attempt}: {plain(reason ?? '')}</p>)}
      </div>
    </section>
  );
}

const Bar = ({ share, ran = false }: { share: number; ran?: boolean }) => <div class="span" aria-hidden="true"><i class={ran ? 'ran' : ''} style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} /></div>;

const decided: Readonly<Record<string, string>> = {
  only_one: 'it was the only one with a free slot',
  cpu_load: 'its machine was the least busy by CPU',
  load: 'it had the fewest slots in use',
  rotation: 'among equals it had been used the longest ago',
  confidential: 'the task is confidential, so it stays at its home',
  ahead: 'it runs such short tasks in a row, sent ahead of its slots',
  from_memory: 'the tracker was away; of two that were known it was the less loaded',
};

function Receipt({ task }: { task: ApiTask }) {
  const { receipt } = task;
  if (receipt === null) return null;
  const passed = Object.entries(receipt.passed_over ?? {});
  return (
    <section class="box" aria-label="Why this peer">
      <header><h2>Why {plain(receipt.peer)}</h2></header>
      <div class="in stack">
        <p>{decided[receipt.decided] ?? receipt.decided}.</p>
        <table>
          <thead><tr><th scope="col">Candidate</th><th scope="col" class="num">Reserved</th><th scope="col" class="num">CPU</th></tr></thead>
          <tbody>{receipt.candidates.map(({ peer, load, cpu_load: cpu }) => <tr key={peer}><td>{peer === receipt.peer ? <b>{plain(peer)}</b> : plain(peer)}</td><td class="num">{percent(load)}</td><td class="num">{percent(cpu)}</td></tr>)}</tbody>
        </table>
        {passed.length === 0 ? null : <p class="quiet small">Not considered: {passed.map(([why, times]) => `${times} with ${why}`).join(', ')}.</p>}
      </div>
    </section>
  );
}

const Options = ({ options }: { options: NonNullable<ApiTask['options']> }) => (
  <section class="box" aria-label="Options">
    <header><h2>Options</h2></header>
    <dl class="in facts">{Object.entries(options).map(([name, value]) => [<dt key={`${name}t`}>{name}</dt>, <dd key={name} class="mono">{String(value)}</dd>])}</dl>
  </section>
);
