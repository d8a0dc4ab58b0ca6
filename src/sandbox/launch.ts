/**
 * Starting a planned command, in its enclosure before it runs.
 *
 * A bare command is put there as soon as it is started. One in a box is started by bubblewrap, which builds the box,
 * tells the number of the process inside, and waits; so the process that will run the task is in its cgroup before the
 * first instruction of the task's interpreter.
 *
 * Invariant: who is to be killed is killed as a whole. Until bubblewrap has told the number, what it started may be in
 * no group, and does not end with it; so before a kill one waits for that (`shut`), and lets nothing in any more.
 *
 * To start any command in the box:
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
  /** What has not begun to run never will. Resolves when all that there is has been put into the enclosure. */
  shut: () => Promise<void>;
}

/** What bubblewrap tells is a few hundred bytes. */
const INFO_CHARS_MAX = 4096;
/** It tells within milliseconds of its start; on a machine that is short of everything, later. */
const TELL_WAIT_MS = 2_000;

/** @param enter puts a process, and all that it will start, into the enclosure; called once or twice */
export function launch(plan: SpawnPlan, enter: (pid: number) => void): Launched {
  const child = spawn(plan.command, plan.args, plan.options);
  if (child.pid !== undefined) enter(child.pid);
  if (child.pid === undefined || plan.gate === null) return { child, inner: () => null, shut: () => Promise.resolve() };
  const gate = new Gate(child, plan.gate, enter);
  return { child, inner: () => gate.inner, shut: () => gate.shut() };
}

/** Gives bubblewrap the filter, waits for the number of its process, and lets that one go on. */
class Gate {
  inner: number | null = null;
  private readonly enter: (pid: number) => void;
  private readonly block: Duplex;
  private readonly told: Promise<void>;
  private isShut = false;

  constructor(child: ChildProcess, { filter, fds }: NonNullable<SpawnPlan['gate']>, enter: (pid: number) => void) {
    const [filterTo, block, info] = [fds.filter, fds.block, fds.info].map((fd) => child.stdio[fd] as Duplex) as [Duplex, Duplex, Duplex];
    // A reset means that it ended, and its exit tells the rest.
    for (const each of [filterTo, block, info]) each.on('error', () => undefined);
    this.enter = enter;
    this.block = block;
    filterTo.end(filter);
    filterTo.resume();
    block.resume();
    this.told = new Promise((resolve) => {
      child.once('exit', () => {
        this.block.destroy();
        resolve();
      });
      this.listen(info, resolve);
    });
  }

  async shut(): Promise<void> {
    this.isShut = true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, TELL_WAIT_MS)));
    await Promise.race([this.told, late]);
    clearTimeout(timer);
  }

  private listen(info: Duplex, done: () => void): void {
    let text = '';
    info.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const pid = Number(/"child-pid": *(\d+)\D/.exec(text)?.[1] ?? NaN);
      if (Number.isNaN(pid) && text.length < INFO_CHARS_MAX) return;
      info.removeAllListeners('data');
      info.resume(); // it writes on, and would be killed if nobody listened
      if (!Number.isNaN(pid)) this.letIn(pid);
      done();
    });
  }

  private letIn(pid: number): void {
    this.inner = pid;
    this.enter(pid);
    if (!this.isShut) this.block.end('.');
  }
}
