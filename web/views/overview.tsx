/** The pool in ten seconds: one sentence, trouble if there is any, each peer in a row, the last minutes. */
import type { ApiCounts, ApiFailure, ApiPeer, ApiStatus } from '../../src/wire/api.ts';
import { Ago, Quiet, StateMark, Time, useLive, useTitle } from '../parts/bits.tsx';
import { Plots } from '../parts/plots.tsx';
import { Meter, Slots } from '../parts/slots.tsx';
import { linkTo } from '../router.ts';
import { count, percent, plain, plural, roughly, stateWord, toneOf } from '../words.ts';

export function Overview() {
  const { state, status, peers, counts, failures, samples } = useLive();
  const busy = sum(peers, 'running');
  const slots = sum(peers, 'slots');
  useTitle(status === undefined ? 'potluck' : `${busy}/${slots} · ${status.peer}`, (status?.health.length ?? 0) > 0 ? 'warn' : busy > 0 ? 'run' : 'idle');
  if (status === undefined || counts === undefined) return <main aria-busy={state === 'loading'}><Quiet>Asking the peer …</Quiet></main>;
  return (
    <main>
      <h1 class="sr">Overview of {status.peer}</h1>
      <p class="sentence">{sentence(peers, counts)}</p>
      <Health health={status.health} />
      <Peers peers={peers} />
      <Plots samples={samples} />
      {failures.length === 0 ? null : <Failures failures={failures} />}
      <OwnFacts status={status} counts={counts} />
    </main>
  );
}

const isUp = ({ state }: ApiPeer): boolean => state === 'up' || state === 'draining';
const sum = (peers: readonly ApiPeer[], field: 'running' | 'slots'): number => peers.filter(isUp).reduce((total, peer) => total + peer[field], 0);

function sentence(peers: readonly ApiPeer[], { queued, waiting_for: why }: ApiCounts): string {
  const away = peers.length - peers.filter(isUp).length;
  const who = `${plural(peers.length - away, 'peer')}${away === 0 ? '' : ` (${away} away)`}`;
  const slots = `${count(sum(peers, 'running'))} of ${plural(sum(peers, 'slots'), 'slot')} busy`;
  if (queued === 0) return `${who}, ${slots}, nothing waits here.`;
  return `${who}, ${slots}, ${count(queued)} waiting here${why === null ? '' : `: ${plain(why)}`}.`;
}

const Health = ({ health }: { health: ApiStatus['health'] }) =>
  health.length === 0 ? null : (
    <section class="problems" aria-label="Problems">
      <ul>
        {health.map(({ problem, fix }) => (
          <li key={problem}>
            <span class="tone-warn"><span aria-hidden="true">△ </span>{plain(problem)}.</span> <span class="quiet">{plain(fix)}</span>
          </li>
        ))}
      </ul>
    </section>
  );

const Peers = ({ peers }: { peers: readonly ApiPeer[] }) => (
  <section>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Peer</th>
            <th scope="col">State</th>
            <th scope="col">Slots</th>
            <th scope="col" title="Reserved and used slots, as the tracker counts them">Reserved</th>
            <th scope="col" title="Measured CPU use of its machine">CPU</th>
            <th scope="col" class="num">Waiting</th>
            <th scope="col" class="hide-m">Runs</th>
            <th scope="col" class="hide-m">Isolation</th>
            <th scope="col" class="hide-s">Page</th>
          </tr>
        </thead>
        <tbody>{peers.map((peer) => <PeerRow key={peer.peer} peer={peer} />)}</tbody>
      </table>
    </div>
  </section>
);

/** CPU counts in steps: finer differences are noise. */
const step = (cpu: number): number => Math.floor(cpu * 8) / 8;

const loopback = /^(?:localhost|\[?::1\]?|127\..*)$/;
/** A page that only its own machine reaches would lead to another peer's from here. */
const isElsewhere = ({ host, web }: ApiPeer): boolean => web !== null && loopback.test(new URL(web).hostname) && !loopback.test(host);

