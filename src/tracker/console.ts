/**
 * What a tracker shows of its pool: on a terminal a table that repaints, in a pipe one line per event.
 */
import type { PeerInfo } from '../wire/index.ts';
import type { PoolNews } from './tracker-state.ts';

const percent = (part: number): string => `${Math.round(part * 100)} %`;
const slotsOf = (info: PeerInfo): string => `${info.running}/${info.slots}`;

/** One line for an event; undefined when it is not worth one. */
export function newsLine({ what, peer }: PoolNews, at: Date): string | undefined {
  const time = at.toTimeString().slice(0, 8);
  switch (what) {
    case 'registered':
      return `${time} ${peer.peer} registered: ${peer.addresses.map(({ host, port }) => `${host}:${port}`).join(', ')}, ${peer.slots} slots, ${Object.entries(peer.languages).map(([language, version]) => `${language} ${version}`).join(', ')}`;
    case 'back':
      return `${time} ${peer.peer} is back`;
    case 'load':
      return `${time} ${peer.peer} ${slotsOf(peer)} slots running, CPU ${percent(peer.cpu_load)}, ${peer.queued} waiting`;
    case 'suspected':
      return `${time} ${peer.peer} suspected: its link closed`;
    case 'lost':
      return `${time} ${peer.peer} lost`;
    case 'draining':
      return `${time} ${peer.peer} is draining`;
    case 'replaced':
      return `${time} ${peer.peer} was started again; its former process no longer counts`;
  }
}

/** The pool as a table, cut to the width of the terminal. */
export function poolTable(peers: readonly PeerInfo[], columns: number): string {
  const rows = [
    ['PEER', 'STATE', 'RUNNING', 'CPU', 'WAITING', 'ADDRESS'],
    ...peers
      .toSorted((a, b) => (a.peer < b.peer ? -1 : 1))
      .map((info) => [info.peer, info.state, slotsOf(info), percent(info.cpu_load), String(info.queued), `${info.addresses[0]?.host ?? ''}:${info.addresses[0]?.port ?? ''}`]),
  ];
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const line = (row: string[]) => row.map((cell, at) => cell.padEnd(widths[at]!)).join('  ').trimEnd().slice(0, Math.max(20, columns));
  return rows.map(line).join('\n');
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const repaintMsMin = 200;
const clearBelow = '\u001b[0J';

/** Keeps the table at the bottom of a terminal, and events as lines above it. */
export class Console {
  readonly #out: Output;
  readonly #peers: () => PeerInfo[];
  readonly #repaints: boolean;
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: Output, peers: () => PeerInfo[], repaints: boolean) {
    this.#out = out;
    this.#peers = peers;
    this.#repaints = repaints;
  }

  news(news: PoolNews): void {
    if (!this.#repaints) {
      const line = newsLine(news, new Date());
      if (line !== undefined) this.#out.write(`${line}\n`);
      return;
    }
    if (news.what !== 'load') {
      const line = newsLine(news, new Date());
      if (line !== undefined) this.#above(line);
    }
    this.#timer ??= setTimeout(() => this.#repaint(), repaintMsMin);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #above(line: string): void {
    this.#out.write(`${this.#erase()}${line}\n`);
    this.#drawn = 0;
  }

  #repaint(): void {
    this.#timer = undefined;
    const table = poolTable(this.#peers(), this.#out.columns ?? 80);
    this.#out.write(`${this.#erase()}${table}\n`);
    this.#drawn = table.split('\n').length;
  }

  #erase(): string {
    return this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r${clearBelow}`;
  }
}
