/**
 * What a tracker shows of its pool: on a terminal a table that repaints, in a pipe one line per event,
 * for programs one JSON document per event.
 */
import { isLoopback } from '../lib/hosts.ts';
import type { PeerInfo } from '../wire/index.ts';
import type { PoolNews } from './tracker-state.ts';

const percent = (part: number): string => `${Math.round(part * 100)} %`;
/** Of a peer that the other machines can reach: an address that they know it by. */
const addressOf = ({ addresses }: PeerInfo): { host: string; port: number } => addresses.find(({ host }) => !isLoopback(host)) ?? addresses[0] ?? { host: '', port: 0 };
const slotsOf = (info: PeerInfo): string => `${info.running}/${info.slots}`;

/** One line for an event. */
export function newsLine({ what, peer }: PoolNews, at: Date): string {
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
    case 'revoked':
      return `${time} ${peer.peer} revoked: its key is no member's any more`;
    case 'draining':
      return `${time} ${peer.peer} is draining`;
    case 'replaced':
      return `${time} ${peer.peer} was started again; its former process no longer counts`;
  }
}

/** The same event as a JSON document. */
export function newsJson({ what, peer }: PoolNews, at: Date): string {
  const { host, port } = addressOf(peer);
  return JSON.stringify({ at: at.toISOString(), event: what, peer: peer.peer, host, port, state: peer.state, running: peer.running, slots: peer.slots, cpu_load: peer.cpu_load, queue_size: peer.queued });
}

/** The pool as a table, cut to the width of the terminal. */
export function poolTable(peers: readonly PeerInfo[], columns: number): string {
  const rows = [
    ['PEER', 'STATE', 'RUNNING', 'CPU', 'WAITING', 'ADDRESS'],
    ...peers
      .toSorted((a, b) => (a.peer < b.peer ? -1 : 1))
      .map((info) => [info.peer, info.state, slotsOf(info), percent(info.cpu_load), String(info.queued), `${addressOf(info).host}:${addressOf(info).port}`]),
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
/** In a pipe, loads of one peer are at least this far apart: a line per task would hide everything else. */
const loadLineMsMin = 1_000;
/** A smaller change of CPU is no event. */
const cpuStep = 1 / 8;

interface LoadLine {
  told: string;
  at: number;
  timer: NodeJS.Timeout | undefined;
}

const loadKey = ({ running, slots, queued, cpu_load }: PeerInfo): string => `${running}/${slots} ${queued} ${Math.round(cpu_load / cpuStep)}`;
const clearBelow = '\u001b[0J';

/** Keeps the table at the bottom of a terminal, and events as lines above it. */
export class Console {
  readonly #out: Output;
  readonly #peers: () => PeerInfo[];
  readonly #form: 'table' | 'lines' | 'json';
  readonly #lineOf: (news: PoolNews, at: Date) => string;
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #loads = new Map<string, LoadLine>();

  constructor(out: Output, peers: () => PeerInfo[], form: 'table' | 'lines' | 'json') {
    this.#out = out;
    this.#peers = peers;
    this.#form = form;
    this.#lineOf = form === 'json' ? newsJson : newsLine;
  }

  news(news: PoolNews): void {
    if (this.#form !== 'table') return this.#printed(news);
    if (news.what !== 'load') this.#above(newsLine(news, new Date()));
    this.#timer ??= setTimeout(() => this.#repaint(), repaintMsMin);
  }

  /** Something that is not about load: who joined. */
  said(line: string): void {
    const at = new Date();
    if (this.#form === 'json') this.#out.write(`${JSON.stringify({ at: at.toISOString(), event: 'joined', message: line })}\n`);
    else this.#above(`${at.toTimeString().slice(0, 8)} ${line}`);
    if (this.#form === 'table') this.#timer ??= setTimeout(() => this.#repaint(), repaintMsMin);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const { timer } of this.#loads.values()) clearTimeout(timer);
  }

  #printed(news: PoolNews): void {
    if (news.what === 'load') return this.#loadChanged(news.peer.peer);
    this.#out.write(`${this.#lineOf(news, new Date())}\n`);
  }

  /** Prints a load that differs from the one printed last, soon enough but not too often. */
  #loadChanged(peer: string): void {
    const load = this.#loads.get(peer) ?? { told: '', at: -Infinity, timer: undefined };
    this.#loads.set(peer, load);
    if (load.timer !== undefined) return;
    const print = () => {
      load.timer = undefined;
      const info = this.#peers().find((each) => each.peer === peer);
      // Of one that is away nothing is heard; its machine's CPU may still change by others' word.
      if (info === undefined || info.state === 'suspected' || info.state === 'lost' || loadKey(info) === load.told) return;
      load.told = loadKey(info);
      load.at = performance.now();
      this.#out.write(`${this.#lineOf({ what: 'load', peer: info }, new Date())}\n`);
    };
    const waitMs = load.at + loadLineMsMin - performance.now();
    if (waitMs <= 0) print();
    else load.timer = setTimeout(print, waitMs);
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
