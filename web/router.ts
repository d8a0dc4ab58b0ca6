/** Where in the page one is: all of it after #, so that a link from anywhere leads to the shell alone. */
import { useEffect, useState } from 'preact/hooks';

export interface Place {
  /** `['tasks', ID]`. */
  path: string[];
  query: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  return { path: path.split('/').filter((part) => part !== '').map(decode), query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // somebody typed a % that stands for nothing
  }
}

export function linkTo(path: readonly string[], query?: URLSearchParams): string {
  const text = query?.toString() ?? '';
  return `#/${path.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`;
}

export const go = (path: readonly string[], query?: URLSearchParams): void => void (location.hash = linkTo(path, query));

/** Another filter is another address, but not another step back. */
export function replaceQuery(place: Place, query: URLSearchParams): void {
  history.replaceState(history.state, '', linkTo(place.path, query));
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const moved = () => setPlace(placeOf(location.hash));
    window.addEventListener('hashchange', moved);
    return () => window.removeEventListener('hashchange', moved);
  }, []);
  return place;
}
