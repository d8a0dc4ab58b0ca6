/**
 * How a worker's process is started: program, arguments, environment, descriptors. Bare, or in a box
 * (walls.ts); launch.ts carries it out.
 *
 * Invariant: nothing of the peer's own environment reaches a worker but, for a bare one, PATH.
 */
import type { SpawnOptions } from 'node:child_process';
import { dirname, join } from 'node:path';
import type { Interpreter } from './interpreters.ts';
import type { WorkerSpec } from './types.ts';
import { GUESTS_INSIDE, SCRATCH_INSIDE } from './walls.ts';
import type { Box, Inside } from './walls.ts';

/** The variable by which a process that escaped its group is still known as ours. */
export const MARKER_VARIABLE = 'POTLUCK_WORKER';

export interface SpawnPlan {
  command: string;
  args: string[];
  options: SpawnOptions;
  /** How bubblewrap is told what it waits for; null: nothing waits. */
  gate: { filter: Uint8Array; fds: { filter: number; block: number; info: number } } | null;
}

export interface SpawnInput {
  spec: WorkerSpec;
  interpreter: Interpreter;
  guestsFolder: string;
  /** The worker's own folder; in a box it has another one. */
  scratch: string;
  marker: string;
  /** An open file with the number of processes in the worker's cgroup. */
  processCountFd: number | null;
  /** An open FIFO: the right to start the jobs fed ahead. */
  tokensFd: number | null;
}

/** stdin, stdout, stderr, the control channel, and what a worker is given open; guests know the order. */
function workerStdio(input: SpawnInput): StdioEntry[] {
  return ['ignore', 'pipe', 'pipe', 'pipe', input.processCountFd ?? 'ignore', input.tokensFd ?? 'ignore'];
}

type StdioEntry = 'ignore' | 'pipe' | number;

export function barePlan(input: SpawnInput): SpawnPlan {
  const { interpreter, scratch } = input;
  const { command, args } = interpretation(input, input.guestsFolder);
  return {
    command,
    args: [...args],
    options: {
      cwd: scratch,
      // A session of its own: a signal to the peer's terminal is not the worker's.
      detached: true,
      env: {
        PATH: process.env['PATH'] ?? SYSTEM_PATH,
        HOME: scratch,
        TMPDIR: scratch,
        LANG: 'C.UTF-8',
        [MARKER_VARIABLE]: input.marker,
        ...interpreter.env,
      },
      stdio: workerStdio(input),
    },
    gate: null,
  };
}

export function boxedPlan(input: SpawnInput, box: Box): SpawnPlan {
  const { command, args } = interpretation(input, GUESTS_INSIDE);
  const env = { ...environmentInside(input.interpreter), [MARKER_VARIABLE]: input.marker };
  return boxed(box, { command, args, env }, workerStdio(input));
}

/** What every command in a box should find; of the user's packages none are there. */
export function environmentInside(interpreter: Interpreter): Record<string, string> {
  return { PATH: `${dirname(interpreter.path)}:${SYSTEM_PATH}`, HOME: SCRATCH_INSIDE, TMPDIR: '/tmp', LANG: 'C.UTF-8' };
}

/**
 * Any command, in the box.
 * @param stdio its descriptors; three more follow for bubblewrap, which the command does not get
 */
export function boxed(box: Box, inside: Inside, stdio: readonly StdioEntry[]): SpawnPlan {
  const fds = { filter: stdio.length, block: stdio.length + 1, info: stdio.length + 2 };
  return {
    ...box.command(inside, fds),
    options: { cwd: '/', detached: true, env: {}, stdio: [...stdio, 'pipe', 'pipe', 'pipe'] },
    gate: { filter: box.walls.filter, fds },
  };
}

const SYSTEM_PATH = '/usr/local/bin:/usr/bin:/bin';
const GUEST_FILES = { python: 'guest.py', javascript: 'guest.mjs' } as const;

function interpretation({ spec, interpreter }: SpawnInput, guestsFolder: string): { command: string; args: string[] } {
  const guest = join(guestsFolder, GUEST_FILES[spec.language]);
  // Let V8 collect before the limit rather than meet it unprepared.
  const flags = spec.language === 'javascript' && spec.memoryMb !== null ? [`--max-old-space-size=${spec.memoryMb}`] : [];
  return { command: interpreter.path, args: [...flags, guest] };
}
