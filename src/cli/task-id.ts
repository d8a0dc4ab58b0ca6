/** Ids of tasks as people type them. */
import { limits } from '../limits.ts';
import { usage } from './values.ts';

/** An id as typed. @throws PotluckError `usage` */
export function checkId(id: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(id) && id.length <= limits.idLengthMax) return id;
  throw usage(`${id} is no id of a task`, `an id has at most ${limits.idLengthMax} letters, digits, _ or -`, 'potluck history lists the ids');
}
