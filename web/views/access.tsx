/** Who may look at this page: sessions of browsers and tokens of scripts. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiKey } from '../../src/wire/api.ts';
import { endLogin, logins } from '../api.ts';
import { Confirm, Copy, Problem, Quiet, type Shown, shownOf, Time, useTick, useTitle } from '../parts/bits.tsx';
import { plain, roughly } from '../words.ts';

export function Access() {
  const [rows, setRows] = useState<ApiKey[]>();
  const [problem, setProblem] = useState<Shown>();
  const [asking, setAsking] = useState<ApiKey>();
  useTitle('access · potluck', 'idle');
  const ask = () => void logins().then(setRows, (error: unknown) => setProblem(shownOf(error)));
  useEffect(ask, []);
  const answer = (yes: boolean) => {
    const row = asking;
    setAsking(undefined);
    if (yes && row !== undefined) void endLogin(row.kind, row.id).then(ask, (error: unknown) => setProblem(shownOf(error)));
  };
  const make = `potluck page --token NAME --ttl 30d`;
  return (
    <main>
      <section>
        <h1>Who is logged in at this page</h1>
        <p class="quiet">
          A browser logs in by the link that <code>potluck page</code> prints on the machine of this peer. A script sends a token: <code>{make}</code> <Copy text={make} what="the command" /> What there is to ask is described at <code>/api/v1/openapi.json</code>.
        </p>
        {problem === undefined ? null : <Problem problem={problem} />}
        {rows === undefined ? <Quiet>Asking the peer …</Quiet> : <Table rows={rows} onEnd={setAsking} />}
      </section>
      <Confirm question={asking === undefined ? undefined : { title: `End this ${asking.kind}?`, text: asking.current ? 'It is the one with which you are logged in here: you have to log in again.' : `${plain(asking.name)} is out at once.`, yes: 'End it', danger: true }} onAnswer={answer} />
    </main>
  );
}

function Table({ rows, onEnd }: { rows: readonly ApiKey[]; onEnd: (row: ApiKey) => void }) {
  const now = useTick(1_000);
  return (
    <div class="scroll">
      <table>
        <thead><tr><th scope="col">Kind</th><th scope="col">Name</th><th scope="col">Id</th><th scope="col">Made</th><th scope="col" class="num">Ends in</th><th scope="col"><span class="sr">End</span></th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.kind}${row.id}`}>
              <td class="nowrap">{row.kind}{row.current ? <span class="quiet small"> this one</span> : null}</td>
              <td class="cut" title={plain(row.name)}>{plain(row.kind === 'session' ? browserOf(row.name) : row.name)}</td>
              <td class="mono">{row.id}</td>
              <td><Time at={row.created_at} /></td>
              <td class="num nowrap">{roughly(Date.parse(row.expires_at) - now)}</td>
              <td class="num"><button type="button" onClick={() => onEnd(row)}>End …<span class="sr"> {row.kind} {row.id}</span></button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `Firefox 140 on Linux` of what a browser says of itself. */
function browserOf(agent: string): string {
  const [, name, version] = /(Firefox|Edg|OPR|Chrome|Version)\/(\d+)(?!.*(?:Edg|OPR)\/)/.exec(agent) ?? [];
  if (name === undefined) return agent;
  const system = /Windows|Android|iPhone|iPad|Mac OS X|Linux/.exec(agent)?.[0] ?? '';
  return `${{ Edg: 'Edge', OPR: 'Opera', Version: 'Safari' }[name] ?? name} ${version}${system === '' ? '' : ` on ${system}`}`;
}
