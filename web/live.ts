/**
 * What the page knows of the peer and the pool as it changes.
 *
 * Owns: one event stream for all tabs of a browser. The tab that holds the lock reads it and passes each event
 * on; when that tab closes, another takes over. Events carry whole topics, so a tab that missed some has them
 * again with the next.
 */
import type { ApiCounts, ApiFailure, ApiOverview, ApiPeer, ApiSample, ApiStatus } from '../src/wire/api.ts';
import { ApiError, loggedOut, overview, request, storedToken } from './api.ts';

export interface Live {
  /** `stale`: it was heard once and is silent now. */
  state: 'loading' | 'live' | 'stale' | 'logged out';
  status: ApiStatus | undefined;
  peers: ApiPeer[];
  counts: ApiCounts | undefined;
  failures: ApiFailure[];
  samples: ApiSample[];
  /** When the peer was last heard, by this machine's clock. */
  heardAt: number;
}

interface Told {
  event: string;
  data: unknown;
}

const samplesMax = 900;
/** Samples come each second. */
const staleMs = 4_000;
const retryMsMin = 500;
const retryMsMax = 5_000;

let live: Live = { state: 'loading', status: undefined, peers: [], counts: undefined, failures: [], samples: [], heardAt: 0 };
const listeners = new Set<() => void>();

export const current = (): Live => live;

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function change(more: Partial<Live>): void {
  live = { ...live, ...more };
  for (const listener of listeners) listener();
}

// --- events ----------------------------------------------------------------------------------

function take({ event, data }: Told): void {
  const heard = { heardAt: Date.now(), state: 'live' as const };
  switch (event) {
    case 'status':
      return change({ ...heard, status: { ...(data as ApiStatus), uptime_ms: live.status?.uptime_ms ?? 0 } });
    case 'peers':
      return change({ ...heard, peers: data as ApiPeer[] });
    case 'counts':
      return change({ ...heard, counts: data as ApiCounts });
    case 'failures':
      return change({ ...heard, failures: data as ApiFailure[] });
    case 'sample':
      return change({ ...heard, samples: [...live.samples, data as ApiSample].slice(-samplesMax) });
    case 'reset':
      return change({ ...heard, samples: (data as { samples: ApiSample[] }).samples });
    case 'logged_out':
      return void loggedOut.dispatchEvent(new Event('out'));
    default:
      return undefined;
  }
}

function takeOverview({ status, peers, counts, failures, samples }: ApiOverview): void {
  change({ state: 'live', heardAt: Date.now(), status, peers, counts, failures, samples });
}

/** Parses what server-sent events are made of, however the bytes were cut. */
class EventReader {
  #text = '';
  lastId: string | undefined;

  *read(text: string): Generator<Told> {
    this.#text += text;
    for (let end = this.#text.indexOf('\n\n'); end !== -1; end = this.#text.indexOf('\n\n')) {
      const lines = this.#text.slice(0, end).split('\n');
      this.#text = this.#text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const event = field('event');
      this.lastId = field('id') ?? this.lastId;
      if (event !== undefined) yield { event, data: JSON.parse(field('data') ?? 'null') as unknown };
    }
  }
}

// --- the one stream --------------------------------------------------------------------------

const channel = new BroadcastChannel('potluck-events');
const stopped = new AbortController();

export function start(): void {
  channel.addEventListener('message', ({ data }: MessageEvent<Told>) => take(data));
  loggedOut.addEventListener('out', () => change({ state: 'logged out' }));
  window.addEventListener('storage', ({ key }) => {
    if (key === 'potluck-token') location.reload();
  });
  setInterval(() => {
    if (live.state === 'live' && Date.now() - live.heardAt > staleMs) change({ state: 'stale' });
  }, 1_000);
  if (storedToken() === null) return change({ state: 'logged out' });
  void first();
  // Tabs that may not lock (an address without HTTPS) read a stream each.
  const lead = () => readForever(stopped.signal);
  if (navigator.locks === undefined) void lead();
  else void navigator.locks.request('potluck-events', lead);
}

async function first(): Promise<void> {
  for (let pause = retryMsMin; live.state === 'loading'; pause = Math.min(retryMsMax, pause * 2)) {
    try {
      return takeOverview(await overview());
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

async function readForever(signal: AbortSignal): Promise<void> {
  const reader = new EventReader();
  let pause = retryMsMin;
  while (!signal.aborted && storedToken() !== null) {
    try {
      const answer = await request('/api/v1/events', { headers: reader.lastId === undefined ? {} : { 'Last-Event-ID': reader.lastId }, signal });
      for await (const text of answer.body!.pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>) as unknown as AsyncIterable<string>) {
        pause = retryMsMin;
        for (const told of reader.read(text)) {
          take(told);
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel reaches this origin only
          channel.postMessage(told);
        }
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(retryMsMax, pause * 2);
  }
}