function PeerRow({ peer }: { peer: ApiPeer }) {
  const up = isUp(peer);
  const decides = !up ? undefined : step(peer.cpu_load) > peer.load ? 'cpu' : peer.load > 0 ? 'load' : undefined;
  return (
    <tr class={up ? '' : 'gone'}>
      <th scope="row" class="nowrap">
        <a href={linkTo(['tasks'], new URLSearchParams({ peer: peer.peer }))} title={`its tasks of this home`}>{plain(peer.peer)}</a>
        {peer.own ? <span class="quiet small"> this one</span> : null}
      </th>
      <td>
        {toneOf(peer.state) === 'done' ? <span class="quiet">up</span> : <StateMark state={peer.state} />}
        {peer.last_seen_at === null ? null : <span class="small"> seen <Ago at={peer.last_seen_at} /></span>}
      </td>
      <td>{up ? <Slots running={peer.running} slots={peer.slots} /> : '–'}</td>
      <td class={`nowrap ${decides === 'load' ? 'decides' : 'idle'}`} title={decides === 'load' ? 'this decides its place in the order' : ''}>
        {up ? <><Meter share={peer.load} />{percent(peer.load)}{decides === 'load' ? <span class="small quiet"> decides</span> : null}</> : '–'}
      </td>
      <td class={`nowrap ${decides === 'cpu' ? 'decides' : 'idle'}`} title={decides === 'cpu' ? 'this decides its place in the order' : ''}>
        {up ? <><Meter share={peer.cpu_load} />{percent(peer.cpu_load)}{decides === 'cpu' ? <span class="small quiet"> decides</span> : null}</> : '–'}
      </td>
      <td class="num">{up ? count(peer.queue_size) : '–'}</td>
      <td class="hide-m quiet nowrap">{Object.entries(peer.languages).map(([language, version]) => `${language} ${version}`).join(', ')}</td>
      <td class="hide-m quiet nowrap">{isolationWord(peer.isolation)}</td>
      <td class="hide-s">{peer.web === null || !up ? <span class="quiet">–</span> : peer.own ? <span class="quiet">here</span> : isElsewhere(peer) ? <span class="quiet" title="it is open on its own machine only (--web-host)">there only</span> : <a href={`${peer.web}/`} rel="noreferrer">open</a>}</td>
    </tr>
  );
}

const isolationWord = (level: number): string => ['0 bare', '1 limits', '2 walls'][level] ?? String(level);

const Failures = ({ failures }: { failures: readonly ApiFailure[] }) => (
  <section>
    <h2>Failures since this peer started</h2>
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col" class="num">Times</th>
            <th scope="col">Outcome</th>
            <th scope="col">Function</th>
            <th scope="col">Error</th>
            <th scope="col">Last</th>
          </tr>
        </thead>
        <tbody>
          {failures.map((failure) => (
            <tr key={`${failure.code} ${failure.type} ${failure.function} ${failure.program}`}>
              <td class="num">{count(failure.count)}</td>
              <td><StateMark state={failure.state} /></td>
              <td class="nowrap"><a href={linkTo(['tasks'], filterOf(failure))}>{plain(failure.function ?? 'another member\'s')}</a></td>
              <td class="cut" title={plain(failure.message ?? '')}>{plain(errorText(failure))}</td>
              <td class="nowrap"><a href={linkTo(['tasks', failure.last_id])}><Time at={failure.last_at} /></a></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);

const errorText = ({ code, type, message }: ApiFailure): string => (type !== null && message !== null && !message.startsWith(type) ? `${type}: ${message}` : (message ?? stateWord(code)));

function filterOf({ state, program }: ApiFailure): URLSearchParams {
  const query = new URLSearchParams({ state });
  if (program !== null) query.set('program', program.slice(0, 12));
  return query;
}

function OwnFacts({ status, counts }: { status: ApiStatus; counts: ApiCounts }) {
  const ended = Object.entries(counts.ended);
  return (
    <section>
      <h2>This peer, {plain(status.peer)}</h2>
      <dl class="facts">
        <dt>Load</dt>
        <dd>CPU {percent(status.cpu_load)}, {status.running} of {plural(status.slots, 'slot')} busy, {count(status.queue_size)} waiting</dd>
        <dt>Tasks of this home</dt>
        <dd>
          {count(counts.queued)} waiting, {count(counts.assigned + counts.running)} placed; since it started {count(counts.accepted)} accepted
          {ended.map(([state, times]) => <span key={state}>, {count(times)} <a href={linkTo(['tasks'], new URLSearchParams({ state }))}>{stateWord(state)}</a></span>)}
        </dd>
        <dt>Isolation</dt>
        <dd>level {isolationWord(status.isolation)}</dd>
        <dt>Tracker</dt>
        <dd class="mono">{status.tracker.host}:{status.tracker.port} <span class={status.tracker.connected ? 'quiet' : 'tone-warn'}>{status.tracker.connected ? 'connected' : '△ away'}</span></dd>
        <dt>Interpreters</dt>
        <dd class="mono">{[status.python, status.node].filter((path) => path !== null).join(', ') || 'none'}</dd>
        <dt>Pool</dt>
        <dd class="mono">{status.pool === '' ? 'none yet' : status.pool.slice(0, 16)}</dd>
        <dt>Version</dt>
        <dd>{status.version}, up {roughly(status.uptime_ms)} when this page was opened</dd>
      </dl>
    </section>
  );
}
