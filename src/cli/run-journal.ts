/** What `potluck journal check` and `repair` do. */
import { homeFolderOf } from '../config.ts';
import { exit } from '../errors.ts';
import type { JournalReport } from '../main/journal.ts';
import type { Context } from './context.ts';
import { usage } from './values.ts';

interface JournalFlags {
  json?: boolean;
}

export async function runJournalCheck(context: Context<JournalFlags>): Promise<number> {
  const { checkJournal } = await import('../main/journal.ts');
  const report = await checkJournal(homeFolderOf(process.env), await peerOf(context));
  return show(context, report, `the journal of ${report.peer} is whole: ${report.records} records${report.cutBytes === 0 ? '' : `; ${report.cutBytes} bytes of an interrupted write were cut`}`);
}

export async function runJournalRepair(context: Context<JournalFlags>): Promise<number> {
  const { repairJournal } = await import('../main/journal.ts');
  const report = await repairJournal(homeFolderOf(process.env), await peerOf(context));
  if (report.damage === null) return show(context, report, `the journal of ${report.peer} needed no repair: ${report.records} records`);
  return show(context, report, `${report.damage}\nkept ${report.records} records; what came after is set aside in ${report.folder}/journal: ${report.setAside.join(', ')}`);
}

function show({ terminal, flags }: Context<JournalFlags>, report: JournalReport, text: string): number {
  terminal.out(flags.json === true ? `${reportJson(report)}\n` : `${text}\n`);
  return exit.done;
}

const reportJson = ({ peer, folder, records, cutBytes, setAside, damage }: JournalReport): string => JSON.stringify({ peer, folder, records, cut_bytes: cutBytes, set_aside: setAside, damage });

async function peerOf({ args }: Context<JournalFlags>): Promise<string> {
  const [typed] = args;
  if (typed !== undefined) return typed;
  const { storesIn } = await import('../main/journal.ts');
  const stores = storesIn(homeFolderOf(process.env));
  if (stores.length === 1) return stores[0]!;
  throw usage('no peer was named', stores.length === 0 ? 'no peer has a store in this folder' : `there are ${stores.join(', ')}`, 'give its name: potluck journal check NAME');
}
