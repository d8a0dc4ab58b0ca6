/** What `potluck doctor` does and shows. */
import { exit } from '../errors.ts';
import type { DoctorReport } from '../main/doctor.ts';
import type { Context } from './context.ts';
import { counted, duration } from './format.ts';
import { Progress } from './progress.ts';
import { cleanLine, cut, padEnd, wrap } from './text.ts';

interface DoctorFlags {
  json?: boolean;
  python?: string;
  node?: string;
}

export async function runDoctor({ terminal, flags, config }: Context<DoctorFlags>): Promise<number> {
  const { examine } = await import('../main/doctor.ts');
  const settings = config();
  const progress = new Progress(terminal, flags.json !== true && terminal.errIsTerminal);
  progress.start();
  progress.say('trying the box from inside');
  const report = await examine({ homeFolder: settings.homeFolder, python: settings.get('python', flags.python).value, node: settings.get('node', flags.node).value }).finally(() => progress.stop());
  if (flags.json === true) terminal.out(`${JSON.stringify(doctorJson(report))}\n`);
  else terminal.outLines(doctorLines(report, terminal.outWidth));
  return report.level === 2 ? exit.done : exit.refused;
}

function doctorJson({ level, missing, fix, notes, interpreters, without, findings, tookMs }: DoctorReport): object {
  return { level, takes_foreign_work: level === 2, missing: missing === '' ? null : missing, fix: fix === '' ? null : fix, notes, interpreters, without, took_ms: Math.round(tookMs), probes: findings };
}

const LEVELS = [
  'bare: clean environment, own folder, timeouts',
  'limits: memory and processes are bounded',
  'walls: what a task runs can read and reach nothing of this machine',
] as const;
const VERDICT_WIDTH = 'not applicable'.length;
/** The widest name of a probe, so that all groups align. */
const NAME_WIDTH = 21;
/** With less beside verdict and name, what a probe tries goes below them. */
const TEXT_WIDTH_MIN = 24;

/** @param width 0: no limit */
export function doctorLines(report: DoctorReport, width: number): string[] {
  const { level, missing, fix, notes, interpreters, without, findings, tookMs } = report;
  const indented = (indent: number, text: string) => fitted(text, width === 0 ? 0 : width - indent).map((line) => ' '.repeat(indent) + line);
  const count = (verdict: string) => findings.filter((finding) => finding.verdict === verdict).length;
  const lines = [...indented(0, `level ${level}, ${LEVELS[level]}`)];
  lines.push(...indented(0, level === 2 ? 'This machine may take tasks of every member of the pool.' : 'This machine takes no tasks but those of its own user.'));
  if (missing !== '') lines.push(...indented(2, `why: ${missing}`));
  if (fix !== '') lines.push(`  fix: ${cleanLine(fix)}`);
  for (const note of notes) lines.push(...indented(0, `note: ${note}`));
  for (const { language, version, path } of interpreters) lines.push(...indented(0, `${language} ${version}, ${path}`));
  for (const { language, why } of without) lines.push(...indented(0, `no ${language}: ${why}`));
  lines.push(...indented(0, `${counted(findings.length, 'probe')} in ${duration(tookMs)}: ${count('held')} held, ${count('broken')} broken, ${count('not applicable')} not applicable`));
  for (const group of new Set(findings.map((finding) => finding.group))) {
    lines.push('', `A task tries to … (${group})`);
    for (const { verdict, name, tries, why } of findings.filter((finding) => finding.group === group)) {
      const label = `${padEnd(verdict, VERDICT_WIDTH)}  ${padEnd(name, NAME_WIDTH)}  `;
      const text = verdict === 'held' || why === '' ? tries : `${tries}: ${why}`;
      if (width !== 0 && width < label.length + TEXT_WIDTH_MIN) {
        lines.push(...indented(0, `${verdict}  ${name}`), ...indented(4, text));
        continue;
      }
      const [first = '', ...others] = fitted(text, width === 0 ? 0 : width - label.length);
      lines.push(label + first, ...others.map((line) => ' '.repeat(label.length) + line));
    }
  }
  return lines;
}

/** In that many columns; a path that is longer is cut. */
const fitted = (text: string, width: number): string[] => wrap(cleanLine(text), width).map((line) => (width === 0 ? line : cut(line, width)));
