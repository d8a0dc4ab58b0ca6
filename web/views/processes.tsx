/** The workers of this peer: what runs where, and ending it. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiProcess } from '../../src/wire/api.ts';
import { endProcess, processes as askProcesses } from '../api.ts';
import { Confirm, Problem, Quiet, type Shown, shownOf, useLive, useTitle } from '../parts/bits.tsx';
import { linkTo } from '../router.ts';
import { count, percent, plain, roughly } from '../words.ts';

export function Processes() {
  const [rows, setRows] = useState<ApiProcess[]>();
  const [problem, setProblem] = useState<Shown>();
  const [asking, setAsking] = useState<ApiProcess>();
  const { state } = useLive();
  useTitle('processes · potluck', 'idle');
  useEffect(() => {
    const ask = () =>
      void askProcesses().then(
        (told) => { setRows(told); setProblem(undefined); },
        (error: unknown) => setProblem(shownOf(error)),
      );
    ask();
    const timer = setInterval(() => document.visibilityState === 'visible' && ask(), 1_000);
    return () => clearInterval(timer);
  }, [state]);
  const answer = (yes: boolean) => {
    const row = asking;
    setAsking(undefined);
    if (yes && row !== undefined) endProcess(row.pid).then(() => undefined, (error: unknown) => setProblem(shownOf(error)));
  };
  return (
    <main>
      <section>
        <h1>Processes of this peer</h1>
        {problem === undefined ? null : <Problem problem={problem} />}
        {rows === undefined ? <Quiet>Asking the peer …</Quiet> : rows.length === 0 ? <Quiet>No worker runs now. One is started when a task needs it.</Quiet> : <Table rows={rows} onEnd={setAsking} />}
      </section>
      <Confirm question={asking === undefined ? undefined : { title: `Kill process ${asking.pid}?`, text: asking.state === 'busy' ? 'The task that it runs fails; it is tried again if it has retries left.' : 'It runs nothing now. Another is started when a task needs one.', yes: 'Kill it', danger: true }} onAnswer={answer} />
    </main>
  );
}

const Table = ({ rows, onEnd }: { rows: readonly ApiProcess[]; onEnd: (row: ApiProcess) => void }) => (
  <div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col" class="num">Pid</th>
          <th scope="col">State</th>
          <th scope="col">Language</th>
          <th scope="col">Runs</th>
          <th scope="col">For</th>
          <th scope="col" class="num">CPU</th>
          <th scope="col" class="num">Memory</th>
          <th scope="col" class="num">Up</th>
          <th scope="col" class="num">Tasks run</th>
          <th scope="col" class="num">Isolation</th>
          <th scope="col"><span class="sr">Kill</span></th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.pid}>
            <td class="num mono">{row.pid}</td>
            <td><span class={`state ${row.state === 'busy' ? 'tone-run' : 'tone-wait'}`}><i aria-hidden="true">{row.state === 'busy' ? '◐' : '○'}</i>{row.state}</span></td>
            <td>{row.language}</td>
            <td class="nowrap">{row.task === null ? <span class="quiet">–</span> : <a href={linkTo(['tasks', row.task])}>{plain(row.function ?? row.task)}</a>}</td>
            <td class="quiet mono">{row.submitter === 'own' ? 'own tasks' : row.submitter === '' ? '–' : row.submitter.slice(0, 12)}</td>
            <td class="num">{row.cpu === null ? '–' : percent(row.cpu)}</td>
            <td class="num nowrap">{row.rss_mb === null ? '–' : `${row.rss_mb} MB`}</td>
            <td class="num nowrap">{roughly(row.since_ms)}</td>
            <td class="num">{count(row.tasks_run)}</td>
            <td class="num">{row.isolation}</td>
            <td class="num"><button type="button" onClick={() => onEnd(row)}>Kill …<span class="sr"> process {row.pid}</span></button></td>
          </tr>
        ))}
      </tbody>
    </table>
  </div>
);
