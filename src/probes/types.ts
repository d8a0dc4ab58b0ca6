/** The words of this room. */
import type { Language } from '../sandbox/types.ts';
import type { Decoys } from './decoys.ts';

export type Level = 0 | 1 | 2;

/** One act of acts.py and acts.mjs, and on what. */
export interface Act {
  act: string;
  target: Readonly<Record<string, unknown>>;
}

/** What came of one act. */
export interface Answer {
  /** It came through: inside that is a hole, outside it is the proof that the act is a real one. */
  reached: boolean;
  why: string;
}

export interface Probe {
  /** Letters, digits and hyphens. */
  name: string;
  group: 'files' | 'processes' | 'network' | 'privileges' | 'system calls' | 'bounds';
  /** The level from which it must fail. */
  level: Level;
  /** What hostile code wants; goes on after "a task tries to". */
  tries: string;
  /** Fills or exhausts something: not part of the daily run. */
  heavy: boolean;
  /** A text says why it cannot be tried on this machine. */
  make(ground: Ground): { inside: Act; outside: Act } | string;
}

/** What probes are made for. */
export interface Ground {
  decoys: Decoys;
  language: Language;
  /** The pool's folder. */
  homeFolder: string;
  /** Read as code outside: those of the interpreter and of the guest. */
  code: { library: readonly string[]; compiled: readonly string[]; guests: readonly string[] };
  /** The peer's own port, where there is one. */
  peer: { host: string; port: number } | undefined;
  /** The limits of the box that the heavy probes are let loose in; what they write there counts as memory, too. */
  memoryMb: number;
  processesMax: number;
}

export type Verdict = 'held' | 'broken' | 'not applicable';

export interface Finding {
  name: string;
  group: Probe['group'];
  level: Level;
  tries: string;
  verdict: Verdict;
  /** What stopped it, what it reached, or why it cannot be told. */
  why: string;
  /** By language; only those that this machine has. */
  languages: Partial<Record<Language, { verdict: Verdict; why: string }>>;
}
