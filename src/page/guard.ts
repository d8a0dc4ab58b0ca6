/**
 * Who may speak to the page at all: decided from a request's headers, before any route is looked at.
 *
 * Owns: Host, Origin and Sec-Fetch-Site. Who is logged in: logins.ts.
 *
 * Invariants
 * 1. A request is answered only under a name of ours with our port: a name that somebody else's DNS points
 *    here is refused.
 * 2. What another site's page sends is refused, but a link to `GET /`, which is a shell without data.
 * 3. Nothing here sends a CORS header: no other origin may read an answer.
 */
import { PotluckError } from '../errors.ts';

export interface Asked {
  method: string;
  path: string;
  host: string | undefined;
  origin: string | undefined;
  /** Sec-Fetch-Site and -Mode, which browsers send and pages cannot forge. */
  site: string | undefined;
  mode: string | undefined;
  /** It shows a script's token, which no browser adds by itself. */
  byToken: boolean;
}

export interface OwnAddress {
  scheme: 'http' | 'https';
  port: number;
  /** Names under which this page may be reached, in lower case; IPv6 in brackets. */
  names: ReadonlySet<string>;
}

export const reads = (method: string): boolean => method === 'GET' || method === 'HEAD';

/** Why the request is refused, with its HTTP status; undefined when it may go on. */
export function refusalOf(asked: Asked, own: OwnAddress): { status: 403 | 421; error: PotluckError } | undefined {
  const host = asked.host?.toLowerCase() ?? '';
  if (!isOwnHost(host, own)) {
    return { status: 421, error: new PotluckError('foreign_page', 'this page answers only to its own address', { why: 'the request names another host', fix: 'open the address that the peer printed, or start it with --web-name' }) };
  }
  const from = (why: string) => ({ status: 403, error: new PotluckError('foreign_page', 'the request comes from another page', { why, fix: 'open the page at its own address' }) }) as const;
  if (asked.origin === undefined) {
    if (!reads(asked.method) && !asked.byToken) return from('it changes something and does not say from where it comes');
  } else if (asked.origin.toLowerCase() !== `${own.scheme}://${host}`) {
    return from('its origin is not this page');
  }
  if (asked.site === undefined || asked.site === 'same-origin' || asked.site === 'none') return undefined;
  const isLink = asked.method === 'GET' && asked.path === '/' && asked.mode === 'navigate';
  return isLink ? undefined : from('another site sent it');
}

function isOwnHost(host: string, { scheme, port, names }: OwnAddress): boolean {
  const [, name = '', typed] = /^(\[[0-9a-f:.]+\]|[^:]*)(?::(\d{1,5}))?$/.exec(host) ?? [];
  const named = typed === undefined ? (scheme === 'http' ? 80 : 443) : Number(typed);
  return named === port && names.has(name);
}
