/**
 * Logins at the page of a peer of this same user: a code or a token is a file below the peer's folder, so
 * whoever may write there may log in, and nobody else.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PotluckError } from '../errors.ts';
import { type Login, Logins } from '../page/logins.ts';

/** Where a peer keeps who is logged in at its page. */
export const pageFolder = (homeFolder: string, peer: string): string => join(homeFolder, 'peers', peer, 'page');

export interface PageOf {
  homeFolder: string;
  peer: string;
  /** Where its page answers, as it tells; null without one. */
  web: string | null;
}

/** A link that logs in once. @throws PotluckError `no_page` */
export function loginLink(page: PageOf): { link: string; expires: number } {
  const { secret, expires } = loginsOf(page).makeCode();
  return { link: `${page.web}/#k=${secret}`, expires };
}

/** @throws PotluckError `no_page` */
export const makeToken = (page: PageOf, name: string, forMs: number): { secret: string; expires: number; id: string } => loginsOf(page).makeToken(name, forMs);

/** Sessions and tokens. @throws PotluckError `no_page` */
export const listLogins = (page: PageOf): Login[] => loginsOf(page).list().filter(({ kind }) => kind !== 'code');

/** Ends the session or token of that id; false when there is none. @throws PotluckError `no_page` */
export const endLogin = (page: PageOf, id: string): boolean => {
  const logins = loginsOf(page);
  return logins.end('token', id) || logins.end('session', id);
};

function loginsOf({ homeFolder, peer, web }: PageOf): Logins {
  if (web === null) throw new PotluckError('no_page', `${peer} has no page`, { why: 'it was started without --web-ui', fix: 'start it again with --web-ui' });
  if (!existsSync(join(homeFolder, 'peers', peer))) {
    throw new PotluckError('no_page', `${peer} does not run from ${homeFolder}`, { why: 'only who can read that peer\'s folder may log in at its page', fix: 'type this on its machine, as its user; or set POTLUCK_HOME' });
  }
  return new Logins(pageFolder(homeFolder, peer));
}
