/**
 * How a worker's process is started: program, arguments, environment, descriptors. The one
 * place where walls (a level above limits) would be put around it.
 *
 * Invariant: nothing of the peer's own environment reaches a worker but PATH.
 */
import type { SpawnOptions } from 'node:child_process';
import { join } from 'node:path';
import type { Interpreter } from './interpreters.ts';
import type { WorkerSpec } from './types.ts';

/** The variable by which a process that escaped its group is still known as ours. */
export const MARKER_VARIABLE = 'POTLUCK_WORKER';

export interface SpawnPlan {
  command: string;
  args: string[];
  options: SpawnOptions;
}

export interface SpawnInput {
  spec: WorkerSpec;
  interpreter: Interpreter;
  guestsFolder: string;
  /** The worker's own folder. */
  scratch: string;
  marker: string;
  /** An open file with the number of processes in the worker's cgroup. */
  processCountFd: number | null;
}

export function spawnPlan(input: SpawnInput): SpawnPlan {
  const { spec, interpreter, scratch } = input;
  return {
    command: interpreter.path,
    args: [...interpreterFlags(spec), join(input.guestsFolder, GUEST_FILES[spec.language])],
    options: {
      cwd: scratch,
      // A session of its own: a signal to the peer's terminal is not the worker's.
      detached: true,
      env: {
        PATH: process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
        HOME: scratch,
        TMPDIR: scratch,
        LANG: 'C.UTF-8',
        [MARKER_VARIABLE]: input.marker,
        ...interpreter.env,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', ...(input.processCountFd === null ? [] : [input.processCountFd])],
    },
  };
}

const GUEST_FILES = { python: 'guest.py', javascript: 'guest.mjs' } as const;

function interpreterFlags(spec: WorkerSpec): string[] {
  if (spec.language === 'python') return [];
  // Let V8 collect before the limit rather than meet it unprepared.
  return spec.memoryMb === null ? [] : [`--max-old-space-size=${spec.memoryMb}`];
}
