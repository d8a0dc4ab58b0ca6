/** A quick yes is a promise: the schema would have said yes, and changed nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type MessageKind, messageSchemas } from '../../src/wire/messages.ts';
import { fieldIsQuickly, isQuickly } from '../../src/wire/quick-checks.ts';

const hash = 'a'.repeat(64);
const bytes = new Uint8Array([91, 93]);
const ref = { id: 't-1', attempt: 1, key: '0123456789abcdef' };
const call = { program: hash, language: 'python', function: 'main', args: bytes };
const receipt = { peer: 'p', decided: 'load', candidates: [{ peer: 'p', load: 0.5, cpu_load: 0 }], passed_over: { 'no python': 1 } };

/** Of each kind one message with everything that it may have. */
const whole: Partial<Record<MessageKind, Record<string, unknown>>> = {
  submit: { id: 't-1', ...call, options: { timeoutMs: 5 }, kwargs: bytes, follow: true },
  accepted: { ids: ['t-1', 't-2'] },
  attempt: { ...ref, ...call, submitter: 's', kwargs: bytes, timeoutMs: 5, memoryMb: 5, fresh: true, ahead: true },
  attempt_ended: { ...ref, outcome: 'done', runUs: 5, result: bytes, pid: 7 },
  stored: { attempts: [ref] },
  outcome: { id: 't-1', state: 'done', peer: 'p', attempt: 1, queued_ms: 0.5, run_ms: 1, receipt, result: bytes },
};

/** What a careless or hostile sender puts where something else belongs. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'x'.repeat(300), 'A'.repeat(64), 'ä', 't-1\n', '0123456789abcdef', hash, 'done', 'python', 'load', -1, -0, 0, 1.5, 2 ** 53, NaN, Infinity, -Infinity),
  fc.constantFrom<unknown>({}, [], [ref], [{ ...ref, more: 1 }], ['t-1', 5], bytes, new Uint8Array(), { hash, size: 3 }, receipt, { ...receipt, more: 1 }, { peer: 'p' }, { timeoutMs: -1 }, { once: true }, { unknown: 1 }),
  fc.constantFrom<unknown>(
    { ...receipt, candidates: Array.from({ length: limits.receiptCandidatesMax + 1 }, () => receipt.candidates[0]) },
    { ...receipt, candidates: [{ peer: 'p', load: NaN, cpu_load: 0 }] },
    { ...receipt, passed_over: { a: -1 } },
    Array.from({ length: limits.listPartMax + 1 }, () => ref),
    Array.from({ length: limits.idsPartMax + 1 }, () => 't'),
  ),
  fc.anything({ maxDepth: 2 }),
);
const kinds = Object.keys(whole) as MessageKind[];
const altered = fc.tuple(fc.constantFrom(...kinds), fc.array(fc.tuple(fc.nat(), fc.constantFrom('set', 'drop', 'add'), odd), { maxLength: 3 })).map(([kind, changes]) => {
  const fields = { ...whole[kind] };
  for (const [at, how, value] of changes) {
    const keys = Object.keys(fields);
    const key = keys[at % Math.max(1, keys.length)] ?? 'id';
    if (how === 'set') fields[key] = value;
    else if (how === 'drop') delete fields[key];
    else fields[`more${at % 3}`] = value;
  }
  return { kind, fields };
});

describe('a quick yes', () => {
  test('is given to every message of a task, with all that it may have', () => {
    for (const kind of kinds) expect(isQuickly(kind, whole[kind]), kind).toBe(true);
  });

  test('is given to nothing that the schema would refuse or change', () => {
    let yes = 0;
    fc.assert(
      fc.property(altered, ({ kind, fields }) => {
        if (!isQuickly(kind, fields)) return;
        yes += 1;
        const parsed = messageSchemas[kind].safeParse(fields);
        expect(parsed.success).toBe(true);
        expect(parsed.data).toStrictEqual(fields);
      }),
      { numRuns: 5_000 },
    );
    expect(yes).toBeGreaterThan(500);
  });

  test('to one field is given to nothing that the schema would refuse or change there', () => {
    const field = fc.constantFrom(...kinds.flatMap((kind) => [...Object.keys(whole[kind]!), 'more'].map((key) => ({ kind, key }))));
    fc.assert(
      fc.property(field, odd, ({ kind, key }, value) => {
        if (!fieldIsQuickly(kind, key, value)) return;
        const parsed = messageSchemas[kind].safeParse({ ...whole[kind], [key]: value });
        expect(parsed.success).toBe(true);
        expect((parsed.data as Record<string, unknown>)[key]).toStrictEqual(value);
      }),
      { numRuns: 5_000 },
    );
  });
});
