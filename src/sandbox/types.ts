/**
 * The words between the sandbox and who uses it: what a worker is told, what it reports.
 *
 * The user (a runner's shell) decides which task runs where; the sandbox knows jobs,
 * numbered per worker, and never what they are for.
 */

import type { ErrorCode } from '../errors.ts';

export type Language = 'python' | 'javascript';

/** 0 bare, 1 limits, 2 walls. */
export type Isolation = 0 | 1 | 2;

export interface WorkerSpec {
  /** Unique among the workers of one `Workers`, forever. */
  worker: string;
  language: Language;
  /** The memory that the worker and all it starts may use together; null: no limit. */
  memoryMb: number | null;
  /** How many processes and threads it may be, with all it starts; left out: enough for any pool of them. */
  processesMax?: number;
  /** The most that it may be held in; left out: what this machine reaches. */
  isolation?: Isolation;
  /** The peer's name, for messages to people. */
  name: string;
}

export interface Job {
  /** At least 1, increasing per worker. */
  job: number;
  /** Names the program; at most 255 ASCII characters. */
  programHash: string;
  /** UTF-8. Sent to a worker only if it does not hold the program. */
  source: Uint8Array;
  function: string;
  /** A JSON array's text, not looked at here. */
  args: Uint8Array;
  /** A JSON object's text. */
  kwargs: Uint8Array | null;
}

/** Codes of the catalogue; one that it lacks is not of this type. */
export type JobErrorCode = Extract<
  ErrorCode,
  'exception' | 'syntax_error' | 'function_missing' | 'module_missing' | 'bad_arguments' | 'result_not_json' | 'result_too_large' | 'exited' | 'out_of_memory'
>;

export interface JobError {
  code: JobErrorCode;
  /** The exception's or the value's type, as its language names it. */
  type: string;
  message: string;
  traceback?: string;
  hint?: string;
}

export interface WorkerReady {
  type: 'ready';
  worker: string;
  pid: number;
  /** The interpreter's, such as `3.11.7`. */
  version: string;
}

export interface WorkerOutput {
  type: 'output';
  worker: string;
  job: number;
  stream: 'stdout' | 'stderr';
  data: Uint8Array;
}

export interface JobResult {
  type: 'result';
  worker: string;
  job: number;
  runUs: number;
  /** One JSON text, UTF-8. */
  result: Uint8Array;
  /** The job left processes behind or damaged the worker: it should not get another job. */
  leftovers: boolean;
}

export interface JobFailed {
  type: 'failed';
  worker: string;
  job: number;
  runUs: number;
  error: JobError;
  leftovers: boolean;
}

/** The worker ended without being told to. */
export interface WorkerExited {
  type: 'exited';
  worker: string;
  code: number | null;
  signal: string | null;
  outOfMemory: { limitMb: number } | null;
  /** False: the interpreter ended before any job could start. */
  ready: boolean;
  /** If it was ready, the first was in progress; the others had not started. */
  unanswered: number[];
  /** One sentence for people. */
  why: string;
}

/** No process that the worker started is alive, and its folder is removed. */
export interface WorkerGone {
  type: 'gone';
  worker: string;
}

export type WorkerEvent = WorkerReady | WorkerOutput | JobResult | JobFailed | WorkerExited | WorkerGone;

/** A process for the status table. */
export interface WorkerProcess {
  worker: string;
  language: Language;
  pid: number | null;
  /** Milliseconds since the process was started. */
  ageMs: number;
  jobsRun: number;
  busy: boolean;
  /** Resident memory of the interpreter; null where it cannot be read. */
  rssBytes: number | null;
}
