/** For who has no login: what to type, in one sentence. */
import { useEffect, useState } from 'preact/hooks';
import { login, storedPeer, storedToken } from '../api.ts';
import { Problem, type Shown, shownOf, useTitle } from '../parts/bits.tsx';

/** The code stands behind # so that it is in no request, and is taken out of the address at once. */
export function takeCode(): string | undefined {
  const code = /^#k=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  if (code !== undefined) history.replaceState(null, '', location.pathname);
  return code;
}

export function Login({ code }: { code: string | undefined }) {
  const [problem, setProblem] = useState<Shown>();
  useTitle('log in · potluck', 'idle');
  useEffect(() => {
    if (code === undefined) return;
    login(code).then(
      () => location.reload(),
      (error: unknown) => setProblem(shownOf(error)),
    );
  }, [code]);
  if (code !== undefined && problem === undefined) return <p class="boot quiet">Logging in …</p>;
  const port = location.port;
  const isIn = storedToken() !== null;
  return (
    <main class="login">
      <h1>{isIn ? `You are logged in at ${storedPeer()} already` : `You are not logged in at ${storedPeer()}`}</h1>
      {problem === undefined ? null : <Problem problem={problem} />}
      {isIn ? <p><a href="/" onClick={() => setTimeout(() => location.reload())}>To the overview</a></p> : null}
      <p>
        On the machine of this peer, type <code>potluck page</code> and open the link that it prints.
      </p>
      <p class="quiet">
        If the machine runs several peers, say which: <code class="whole">potluck page --port PORT</code>. This page is on port {port}.
      </p>
    </main>
  );
}
