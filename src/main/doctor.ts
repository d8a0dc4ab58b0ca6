/** Composition of `potluck doctor`: what this machine has, and what the probes say of it, now. */
import type { PeerOptions } from '../config.ts';
import { runProbes } from '../probes/battery.ts';
import type { Finding, Level } from '../probes/types.ts';
import { proofOf } from '../probes/verdict.ts';
import { homedir } from 'node:os';
import { probeLevel } from '../sandbox/levels.ts';
import type { Language } from '../wire/index.ts';
import { findInterpreters, type WithoutInterpreter } from './interpreters.ts';
import { guestsFolder } from './paths.ts';

export interface DoctorReport {
  /** What the probes proved. */
  level: Level;
  /** Why not more; empty at level 2. */
  missing: string;
  /** The one command that mends it, where there is one. */
  fix: string;
  /** What tasks do without in the box, a sentence each. */
  notes: string[];
  interpreters: { language: Language; path: string; version: string }[];
  /** Languages that are not there, and why. */
  without: WithoutInterpreter[];
  findings: Finding[];
  tookMs: number;
}

/**
 * Leaves nothing behind, and needs no pool.
 * @throws PotluckError `interpreter_missing` for one that was named
 */
export async function examine({ homeFolder, python, node }: Pick<PeerOptions, 'homeFolder' | 'python' | 'node'>): Promise<DoctorReport> {
  const startedAt = performance.now();
  const { interpreters, without } = await findInterpreters({ python, node });
  const level = await probeLevel(true, { interpreters, guestsFolder, hidden: [homedir(), homeFolder] });
  const findings = interpreters.length === 0 ? [] : await runProbes({ homeFolder, guestsFolder, interpreters, level, heavy: true });
  return {
    ...proofOf(level.level, level.missing, findings),
    fix: level.fix,
    notes: level.notes,
    interpreters: interpreters.map(({ language, path, version }) => ({ language, path, version })),
    without,
    findings,
    tookMs: performance.now() - startedAt,
  };
}
