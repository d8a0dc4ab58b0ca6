/**
 * What became of every task of a chaos run, from what was left on disk: the clients' own records, the journals of
 * their homes, and the file in which each task noted its runs. Asks no process and knows nothing of how they decide.
 */
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeGroup } from '../../src/home/record-codec.ts';
import type { HomeRecord, RecordOf } from '../../src/home/records.ts';
import { Blobs } from '../../src/store/blobs.ts';
import { Log } from '../../src/store/log.ts';
import { realFiles } from '../../src/store/real-files.ts';
import { expected, type TaskPlan } from './plan.ts';

export interface Left {
  /** Of each client: what it was to do, the file of its records, and the folder of its home's store. */
  clients: readonly { plan: readonly TaskPlan[]; records: string; store: string; homeKills: number }[];
  effects: string;
  /** A new folder, to read copies in. */
  scratch: string;
}

interface Told {
  at: number;
  what: 'submit' | 'accepted' | 'refused' | 'outcome' | 'error';
  id: string;
  state?: string;
  attempt?: number;
  resultJson?: string;
  code?: string;
  message?: string;
}

export interface Verdict {
  tasks: number;
  /** Accepted, or taken for accepted by a client, and without an end. */
  lost: number;
  twoOutcomes: number;
  wrongResults: number;
  ranTooOften: number;
  onceTwice: number;
  outcomes: Record<string, number>;
  runs: number;
  assigned: number;
  losses: number;
  /** When the last outcome was told, from the start. */
  lastOutcomeMs: number;
  /** Sentences; empty when all promises were kept. */
  broken: string[];
}

/** What a journal tells of one task. */
interface Story {
  accepted: number;
  /** Attempts that a runner took, as far as is known. */
  assigned: number;
  lost: number;
  ended: RecordOf<'ended'>[];
  afterEnd: string[];
}

export async function check({ clients, effects, scratch }: Left): Promise<Verdict> {
  const verdict: Verdict = { tasks: 0, lost: 0, twoOutcomes: 0, wrongResults: 0, ranTooOften: 0, onceTwice: 0, outcomes: {}, runs: 0, assigned: 0, losses: 0, lastOutcomeMs: 0, broken: [] };
  for (const [at, client] of clients.entries()) {
    const stories = await readJournal(join(client.store, 'journal'), join(scratch, `journal-${at}`));
    const blobs = new Blobs(realFiles, join(client.store, 'blobs'), () => undefined);
    await blobs.start();
    const told = readRecords(client.records);
    for (const task of client.plan) await checkTask(verdict, task, told.get(task.id) ?? [], stories.get(task.id), runsOf(join(effects, task.id)), client.homeKills, blobs);
    const planned = new Set(client.plan.map(({ id }) => id));
    for (const id of stories.keys()) if (!planned.has(id)) verdict.broken.push(`${id} stands in the journal and nobody submitted it`);
  }
  return verdict;
}

async function readJournal(journal: string, copy: string): Promise<Map<string, Story>> {
  cpSync(journal, copy, { recursive: true });
  const stories = new Map<string, Story>();
  const log = new Log(realFiles, { directory: copy });
  await log.open((bytes) => decodeGroup(bytes, (record) => take(stories, record)));
  await log.close();
  return stories;
}

function take(stories: Map<string, Story>, record: HomeRecord): void {
  // Nothing of a run grows old enough to be told again.
  if (record.kind === 'pruned' || record.kind === 'retold' || record.kind === 'restated') throw new Error(`a record of kind ${record.kind} in a young journal`);
  let story = stories.get(record.id);
  if (story === undefined) stories.set(record.id, (story = { accepted: 0, assigned: 0, lost: 0, ended: [], afterEnd: [] }));
  if (story.ended.length > 0) story.afterEnd.push(record.kind);
  if (record.kind === 'accepted') story.accepted += 1;
  if (record.kind === 'assigned') story.assigned += 1;
  if (record.kind === 'requeued' && record.why === 'lost') story.lost += 1;
  if (record.kind === 'requeued' && record.why === 'refused') story.assigned -= 1;
  if (record.kind === 'ended') story.ended.push(record);
}

