/** What `potluck peers` shows. */
import { exit } from '../errors.ts';
import { isLoopback } from '../lib/hosts.ts';
import type { PeerRow } from '../sdk/index.ts';
import { connectTo, type ClientFlags, type Context } from './context.ts';
import { acceptsText, percent, stateText } from './format.ts';
import { table, type Column } from './table.ts';

const columns: readonly Column<PeerRow>[] = [
  { title: 'PEER', value: ({ peer }) => peer },
  { title: 'STATE', value: ({ state }) => stateText(state) },
  { title: 'CPU', value: (peer) => percent(peer.cpu_load), drop: 1, right: true },
  { title: 'LOAD', value: ({ load }) => percent(load), drop: 2, right: true },
  { title: 'BUSY', value: ({ running, slots }) => `${running} of ${slots}`, right: true },
  { title: 'WAITING', value: (peer) => String(peer.queue_size), drop: 4, right: true },
  { title: 'ADDRESS', value: ({ host, port }) => `${host}:${port}`, drop: 5 },
  { title: 'PAGE', value: pageText, drop: 6 },
  { title: 'LANGUAGES', value: ({ languages }) => Object.keys(languages ?? {}).join(', '), drop: 7 },
  { title: 'ISOLATION', value: ({ isolation }) => String(isolation), drop: 8, right: true },
  { title: 'TAKES', value: acceptsText, drop: 3 },
];

/** A page that only its own machine reaches would be another peer's here. */
function pageText({ host, web }: PeerRow): string {
  if (web === undefined || web === null) return '-';
  return isLoopback(new URL(web).hostname) && !isLoopback(host) ? 'on its machine' : web;
}

export async function runPeers(context: Context<ClientFlags>): Promise<number> {
  const { terminal, flags } = context;
  const pool = await connectTo(context);
  try {
    if (flags.json === true) terminal.out(`${await pool.askText({ what: 'peers' })}\n`);
    else terminal.outLines(peersLines(await pool.peers(), terminal.outWidth, (text) => terminal.bold(text)));
    return exit.done;
  } finally {
    await pool.close();
  }
}

export function peersLines(peers: readonly PeerRow[], width: number, bold: (text: string) => string): string[] {
  if (peers.length === 0) return ['no peers are known: is the tracker running? (potluck tracker)'];
  return table(columns, peers, width, bold);
}
