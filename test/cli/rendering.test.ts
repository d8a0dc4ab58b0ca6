import { describe, expect, it } from 'vitest';
import { errorJson, errorLines, shownOf } from '../../src/cli/errors.ts';
import { duration, moment, percent } from '../../src/cli/format.ts';
import { failureLines, outcomeJson, ranLine, statusOfOutcome } from '../../src/cli/outcomes.ts';
import { historyLines } from '../../src/cli/run-history.ts';
import { peersLines } from '../../src/cli/run-peers.ts';
import { statusLines } from '../../src/cli/run-status.ts';
import { storyLines } from '../../src/cli/run-task.ts';
import { upLines } from '../../src/cli/run-up.ts';
import { table, type Column } from '../../src/cli/table.ts';
import { widthOf } from '../../src/cli/text.ts';
import { PotluckError } from '../../src/errors.ts';
import type { HistoryRow, Outcome, PeerRow, PoolStatus, TaskStory } from '../../src/sdk/index.ts';

const plain = (text: string) => text;
const id = '0190b0f4-6f1c-7000-8000-000000000000';

const status: PoolStatus = {
  peer: 'machine-9000',
  pool: 'ab'.repeat(32),
  cpu_load: 0.25,
  load: 0.5,
  slots: 4,
  queue_size: 2,
  running: 2,
  tasks: [{ id, state: 'queued', function: 'main', language: 'python', peer: null, attempt: 0, age_ms: 3_400, waiting_for: 'no peer has a free slot' }],
  processes: [{ pid: 123, language: 'python', since_ms: 65_000, tasks_run: 20, rss_mb: 16, state: 'idle' }],
  tracker: { host: '127.0.0.1', port: 8888, connected: false },
  isolation: 1,
  accepts: 'own',
  withheld: 'isolation',
  role: 'admin',
  python: '3.11.7',
  version: '0.1.0',
  uptime_ms: 7_500_000,
  health: [{ problem: 'the tracker does not answer', fix: 'potluck tracker' }],
};
const peer: PeerRow = { peer: 'machine-9000', host: '127.0.0.1', port: 9000, web: 'http://127.0.0.1:5000', cpu_load: 0.1, load: 0.5, slots: 4, running: 2, queue_size: 1, state: 'up', isolation: 1, accepts: 'own', withheld: 'isolation', languages: { python: '3.11' } };
const row: HistoryRow = { id, state: 'timed_out', peer: 'machine-9001', attempt: 2, function: 'main', language: 'python', queued_ms: 1, run_ms: 1_000, accepted_at: '2026-01-31T08:00:00.000Z', ended_at: null, error: { code: 'timed_out', message: 'the task ran longer than its timeout of 1 s and was killed' } };
const story: TaskStory = {
  ...row,
  state: 'done',
  result: { a: [1n] },
  receipt: { peer: 'machine-9001', decided: 'cpu_load', candidates: [{ peer: 'machine-9001', load: 0, cpu_load: 0.1 }, { peer: 'machine-9000', load: 0, cpu_load: 0.9 }], passed_over: { 'no python3': 1 } },
  attempts: [{ attempt: 1, peer: 'machine-9002', state: 'lost', reason: 'its peer was lost while it ran' }, { attempt: 2, peer: 'machine-9001', state: 'done', reason: null }],
  output: { stdout: { text: 'hello\n\u001b[2Jworld\n', dropped_bytes: 7, dropped_at: 6 }, stderr: { text: '', dropped_bytes: 0 } },
  waiting_for: null,
  program: 'cd'.repeat(32),
  options: { timeoutMs: 1_000 },
  states: [{ state: 'queued', at: '2026-01-31T08:00:00.000Z' }, { state: 'done', at: '2026-01-31T08:00:02.000Z' }],
};
const pool = { pid: 1, logFolder: '/h/log', tracker: { role: 'tracker', pid: 2, host: '127.0.0.1', port: 8888, log: '/h/log/up-x-tracker.log', command: '' }, peers: [{ role: 'peer', pid: 3, host: '127.0.0.1', port: 9001, web: 'http://127.0.0.1:5001/', log: '', command: '' }] } as const;

