/** What answers mean: a probe's verdict, and the level that all of them together prove. */
import type { Language } from '../sandbox/types.ts';
import type { Answer, Finding, Level, Probe, Verdict } from './types.ts';

export interface Judged {
  language: Language;
  verdict: Verdict;
  why: string;
}

/** @param outside undefined: the control gave no answer */
export function judge(outside: Answer | undefined, inside: Answer | undefined): { verdict: Verdict; why: string } {
  if (outside === undefined) return { verdict: 'not applicable', why: 'the control outside the box gave no answer' };
  if (!outside.reached) return { verdict: 'not applicable', why: `it does not work outside the box either: ${outside.why}` };
  if (inside === undefined) return { verdict: 'broken', why: 'it gave no answer' };
  return inside.reached ? { verdict: 'broken', why: inside.why } : { verdict: 'held', why: inside.why };
}

const order: readonly Verdict[] = ['broken', 'held', 'not applicable'];

/** Over the languages, the worst that was shown. */
export function findingOf({ name, group, level, tries }: Probe, judged: readonly Judged[]): Finding {
  const [first] = judged.toSorted((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict));
  return {
    name,
    group,
    level,
    tries,
    verdict: first?.verdict ?? 'not applicable',
    why: first?.why ?? 'this machine has no interpreter for tasks',
    languages: Object.fromEntries(judged.map(({ language, verdict, why }) => [language, { verdict, why }])),
  };
}

/**
 * Possible wherever tasks run on Linux: if one of these could not be tried, too little was shown. Others may
 * be impossible outside, too: for an ordinary user, in a container, under a service manager that takes rights away.
 */
const needed: readonly string[] = [
  'key-content', 'other-scratch', 'own-environment', 'first-environment', 'command-lines', 'kill', 'outlive', 'descriptors',
  'unix-sockets', 'abstract-socket', 'family-inet', 'shared-users', 'shared-processes', 'shared-networks', 'shared-mounts',
];

export interface Proof {
  level: Level;
  /** Why not more; empty where nothing is missing. */
  missing: string;
}

/** What is proven of a level that a first look found. A broken probe leaves the level below its own. */
export function proofOf(found: Level, missing: string, findings: readonly Finding[]): Proof {
  const reasons = findings.flatMap((finding) => {
    if (finding.level > found) return [];
    if (finding.verdict === 'broken') return [{ below: Math.max(0, finding.level - 1) as Level, why: `a task can ${finding.tries} (probe ${finding.name})` }];
    if (found === 2 && finding.verdict === 'not applicable' && needed.includes(finding.name)) return [{ below: 1 as Level, why: `the probe ${finding.name} could not be tried: ${finding.why}` }];
    return [];
  });
  const [worst] = reasons.toSorted((a, b) => a.below - b.below);
  return worst === undefined ? { level: found, missing } : { level: worst.below, missing: worst.why };
}

