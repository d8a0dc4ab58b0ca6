/** How states, times and sizes are written; shape doubles colour. */

export type Tone = 'wait' | 'run' | 'done' | 'warn' | 'fail';

const tones: Readonly<Record<string, Tone>> = {
  queued: 'wait', assigned: 'wait', running: 'run', done: 'done', cancelled: 'wait', expired: 'warn', timed_out: 'warn', unknown: 'warn', failed: 'fail', out_of_memory: 'fail', quarantined: 'fail',
  up: 'done', draining: 'warn', suspected: 'warn', lost: 'fail', revoked: 'fail', moved: 'wait',
};
export const glyphs: Readonly<Record<Tone, string>> = { wait: '○', run: '◐', done: '✓', warn: '△', fail: '✕' };

export const toneOf = (state: string): Tone => tones[state] ?? 'wait';
export const stateWord = (state: string): string => state.replaceAll('_', ' ');
export const isOpen = (state: string): boolean => state === 'queued' || state === 'assigned' || state === 'running';

const units: readonly [string, number][] = [['d', 86_400_000], ['h', 3_600_000], ['min', 60_000], ['s', 1_000]];

/** `0.4 ms`, `12 ms`, `3.4 s`, `2 min 5 s`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const at = units.findIndex(([, size]) => ms >= size);
  const [unit, size] = units[at]!;
  const [smaller, smallerSize] = units[at + 1]!;
  const rest = Math.floor((ms % size) / smallerSize);
  return rest === 0 ? `${Math.floor(ms / size)} ${unit}` : `${Math.floor(ms / size)} ${unit} ${rest} ${smaller}`;
}

/** Whole seconds at least, for what counts up on the screen. */
export const roughly = (ms: number): string => duration(Math.max(0, Math.round(ms / 1000)) * 1000).replace('.0 s', ' s').replace(/^0 ms$/, '0 s');

export const percent = (share: number): string => `${Math.round(share * 100)} %`;
export const count = (value: number): string => value.toLocaleString('en').replaceAll(',', '\u202f');
export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

export function bytes(size: number): string {
  if (size < 1024) return plural(size, 'byte');
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

const two = (figure: number): string => String(figure).padStart(2, '0');

/** The local time to the millisecond, with the day. */
export function exact(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** The local time to the second; with the day unless it is today. */
export function clock(iso: string): string {
  const at = new Date(iso);
  const text = exact(iso);
  return at.toDateString() === new Date().toDateString() ? text.slice(11, 19) : text.slice(0, 16);
}

/** What others wrote, without the characters that turn text around or are not seen. */
export const plain = (text: string): string => text.replaceAll(/[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu, (found) => (found === '\n' || found === '\t' ? found : '\ufffd'));
