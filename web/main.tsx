/** The page of a peer: the frame, and which view is in it. */
import './style.css';
import { render } from 'preact';
import { logout, storedToken } from './api.ts';
import { start } from './live.ts';
import { Jump } from './parts/jump.tsx';
import { useLive, useTick } from './parts/bits.tsx';
import { Keys } from './parts/keys.tsx';
import { nextTheme } from './theme.ts';
import { linkTo, usePlace } from './router.ts';
import { Login, takeCode } from './views/login.tsx';
import { Overview } from './views/overview.tsx';
import { plain, roughly } from './words.ts';

const views: readonly { path: string; name: string }[] = [
  { path: '', name: 'Overview' },
];

function App({ code }: { code: string | undefined }) {
  const { state } = useLive();
  if (code !== undefined || storedToken() === null || state === 'logged out') return <Login code={code} />;
  return <Frame />;
}

function Frame() {
  const place = usePlace();
  const { status } = useLive();
  const [view = ''] = place.path;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.querySelector<HTMLElement>('main')?.focus(); }}>to the content</a>
      <header class="top">
        <div>
          <a class="peer" href="#/">{status === undefined ? 'potluck' : plain(status.peer)}</a>
          <nav aria-label="Views">
            {views.map(({ path, name }) => (
              <a key={path} href={linkTo(path === '' ? [] : [path])} aria-current={view === path ? 'page' : undefined}>{name}</a>
            ))}
          </nav>
          <Jump />
          <button type="button" class="plain" onClick={nextTheme} title="light, dark, or as the system">theme</button>
          <button type="button" class="plain" onClick={() => void logout()}>log out</button>
        </div>
      </header>
      <Silence />
      <View view={view} />
      <Keys />
    </>
  );
}

function View({ view: _view }: { view: string }) {
  return <Overview />;
}

/** Unknown is not none: what is on the screen is old, and this says how old. */
function Silence() {
  const { state, heardAt } = useLive();
  const now = useTick(1_000);
  if (state !== 'stale') return null;
  return (
    <div class="banner" role="status">
      <span>△ The peer is not answering; last heard {roughly(now - heardAt)} ago. Trying again.</span>
    </div>
  );
}

const code = takeCode();
if (code === undefined) start();
render(<App code={code} />, document.getElementById('app')!);