function readRecords(path: string): Map<string, Told[]> {
  const byId = new Map<string, Told[]>();
  // A client that was killed may have left half a line.
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    let told: Told;
    try {
      told = JSON.parse(line) as Told;
    } catch {
      continue;
    }
    const known = byId.get(told.id);
    if (known === undefined) byId.set(told.id, [told]);
    else known.push(told);
  }
  return byId;
}

const runsOf = (path: string): number => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0);

async function checkTask(verdict: Verdict, task: TaskPlan, told: readonly Told[], story: Story | undefined, runs: number, homeKills: number, blobs: Blobs): Promise<void> {
  const { id } = task;
  const say = (what: string) => verdict.broken.push(`${id} ${what}`);
  const outcomes = told.filter(({ what }) => what === 'outcome');
  verdict.tasks += 1;
  verdict.runs += runs;
  for (const { what, code, message } of told) if (what === 'refused' || what === 'error') say(`was ${what === 'refused' ? 'refused' : 'given up'}: ${String(code)}, ${String(message)}`);
  const [first] = outcomes;
  const [ended] = story?.ended ?? [];
  verdict.assigned += story?.assigned ?? 0;
  verdict.losses += story?.lost ?? 0;
  if (story === undefined || ended === undefined || first === undefined) {
    verdict.lost += 1;
    const last = told.at(-1)?.what ?? 'nothing';
    return void say(`has no end: the client was last told "${last}", the journal has ${story === undefined ? 'nothing of it' : `${story.assigned} attempts and ${story.ended.length} outcomes`}`);
  }
  verdict.lastOutcomeMs = Math.max(verdict.lastOutcomeMs, first.at);
  verdict.outcomes[ended.state] = (verdict.outcomes[ended.state] ?? 0) + 1;
  if (story.accepted !== 1) say(`was accepted ${story.accepted} times`);
  if (story.ended.length > 1 || outcomes.some(({ state, attempt }) => state !== ended.state || attempt !== ended.attempt)) {
    verdict.twoOutcomes += 1;
    say(`has more than one outcome: ${[...story.ended, ...outcomes].map(({ state, attempt }) => `${String(state)} of attempt ${String(attempt)}`).join(', ')}`);
  }
  if (story.afterEnd.length > 0) say(`went on after its end: ${story.afterEnd.join(', ')}`);
  if (!mayEnd(task, ended.state, story)) say(`ended ${ended.state}, after ${story.assigned} attempts and ${story.lost} losses: ${ended.error?.message ?? ''}`);
  if (ended.state === 'done') {
    const wanted = expected(task);
    const kept = ended.result instanceof Uint8Array ? ended.result : ended.result === undefined ? undefined : await blobs.read(ended.result.hash);
    const inJournal = kept === undefined ? undefined : Buffer.from(kept).toString('utf8').replaceAll(' ', '');
    if (inJournal !== wanted || outcomes.some(({ resultJson }) => resultJson?.replaceAll(' ', '') !== wanted)) {
      verdict.wrongResults += 1;
      say(`has a wrong result: ${(inJournal ?? 'none').slice(0, 200)}`);
    }
    if (runs === 0) say('is done and never ran');
  }
  // An attempt that may be repeated leaves before its record is on disk: each death of the home may forget one.
  if (runs > story.assigned + homeKills) {
    verdict.ranTooOften += 1;
    say(`ran ${runs} times in ${story.assigned} attempts, and its home was killed ${homeKills} times`);
  }
  if (task.once && runs > 1) {
    verdict.onceTwice += 1;
    say(`ran ${runs} times and may run once`);
  }
}

function mayEnd(task: TaskPlan, state: string, story: Story): boolean {
  if (state === 'cancelled') return task.cancelAfterMs !== null;
  if (state === 'unknown') return task.once;
  // The fifth loss ends it and puts it back no more.
  if (state === 'quarantined') return story.lost >= 4;
  return state === (expected(task) === undefined ? 'failed' : 'done');
}
