/** Figures for people. */
import type { PeerRow } from '../sdk/index.ts';

const units: readonly [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** `0.4 ms`, `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 4 min`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '-';
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const at = units.findIndex(([, size]) => ms >= size);
  const [unit, size] = units[at]!;
  const [smallerUnit, smallerSize] = units[at + 1]!;
  const rest = Math.floor((ms % size) / smallerSize);
  return rest === 0 ? `${Math.floor(ms / size)} ${unit}` : `${Math.floor(ms / size)} ${unit} ${rest} ${smallerUnit}`;
}

/** `25 %` of 0.25. */
export const percent = (share: number | null | undefined): string => (share === null || share === undefined ? '-' : `${Math.round(share * 100)} %`);

export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

const two = (figure: number): string => String(figure).padStart(2, '0');

/** A wall-clock time as the local one, to the second; without the day if it is today. */
export function moment(iso: string | null | undefined, now = new Date()): string {
  if (iso === null || iso === undefined) return '-';
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return at.toDateString() === now.toDateString() ? time : `${day} ${time}`;
}

/** What a state is called where a person reads it. */
export const stateText = (state: string): string => state.replaceAll('_', ' ');

/** The function of a task, or whose it is where no more is shown of it. */
export const functionText = ({ function: name, submitter }: { function?: string; submitter?: string }): string => name ?? `(of ${submitter ?? 'another member'})`;

/** Whose tasks a peer takes, and why no more. */
export function acceptsText({ accepts, withheld }: Pick<PeerRow, 'accepts' | 'withheld'>): string {
  if (accepts === 'members') return 'all tasks';
  const what = accepts === 'none' ? 'none' : 'own only';
  return withheld === 'isolation' ? `${what} (isolation)` : withheld === 'unconfirmed' ? `${what} (no tracker)` : what;
}