describe.each([40, 80])('at %d columns', (width) => {
  it.each([
    ['status', statusLines(status, width, plain)],
    ['peers', peersLines([peer, peer], width, plain)],
    ['history', historyLines([row, row], width, plain)],
    ['task', storyLines(story, width, plain)],
  ])('%s fits', (_, lines) => {
    for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(Math.max(width, `task ${id}`.length));
    expect(lines.join('\n')).not.toMatch(/[^\P{Cc}\n]/u);
  });
});

describe('what is shown, however wide', () => {
  it('status ends with what is wrong and how to mend it', () => {
    expect(statusLines(status, 0, plain).slice(-3)).toEqual(['health: 1 problem', '  the tracker does not answer', '    fix: potluck tracker']);
    expect(statusLines({ ...status, pool: '' }, 80, plain)[0]).toContain('no pool yet');
    expect(statusLines({ ...status, health: [] }, 80, plain).at(-1)).toBe('health: all is well');
  });

  it('a row of history keeps its whole id at 40 columns', () => {
    expect(historyLines([row], 40, plain)[0]).toBe(id);
  });

  it('the page of another machine that only that one reaches is no link to one\'s own', () => {
    expect(peersLines([{ ...peer, host: '192.168.1.11' }], 0, plain).join()).toContain('on its machine');
    expect(peersLines([peer], 0, plain).join()).toContain('http://127.0.0.1:5000');
    expect(peersLines([{ ...peer, host: '192.168.1.11', web: 'https://192.168.1.11:5000' }], 0, plain).join()).toContain('https://192.168.1.11:5000');
  });

  it('a story tells attempts, the reason for the peer, output and result', () => {
    const text = storyLines(story, 80, plain).join('\n');
    for (const part of ['its peer was lost while it ran', 'its machine was the least busy', 'no python3', '  world', '7 bytes', 'result: {"a":[1]}', 'timeoutMs 1000']) expect(text).toContain(part);
  });

  it('up says what to type next, with the port if it is not the usual one', () => {
    expect(upLines(pool as never, true, 80, plain).join('\n')).toMatch(/logs: \/h\/log\/up-x-\*\.log[^]*potluck cpu --port 9001[^]*potluck down/);
  });
});

describe('a table', () => {
  const columns: Column<[string, string, string]>[] = [
    { title: 'KEY', value: ([key]) => key },
    { title: 'NEEDED', value: ([, needed]) => needed, drop: 1, right: true },
    { title: 'EXTRA', value: ([, , extra]) => extra, drop: 2 },
  ];
  const rows: [string, string, string][] = [['alpha', '1', 'something long'], ['b', '22', '-']];

  it('shows all without a limit', () => {
    expect(table(columns, rows, 0)).toEqual(['KEY    NEEDED  EXTRA', 'alpha       1  something long', 'b          22  -']);
  });

  it('drops the least needed column first', () => {
    expect(table(columns, rows, 14)).toEqual(['KEY    NEEDED', 'alpha       1', 'b          22']);
    expect(table(columns, rows, 6)).toEqual(['KEY', 'alpha', 'b']);
  });

  it('puts a row on several lines when even its first column does not fit beside the needed ones', () => {
    const needed = columns.map(({ title, value }) => ({ title, value }));
    expect(table(needed, rows, 20)).toEqual(['alpha', '  needed 1', '  extra something l…', 'b', '  needed 22']);
  });

  it('shows no column in which nobody has anything to say', () => {
    expect(table(columns, [['a', '-', '']], 0)).toEqual(['KEY', 'a']);
  });
});

