/**
 * Starting a planned command, in its enclosure before it runs.
 *
 * A bare command is put there as soon as it is started. One in a box is started by bubblewrap, which builds the box,
 * tells the number of the process inside, and waits; so the process that will run the task is in its cgroup before the
 * first instruction of the task's interpreter. To start any command in the box:
 *
 *     const box = await Box.open(walls, folder);                      // walls: LevelProbe.walls of levels.ts
 *     const plan = boxed(box, { command, args, env }, stdio);         // spawn-plan.ts
 *     const { child } = launch(plan, (pid) => cgroup.enter(pid));     // then as any child process
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';
import type { SpawnPlan } from './spawn-plan.ts';

export interface Launched {
  child: ChildProcess;
  /** As this machine numbers it: the first process in the box, when it is known. The interpreter is its child. */
  inner: () => number | null;
}

/** What bubblewrap tells is a few hundred bytes. */
const INFO_CHARS_MAX = 4096;

/** @param enter puts a process, and all that it will start, into the enclosure; called once or twice */
export function launch(plan: SpawnPlan, enter: (pid: number) => void): Launched {
  const child = spawn(plan.command, plan.args, plan.options);
  let inner: number | null = null;
  if (child.pid !== undefined) {
    enter(child.pid);
    if (plan.gate !== null) {
      openGate(child, plan.gate, (pid) => {
        inner = pid;
        enter(pid);
      });
    }
  }
  return { child, inner: () => inner };
}

/** Gives it the filter, waits for the number of its process, and lets that one go on. */
function openGate(child: ChildProcess, gate: NonNullable<SpawnPlan['gate']>, inside: (pid: number) => void): void {
  const stream = (fd: number): Duplex => child.stdio[fd] as Duplex;
  const [filter, block, info] = [stream(gate.fds.filter), stream(gate.fds.block), stream(gate.fds.info)];
  // A reset means that it ended, and its exit tells the rest.
  for (const each of [filter, block, info]) each.on('error', () => undefined);
  filter.end(gate.filter);
  filter.resume();
  block.resume();
  let told = '';
  info.on('data', (chunk: Buffer) => {
    told += chunk.toString('latin1');
    const pid = Number(/"child-pid": *(\d+)\D/.exec(told)?.[1] ?? NaN);
    if (Number.isNaN(pid) && told.length < INFO_CHARS_MAX) return;
    info.removeAllListeners('data');
    info.resume(); // it writes on, and would be killed if nobody listened
    if (Number.isNaN(pid)) return;
    inside(pid);
    block.end('.');
  });
}
