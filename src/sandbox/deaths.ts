/**
 * Why a worker ended, in one sentence for the person whose task it was.
 */
import type { Language } from './types.ts';

/** What guests exit with when they cannot answer any more (guest.py, guest.mjs). */
export const EXIT_CONTROL_LOST = 113;

const MEANING: Record<string, string> = {
  SIGSEGV: 'segmentation fault',
  SIGBUS: 'bus error',
  SIGABRT: 'abort',
  SIGFPE: 'arithmetic error',
  SIGILL: 'illegal instruction',
  SIGSYS: 'forbidden system call',
  SIGXCPU: 'CPU time limit',
  SIGKILL: 'from outside, or by the system for want of memory',
};

export interface Death {
  language: Language;
  code: number | null;
  signal: string | null;
  outOfMemory: { limitMb: number } | null;
  busy: boolean;
  ready: boolean;
  /** The end of what it wrote to stderr before it was ready. */
  stderr: string;
}

export function describeDeath(death: Death): string {
  const { code, signal } = death;
  if (death.outOfMemory !== null) return `the task went over its memory limit of ${death.outOfMemory.limitMb} MB`;
  if (!death.ready) {
    const how = signal === null ? `exit code ${code ?? 'unknown'}` : signal;
    const last = death.stderr.trim().split('\n').at(-1) ?? '';
    return `the ${death.language} interpreter ended before it was ready, with ${how}${last === '' ? '' : `: ${last}`}`;
  }
  if (signal !== null) {
    const meaning = MEANING[signal];
    return `the worker was killed by ${signal}${meaning === undefined ? '' : ` (${meaning})`}`;
  }
  if (code === EXIT_CONTROL_LOST) return CONTROL_CLOSED;
  if (!death.busy) return `the worker ended with exit code ${code ?? 'unknown'}`;
  const call = death.language === 'python' ? 'os._exit' : 'process.reallyExit';
  return `the task ended its process with exit code ${code ?? 'unknown'}, as ${call} does`;
}

export const CONTROL_CLOSED = "the task closed the descriptor by which its worker answers, as closing every descriptor does";
