/** What the values of flags mean. Everything wrong here is wrong use. */
import { readFileSync } from 'node:fs';
import { PotluckError, causeText } from '../errors.ts';
import { nearest } from '../lib/nearest.ts';

export const usage = (what: string, why: string, fix: string): PotluckError => new PotluckError('usage', what, { why, fix });

/** A whole number within bounds. */
export function wholeNumber(flag: string, text: string, min: number, max: number): number {
  const number = Number(text);
  if (/^[+-]?\d+$/.test(text.trim()) && number >= min && number <= max) return number;
  throw usage(`${flag} ${text} will not do`, `it must be a whole number from ${min} to ${max}`, `write it like ${flag} ${Math.max(min, 1)}`);
}

/** A positive number of seconds, in milliseconds of at least one. */
export function secondsAsMs(flag: string, text: string, msMax: number): number {
  const seconds = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(seconds) && seconds > 0 && seconds * 1000 <= msMax) return Math.ceil(seconds * 1000);
  throw usage(`${flag} ${text} will not do`, `it must be a number of seconds above 0, at most ${msMax / 1000}`, `write it like ${flag} 2.5`);
}

const spans: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** A span of time (`90s`, `30min`, `2h`, `7d`), in milliseconds. */
export function spanAsMs(flag: string, text: string, msMax: number): number {
  const span = /^(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)$/.exec(text.trim());
  const ms = span === null ? Number.NaN : Math.round(Number(span[1]) * spans[span[2]!]!);
  if (ms >= 1 && ms <= msMax) return ms;
  throw usage(`${flag} ${text} will not do`, `it must be a span of time, at most ${msMax / spans.d!}d`, `write it like ${flag} 30min, ${flag} 2h or ${flag} 7d`);
}

/** A time in the past: a span back from now (`2h`, `30min`, `1.5d`) or a date in ISO 8601. */
export function pastMoment(flag: string, text: string, now = Date.now()): Date {
  const span = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)$/.exec(text.trim());
  if (span !== null) return new Date(now - Number(span[1]) * spans[span[2]!]!);
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(at.getTime())) return at;
  throw usage(`${flag} ${text} is no time`, 'it must be a span back from now or a date', `write it like ${flag} 2h, ${flag} 30min or ${flag} 2026-01-31T08:00`);
}

/** One of some words. */
export function oneOf<T extends string>(flag: string, text: string, words: readonly T[]): T {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  const near = nearest(text, words);
  throw usage(`${flag} ${text} will not do`, `it must be one of ${words.join(', ')}`, near === undefined ? `write it like ${flag} ${words[0]!}` : `did you mean ${flag} ${near}?`);
}

/** The text of a file, or of standard input for `-`. */
export function fileText(flag: string, path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path === '-' ? 0 : path);
  } catch (error) {
    const shown = path === '-' ? 'standard input' : path;
    throw new PotluckError('file_unreadable', `${flag}: ${shown} cannot be read`, { why: reasonOf(error), fix: path === '-' ? 'pipe something into it' : 'check the path', cause: error });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new PotluckError('file_unreadable', `${flag}: ${path === '-' ? 'standard input' : path} is not text`, { why: 'it is not UTF-8', fix: 'save it as UTF-8', cause: error });
  }
}

const reasons: Readonly<Record<string, string>> = { ENOENT: 'there is no such file', EACCES: 'you may not read it', EISDIR: 'it is a folder' };
const reasonOf = (error: unknown): string => reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? causeText(error);

/** JSON as typed: the text itself, `@FILE`, or `-` for standard input. */
export function jsonText(flag: string, value: string): string {
  if (value === '-') return fileText(flag, '-');
  return value.startsWith('@') ? fileText(flag, value.slice(1)) : value;
}
