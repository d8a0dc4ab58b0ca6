/**
 * Acts as controls: by the same source, in an interpreter with no box around it and nothing taken away. What
 * does not come through even there shows nothing when it fails inside.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { Interpreter } from '../sandbox/interpreters.ts';
import { signal as sendSignal } from '../sandbox/processes.ts';
import type { Language } from '../sandbox/types.ts';
import type { Decoys } from './decoys.ts';
import type { Act, Answer } from './types.ts';

const NICENESS = 5;
/** A control that hangs would hold up all: the process ends after this. */
const ALL_MS = 60_000;

const HARNESS: Record<Language, string[]> = {
  python: [
    '-c',
    `
import json, os, sys
os.setpgid(0, 0)
asked = json.load(sys.stdin)
program = {}
exec(compile(asked["source"], "acts.py", "exec"), program)
for act, target in asked["acts"]:
    try:
        answer = program["main"](act, target)
    except Exception as error:
        answer = {"reached": False, "why": "the control failed: %s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
`,
  ],
  javascript: [
    '--input-type=module',
    '-e',
    `
import { readFileSync } from 'node:fs';
const asked = JSON.parse(readFileSync(0, 'utf8'));
const { main } = await import('data:text/javascript;base64,' + Buffer.from(asked.source).toString('base64'));
for (const [act, target] of asked.acts) {
  const answer = await main(act, target).catch((error) => ({ reached: false, why: 'the control failed: ' + error }));
  process.stdout.write(JSON.stringify(answer) + '\\n');
}
`,
  ],
};

/** All acts, one after another; of those that were not come to, there is no answer. */
export async function runOutside(interpreter: Interpreter, source: string, acts: readonly Act[], decoys: Decoys, signal: AbortSignal | undefined): Promise<Answer[]> {
  if (acts.length === 0) return [];
  const folder = join(decoys.folder, `outside-${interpreter.language}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const opened = openSync(decoys.openFolder, 'r');
  const child = spawn(interpreter.path, HARNESS[interpreter.language], {
    cwd: folder,
    env: { ...process.env, ...interpreter.env, [DECOY_VARIABLE]: decoys.token },
    stdio: ['pipe', 'pipe', 'ignore', opened],
    timeout: ALL_MS,
    ...(signal === undefined ? {} : { signal }),
    killSignal: 'SIGKILL',
  });
  closeSync(opened);
  const { pid } = child;
  // Python's acts lead a group of their own (in the session of the peer, whose terminal some of them try): what one
  // of them started does not live on when it is ended in the middle of it.
  if (pid !== undefined) child.once('exit', () => sendSignal(-pid, 'SIGKILL'));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()).once('error', () => resolve()));
  if (child.pid !== undefined) setPriority(child.pid, NICENESS);
  child.stdin?.on('error', () => undefined); // it ended before it read: there are no answers then
  child.stdin?.end(JSON.stringify({ source, acts: acts.map(({ act, target }) => [act, target]) }));
  let printed = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  await ended;
  const answers = printed.split('\n').slice(0, -1).map((line) => JSON.parse(line) as Answer);
  return answers;
}

/** Holds the token in the environment of whoever has it. */
export const DECOY_VARIABLE = 'PROBE_DECOY';
