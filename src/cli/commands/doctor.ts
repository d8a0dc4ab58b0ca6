/** `potluck doctor`: what holds on this machine. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';

export function addDoctor(parent: Command, start: Start): void {
  const command = parent
    .command('doctor')
    .description('try what hostile code would try from inside a task, and say what holds on this machine')
    .option('--python <path>', 'the Python for tasks (default: python3 on PATH)')
    .option('--node <path>', 'the Node for tasks (default: the one that runs potluck)')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      examples('potluck doctor', 'potluck doctor --json', '', 'It needs no pool and leaves nothing behind. It acts on decoys of its own', 'making, and sends nothing to other machines.', 'Exit status: 0 if this machine may run the tasks of other members, else 6.'),
    );
  start(command, async () => (await import('../run-doctor.ts')).runDoctor);
}
