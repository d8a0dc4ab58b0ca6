/** Who belongs to the pool: members, invitations, what happened. The tracker decides who may ask. */
import { useEffect, useState } from 'preact/hooks';
import type { ApiAuditLine, ApiInvitation, ApiMember } from '../../src/wire/api.ts';
import { audit as askAudit, invitations as askInvitations, invite, members as askMembers, revoke } from '../api.ts';
import { Ago, Confirm, Copy, Problem, Quiet, type Question, type Shown, shownOf, Time, useTick, useTitle } from '../parts/bits.tsx';
import { count, plain, roughly, stateWord } from '../words.ts';

interface Told {
  members: ApiMember[];
  invitations: ApiInvitation[];
  audit: ApiAuditLine[];
}

export function Pool() {
  const [told, setTold] = useState<Told>();
  const [problem, setProblem] = useState<Shown>();
  const [asking, setAsking] = useState<{ question: Question; what: 'members' | 'invitations'; id: string }>();
  useTitle('pool · potluck', 'idle');
  const fail = (error: unknown) => setProblem(shownOf(error));
  const ask = () =>
    void Promise.all([askMembers(), askInvitations(), askAudit()]).then(([members, invitations, audit]) => {
      setTold({ members, invitations, audit });
      setProblem(undefined);
    }, fail);
  useEffect(() => {
    ask();
    const timer = setInterval(() => document.visibilityState === 'visible' && ask(), 5_000);
    return () => clearInterval(timer);
  }, []);
  const answer = (yes: boolean) => {
    const asked = asking;
    setAsking(undefined);
    if (yes && asked !== undefined) void revoke(asked.what, asked.id).then(ask, fail);
  };
  const askMember = ({ name }: ApiMember) =>
    setAsking({ what: 'members', id: name, question: { title: `Revoke ${name}?`, text: 'Its links are cut within seconds. Its tasks end, what it runs for others runs elsewhere, and the invitations that it made or came by end, too. It cannot come back under this key.', yes: 'Revoke it', danger: true } });
  const askInvitation = ({ id }: ApiInvitation) =>
    setAsking({ what: 'invitations', id, question: { title: `End invitation ${id}?`, text: 'Nobody joins by it any more. Who has joined stays.', yes: 'End it', danger: true } });
  return (
    <main>
      <h1 class="sr">Pool</h1>
      {problem === undefined ? null : <Problem problem={problem} />}
      {told === undefined ? (problem === undefined ? <Quiet>Asking the tracker …</Quiet> : null) : (
        <>
          <Members rows={told.members} onRevoke={askMember} />
          <Invitations rows={told.invitations} onEnd={askInvitation} onMade={ask} />
          <Audit rows={told.audit} />
        </>
      )}
      <Confirm question={asking?.question} onAnswer={answer} />
    </main>
  );
}

const Members = ({ rows, onRevoke }: { rows: readonly ApiMember[]; onRevoke: (row: ApiMember) => void }) => (
  <section>
    <h2>Members</h2>
    <div class="scroll">
      <table>
        <thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">State</th><th scope="col">Machine</th><th scope="col">Last seen</th><th scope="col">Fingerprint</th><th scope="col"><span class="sr">Revoke</span></th></tr></thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.fingerprint} class={row.state === 'active' ? '' : 'gone'}>
              <th scope="row" class="nowrap">{plain(row.name)}</th>
              <td>{row.role}{row.tracker ? <span class="quiet small"> tracker</span> : null}</td>
              <td>{stateWord(row.state)}</td>
              <td>{plain(row.machine)}</td>
              <td>{row.connected ? 'now' : row.last_seen === null ? 'never' : <Ago at={row.last_seen} />}</td>
              <td class="mono">{row.fingerprint}</td>
              <td class="num">{row.state === 'active' && !row.tracker ? <button type="button" onClick={() => onRevoke(row)}>Revoke …<span class="sr"> {row.name}</span></button> : null}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);

function Invitations({ rows, onEnd, onMade }: { rows: readonly ApiInvitation[]; onEnd: (row: ApiInvitation) => void; onMade: () => void }) {
  const now = useTick(1_000);
  const [role, setRole] = useState('member');
  const [name, setName] = useState('');
  const [made, setMade] = useState<{ command: string; expires_at: string }>();
  const [problem, setProblem] = useState<Shown>();
  const make = (event: Event) => {
    event.preventDefault();
    setProblem(undefined);
    invite(role, name.trim()).then((invited) => { setMade(invited); onMade(); }, (error: unknown) => setProblem(shownOf(error)));
  };
  return (
    <section>
      <h2>Invitations</h2>
      <form class="line" onSubmit={make}>
        <label>As <select value={role} onChange={(event) => setRole(event.currentTarget.value)}><option value="member">member</option><option value="runner">runner, may only run</option><option value="admin">admin</option></select></label>
        <label>Name <input value={name} placeholder="theirs, if for one" maxLength={100} onInput={(event) => setName(event.currentTarget.value)} /></label>
        <button class="primary">Invite</button>
      </form>
      {problem === undefined ? null : <Problem problem={problem} />}
      {made === undefined ? null : (
        <div class="box">
          <header><span>Type this on the other machine; it is shown this once, and counts for {roughly(Date.parse(made.expires_at) - now)}</span><span class="push" /><Copy text={made.command} what="the command" /></header>
          <pre class="in" tabIndex={0} aria-label="Command that joins">{made.command}</pre>
        </div>
      )}
      {rows.length === 0 ? <Quiet>There are no invitations.</Quiet> : (
        <div class="scroll">
          <table>
            <thead><tr><th scope="col">Id</th><th scope="col">State</th><th scope="col">Role</th><th scope="col">Name</th><th scope="col" class="num">Used</th><th scope="col">By</th><th scope="col" class="num">Ends in</th><th scope="col"><span class="sr">End</span></th></tr></thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id} class={row.state === 'open' ? '' : 'gone'}>
                  <td class="mono">{row.id}</td><td>{stateWord(row.state)}</td><td>{row.role}</td><td>{plain(row.name ?? '–')}</td><td class="num">{row.used} of {row.joins}</td><td>{plain(row.by)}</td>
                  <td class="num nowrap">{Date.parse(row.expires_at) > now ? roughly(Date.parse(row.expires_at) - now) : '–'}</td>
                  <td class="num">{row.state === 'revoked' || Date.parse(row.expires_at) <= now ? null : <button type="button" onClick={() => onEnd(row)}>End …<span class="sr"> {row.id}</span></button>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const Audit = ({ rows }: { rows: readonly ApiAuditLine[] }) => (
  <section>
    <h2>What happened</h2>
    <div class="scroll">
      <table>
        <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Who</th><th scope="col" class="num">Times</th><th scope="col">Detail</th></tr></thead>
        <tbody>{rows.map((row, at) => <tr key={at}><td><Time at={row.at} /></td><td class="nowrap">{stateWord(row.what)}</td><td class="nowrap">{plain(row.who ?? '–')}</td><td class="num">{row.count === 1 ? '' : count(row.count)}</td><td class="cut" title={plain(row.detail)}>{plain(row.detail)}</td></tr>)}</tbody>
      </table>
    </div>
  </section>
);