describe('figures', () => {
  it.each([[0.44, '0.4 ms'], [12, '12 ms'], [3_400, '3.4 s'], [125_000, '2 min 5 s'], [60_000, '1 min'], [11_040_000, '3 h 4 min'], [90_000_000, '1 d 1 h'], [null, '-']])('%s ms is %s', (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it('shares and moments', () => {
    expect(percent(0.256)).toBe('26 %');
    const at = new Date(2026, 0, 31, 8, 5, 9);
    expect(moment(at.toISOString(), at)).toBe('08:05:09');
    expect(moment(at.toISOString(), new Date(2026, 1, 1))).toBe('2026-01-31 08:05:09');
  });
});

describe('an error', () => {
  it('has its three lines even if nobody said why', () => {
    expect(errorLines(shownOf(new PotluckError('unknown_task', 'no task x', { fix: 'look' })))).toEqual(['error: no task x', '  why: this home has no task of that id', '  fix: look']);
  });

  it('keeps the caret under the place', () => {
    expect(errorLines(shownOf(new PotluckError('bad_json', 'x', { why: 'line 1\n[1,]\n   ^', fix: 'y' })))).toEqual(['error: x', '  why: line 1', '       [1,]', '          ^', '  fix: y']);
  });

  it('can show no control codes', () => {
    expect(errorLines(shownOf(new PotluckError('internal', 'a\u001b[2J\nb', { why: '\u0007c' }))).slice(0, 2)).toEqual(['error: a b', '  why: c']);
  });

  it('is one document for programs', () => {
    expect(JSON.parse(errorJson(shownOf(new PotluckError('draining', 'a', { why: 'b' }))))).toEqual({ error: { code: 'draining', message: 'a: b', hint: 'try again in a moment' } });
    expect(JSON.parse(errorJson(shownOf(new TypeError('x is not a function'))))).toMatchObject({ error: { code: 'internal' } });
  });
});

describe('an outcome', () => {
  const outcome: Outcome = { id, state: 'done', peer: 'p', attempt: 2, queuedMs: 1, runMs: 2, receipt: null, resultJson: '[1.0, 12345678901234567890]' };
  const failed = (more: Partial<Outcome>): Outcome => {
    const { resultJson: _, ...rest } = outcome;
    return { ...rest, state: 'failed', error: { code: 'exception', message: 'no' }, ...more };
  };

  it('as a document holds the result verbatim, or the error, never both', () => {
    expect(outcomeJson(outcome)).toBe(`{"id":"${id}","state":"done","peer":"p","attempt":2,"queued_ms":1,"run_ms":2,"receipt":null,"result":[1.0, 12345678901234567890]}`);
    expect(JSON.parse(outcomeJson({ ...outcome, resultJson: 'null' }))).toHaveProperty('result', null);
    expect(JSON.parse(outcomeJson(failed({})))).toMatchObject({ state: 'failed', error: { code: 'exception', message: 'no', hint: null } });
    expect(JSON.parse(outcomeJson(failed({})))).not.toHaveProperty('result');
    expect(JSON.parse(outcomeJson({ ...outcome, queuedMs: 3.846_869_000_000_879, runMs: null }))).toMatchObject({ queued_ms: 3.847, run_ms: null });
  });

  it.each<[Partial<Outcome>, number]>([
    [{ state: 'failed' }, 1],
    [{ state: 'out_of_memory' }, 1],
    [{ state: 'quarantined' }, 1],
    [{ state: 'unknown' }, 1],
    [{ state: 'cancelled' }, 4],
    [{ state: 'timed_out' }, 5],
    [{ state: 'expired' }, 5],
    [{ state: 'failed', error: { code: 'impossible', message: 'nobody' } }, 6],
  ])('%j makes exit status %d', (more, exit) => {
    expect(statusOfOutcome(failed(more))).toBe(exit);
    expect(statusOfOutcome(outcome)).toBe(0);
  });

  it('tells a failure with its traceback once, then what, why and what to do', () => {
    const error = { code: 'exception', type: 'ValueError', message: 'no', traceback: 'Traceback:\n  line 1\nValueError: no\n' };
    expect(failureLines(failed({ error }), plain)).toEqual(['Traceback:', '  line 1', 'error: ValueError: no', '  why: the task failed (exception) on p after 2 attempts', '  fix: mend the program and submit it again']);
    expect(failureLines(failed({ state: 'cancelled', error: { code: 'cancelled', message: 'the task was cancelled' }, attempt: 1 }), plain)).toContain('  why: the task was cancelled on p');
    expect(failureLines(failed({ error: { code: 'function_missing', type: 'NameError', message: 'no main', hint: 'it has mian' }, attempt: 1 }), plain)).toEqual(['error: no main', '  why: the task failed (function_missing) on p', '  fix: it has mian']);
  });

  it('says where it ran', () => {
    expect(ranLine(outcome)).toBe('done on p, attempt 2: waited 1 ms, ran 2 ms');
    expect(ranLine(failed({ state: 'expired', peer: null, runMs: null, queuedMs: 5_000 }))).toBe('expired after 5.0 s without having run');
  });
});
