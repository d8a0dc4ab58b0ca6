/** The page of a peer: the frame, and which view is in it. */
import './style.css';
import { type FunctionComponent, render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { logout, storedToken } from './api.ts';
import { start } from './live.ts';
import { Jump } from './parts/jump.tsx';
import { useLive, useTick } from './parts/bits.tsx';
import { Keys } from './parts/keys.tsx';
import { nextTheme } from './theme.ts';
import { linkTo, type Place, usePlace } from './router.ts';
import { Login, takeCode } from './views/login.tsx';
import { Overview } from './views/overview.tsx';
import { TaskPage } from './views/task.tsx';
import { Tasks } from './views/tasks.tsx';
import { plain, roughly } from './words.ts';

const views: readonly { path: string; name: string }[] = [
  { path: '', name: 'Overview' },
  { path: 'tasks', name: 'Tasks' },
  { path: 'submit', name: 'Submit' },
  { path: 'processes', name: 'Processes' },
  { path: 'pool', name: 'Pool' },
  { path: 'access', name: 'Access' },
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
      <header class="top">
        <div>
          <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>to the content</a>
          <a class="peer" href="#/">{status === undefined ? 'potluck' : plain(status.peer)}</a>
          <nav aria-label="Views">
            {views.map(({ path, name }) => (
              <a key={path} href={linkTo(path === '' ? [] : [path])} aria-current={view === path ? 'page' : undefined}>{name}</a>
            ))}
          </nav>
          <Jump />
          <span class="tools">
            <button type="button" class="plain" onClick={nextTheme} title="light, dark, or as the system">theme</button>
            <button type="button" class="plain" onClick={() => void logout()}>log out</button>
          </span>
        </div>
      </header>
      <Silence />
      <div id="main" tabIndex={-1}><View place={place} /></div>
      <Keys />
    </>
  );
}

function View({ place }: { place: Place }) {
  const [view, id] = place.path;
  if (view === undefined) return <Overview />;
  if (view === 'tasks') return id === undefined ? <Tasks place={place} /> : <TaskPage key={id} id={id} place={place} />;
  if (view === 'submit') return <Submit place={place} />;
  if (view === 'processes') return <Processes />;
  if (view === 'pool') return <Pool />;
  if (view === 'access') return <Access />;
  return <main><h1>There is nothing at this address</h1><p><a href="#/">To the overview</a></p></main>;
}

/** Views that are not looked at first are loaded when they are. */
const Submit = later(async () => (await import('./views/submit.tsx')).Submit);
const Processes = later(async () => (await import('./views/processes.tsx')).Processes);
const Pool = later(async () => (await import('./views/pool.tsx')).Pool);
const Access = later(async () => (await import('./views/access.tsx')).Access);

function later<Props extends object>(load: () => Promise<FunctionComponent<Props>>): FunctionComponent<Props> {
  let Loaded: FunctionComponent<Props> | undefined;
  return (props) => {
    const [, redraw] = useState(false);
    useEffect(() => {
      if (Loaded !== undefined) return;
      void load().then((view) => {
        Loaded = view;
        redraw(true);
      });
    }, []);
    return Loaded === undefined ? <main aria-busy="true" /> : <Loaded {...props} />;
  };
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
const root = document.getElementById('app')!;
root.replaceChildren();
render(<App code={code} />, root);
