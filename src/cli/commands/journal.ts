/** `potluck journal`: looks at a stopped peer's journal, and mends it. */
import type { Command } from 'commander';
import type { Start } from '../context.ts';
import { examples } from './client-flags.ts';

export function addJournal(parent: Command, start: Start): void {
  const journal = parent.command('journal').description('check or repair the journal of a peer that is stopped').addHelpText('after', examples('potluck journal check', 'potluck journal repair laptop-9000'));
  const check = journal
    .command('check')
    .description('read all of it and say whether it is whole')
    .argument('[peer]', 'its name; may be left out if there is only one')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('potluck journal check', 'potluck journal check laptop-9000 --json'));
  start(check, async () => (await import('../run-journal.ts')).runJournalCheck);
  const repair = journal
    .command('repair')
    .description('keep what stands before the first damage, and set the rest aside')
    .argument('[peer]', 'its name; may be left out if there is only one')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('potluck journal repair laptop-9000'));
  start(repair, async () => (await import('../run-journal.ts')).runJournalRepair);
}
