/** `potluck cpu`: runs a function on the pool and prints its result. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples, withAddress, withProgress } from './client-flags.ts';

export function addCpu(parent: Command, start: Start): void {
  const command = parent.command('cpu').description('run a function on the least busy peer and print its result');
  withProgress(withAddress(command))
    .option('-p, --program <text>', 'the program, as source text')
    .option('-f, --file <path>', 'the program, as a file (- for standard input)')
    .option('--language <language>', 'python or javascript (default: by the ending of the file, else python)')
    .option('--function <name>', 'the function to call (default: main)')
    .option('--args <json>', 'its arguments: a JSON array, @FILE, or - for standard input (default: [])')
    .option('--kwargs <json>', 'its keyword arguments: a JSON object, @FILE, or - (Python)')
    .option('--timeout <seconds>', 'kill it when it has run this long')
    .option('--wait <seconds>', 'give up if it has not started within this time')
    .option('--retries <n>', 'try again this often if it fails')
    .option('--priority <n>', 'ahead of other tasks of this peer by a minute each')
    .option('--confidential', 'run it only on the peer talked to')
    .option('--once', 'never start it a second time, even if its peer is lost')
    .option('--memory <mb>', 'kill it when it uses more memory')
    .option('--fresh', 'in a new process')
    .option('--detach', 'print the id and leave; the task goes on')
    .option('--id <id>', 'its id; the same id with the same content is the same task')
    .option('--no-mark', 'do not mark what it prints with its peer')
    .addHelpText(
      'after',
      examples(
        'potluck cpu --program "def main(x): return x * x" --args "[5]"',
        'potluck cpu --file primes.py --function count --args "[1000000]" --timeout 60',
        'potluck cpu --file sum.mjs --args @numbers.json',
        'echo "[1, 2]" | potluck cpu --file add.py --args -',
        'id=$(potluck cpu --file long.py --detach) && potluck wait $id',
        '',
        'Exit status: 0 done, 1 the task failed, 2 wrong use, 3 no peer, 4 cancelled,',
        '5 too late, 6 refused.',
      ),
    );
  start(command, async () => (await import('../run-cpu.ts')).runCpu);
}
