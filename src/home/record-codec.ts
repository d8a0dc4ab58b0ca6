/**
 * Records and stories as bytes: positions instead of names, because they are written for every task.
 *
 * All records of one flush form groups, one record of the log each: [number of the first, count], then
 * per record its kind and its fields, where a field equal to that of the last record of the same kind in the
 * group takes one byte. Invariant: a position never changes its meaning; a new field goes to the end, with
 * a new kind number, so that a reader knows how many there are.
 */
import { Reader, Writer } from '../wire/msgpack.ts';
import type { OutcomeState, Problem, Receipt, TaskOptions, Value } from '../wire/messages.ts';
import { type AttemptStory, type HomeRecord, type Kept, type PrunedTask, recordSchema, type RecordOf, type Story } from './records.ts';

const kinds = { accepted: 1, assigned: 2, requeued: 3, ended: 4, restated: 5, retold: 6, pruned: 7 } as const;
/** Fields of each kind, the kind itself included. */
const widths = [undefined, 12, 8, 6, 12, 23, 18, 5] as const;

/** Positions of an attempt, of a pruned task, and of what was accepted where a task is told again. */
const attemptWidth = 7;
const prunedWidth = 4;
const acceptedWidth = 12;

type Fields = readonly unknown[];

const writer = new Writer();
const reader = new Reader();

/** The bytes are good until the next call. */
function toBytes(fields: readonly unknown[]): Buffer {
  writer.length = 0;
  writer.value(fields);
  return writer.bytes.subarray(0, writer.length);
}

const orNull = <T>(value: T | undefined): T | null => value ?? null;

const receiptFields = (receipt: Receipt) => [receipt.peer, receipt.decided, receipt.candidates.flatMap(({ peer, load, cpu_load }) => [peer, load, cpu_load]), orNull(receipt.passed_over)];
/** The same receipt gives the same array, so that it is written once per group. */
let lastReceipt: { receipt: Receipt; fields: unknown[] } | undefined;
function receiptFieldsOf(receipt: Receipt): unknown[] {
  if (lastReceipt?.receipt !== receipt) lastReceipt = { receipt, fields: receiptFields(receipt) };
  return lastReceipt.fields;
}

const keptFields = (kept: Kept | undefined) => (kept === undefined ? null : [kept.head, kept.tail, kept.dropped]);

const attemptsFields = (attempts: readonly AttemptStory[]) => attempts.flatMap(({ attempt, key, peer, state, reason, at, wall }) => [attempt, key, peer, state, reason, at, wall]);

/** The fields of an `accepted` record behind its kind: also the first ones of a task that is told again. */
const acceptedFields = (record: RecordOf<'accepted'>): unknown[] => fieldsOf(record).slice(1);

/** Where there is a record for every task, its fields go into an array that is used again. */
function fieldsOf(record: HomeRecord, into: unknown[] = []): Fields {
  switch (record.kind) {
    case 'accepted': {
      const { id, program, language, args, kwargs, options, digest, submitter, at, wall } = record;
      into.push(kinds.accepted, id, program, language, record.function, args, orNull(kwargs), options, digest, submitter, at, wall);
      return into;
    }
    case 'assigned':
      into.push(kinds.assigned, record.id, record.attempt, record.key, record.peer, receiptFieldsOf(record.receipt), record.at, record.wall);
      return into;
    case 'ended': {
      const { id, state, peer, attempt, result, error, runMs, at, wall, stdout, stderr } = record;
      into.push(kinds.ended, id, state, peer, attempt, orNull(result), orNull(error), runMs, at, wall, keptFields(stdout), keptFields(stderr));
      return into;
    }
    case 'restated': {
      const { seq, attempts, receipt, losses, failures, avoid, notBefore, assignedAt, isAssigned, at, wall } = record;
      const story = [seq, attemptsFields(attempts), receipt === null ? null : receiptFieldsOf(receipt)];
      return [kinds.restated, ...acceptedFields(record.accepted), ...story, losses, failures, avoid, notBefore, assignedAt, isAssigned, at, wall];
    }
    case 'retold': {
      const { attempts, receipt, queuedMs, ended, at, wall } = record;
      return [kinds.retold, ...acceptedFields(record.accepted), attemptsFields(attempts), receipt === null ? null : receiptFieldsOf(receipt), queuedMs, fieldsOf(ended), at, wall];
    }
    case 'pruned':
      return [kinds.pruned, record.since, record.tasks.flatMap(({ id, digest, state, endedWall }) => [id, digest, state, endedWall]), record.at, record.wall];
    case 'requeued':
      return [kinds.requeued, record.id, record.why, record.reason, record.at, record.wall];
  }
}

/** By kind, the fields of the record that is written and of the one before. */
const scratch = widths.map((): [unknown[], unknown[]] => [[], []]);

/** The bytes are lent until the next call: the log copies them. `firstSeq`: number of the first record. */
export function encodeGroup(records: readonly HomeRecord[], firstSeq: number): Buffer {
  writer.length = 0;
  writer.number(firstSeq);
  writer.number(records.length);
  const before: (Fields | undefined)[] = [];
  for (const record of records) {
    const kind = kinds[record.kind];
    const last = before[kind];
    const [one, other] = scratch[kind]!;
    const into = last === one ? other : one;
    into.length = 0;
    const fields = fieldsOf(record, into);
    writer.byte(kind);
    for (let at = 1; at < fields.length; at += 1) {
      const value = fields[at];
      if (last !== undefined && value === last[at] && value !== null) writer.same();
      else writer.value(value);
    }
    before[kind] = fields;
  }
  // Nothing of a record is kept alive by them.
  for (const [one, other] of scratch) one.length = other.length = 0;
  return writer.bytes.subarray(0, writer.length);
}

/** Calls back each record of a group with its number. Throws when the bytes are no group of this version. */
export function decodeGroup(bytes: Uint8Array, each: (record: HomeRecord, seq: number) => void): void {
  eachFields(bytes, (fields, seq) => each(recordSchema.parse(recordFrom(fields)), seq));
}

/** What compaction must know of a record. */
export type Outline =
  /** Accepted or restated. */
  | { kind: 'accepted'; id: string; digest: string }
  | { kind: 'ended'; id: string; state: OutcomeState; endedWall: number }
  | { kind: 'retold'; id: string; digest: string; state: OutcomeState; endedWall: number }
  | RecordOf<'pruned'>;

/** Calls back what compaction must know of a group; much cheaper than its records. */
export function outlineGroup(bytes: Uint8Array, each: (outline: Outline) => void): void {
  eachFields(bytes, (fields) => {
    const outline = outlineOf(fields);
    if (outline !== undefined) each(outline);
  });
}

function outlineOf(fields: Fields): Outline | undefined {
  const id = fields[1] as string;
  switch (fields[0]) {
    case kinds.accepted:
    case kinds.restated:
      return { kind: 'accepted', id, digest: fields[8] as string };
    case kinds.ended:
      return { kind: 'ended', id, state: fields[2] as OutcomeState, endedWall: fields[9] as number };
    case kinds.retold: {
      const ended = fields[15] as Fields;
      return { kind: 'retold', id, digest: fields[8] as string, state: ended[2] as OutcomeState, endedWall: ended[9] as number };
    }
    case kinds.pruned:
      return recordSchema.parse(recordFrom(fields)) as RecordOf<'pruned'>;
    default:
      return undefined;
  }
}

function eachFields(bytes: Uint8Array, each: (fields: Fields, seq: number) => void): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  reader.open(buffer, 0, buffer.length);
  const [firstSeq, count] = [reader.value(0), reader.value(0)] as [number, number];
  const before: unknown[][] = [];
  for (let at = 0; at < count; at += 1) {
    const kind = reader.value(0) as number;
    const width = widths[kind];
    if (width === undefined) throw new TypeError(`a record of kind ${kind}`);
    const last = before[kind];
    const fields: unknown[] = [kind];
    for (let field = 1; field < width; field += 1) fields.push(last === undefined ? reader.value(0) : reader.valueOr(last[field]));
    before[kind] = fields;
    each(fields, firstSeq + at);
  }
  if (!reader.isAtEnd) throw new TypeError('bytes after the last record of a group');
}

function receiptFrom(fields: unknown): Receipt {
  const [peer, decided, flat, passedOver] = fields as [string, Receipt['decided'], (string | number)[], Record<string, number> | null];
  const candidates = [];
  for (let at = 0; at < flat.length; at += 3) candidates.push({ peer: flat[at] as string, load: flat[at + 1] as number, cpu_load: flat[at + 2] as number });
  return { peer, decided, candidates, ...(passedOver === null ? {} : { passed_over: passedOver }) };
}

const keptFrom = (fields: unknown) => {
  const [head, tail, dropped] = fields as [Uint8Array, Uint8Array, number];
  return { head, tail, dropped };
};

const optional = (name: string, value: unknown) => (value === null || value === undefined ? {} : { [name]: value });

function attemptsFrom(flat: unknown): AttemptStory[] {
  const fields = flat as unknown[];
  const attempts: AttemptStory[] = [];
  for (let from = 0; from < fields.length; from += attemptWidth) {
    const [attempt, key, peer, state, reason, at, wall] = fields.slice(from, from + attemptWidth) as [number, string, string, AttemptStory['state'], string | null, number, number];
    attempts.push({ attempt, key, peer, state, reason, at, wall });
  }
  return attempts;
}

function prunedTasksFrom(flat: unknown): PrunedTask[] {
  const fields = flat as unknown[];
  const tasks: PrunedTask[] = [];
  for (let from = 0; from < fields.length; from += prunedWidth) {
    const [id, digest, state, endedWall] = fields.slice(from, from + prunedWidth) as [string, string, OutcomeState, number];
    tasks.push({ id, digest, state, endedWall });
  }
  return tasks;
}

function acceptedFrom(fields: Fields): unknown {
  const [, id, program, language, name, args, kwargs, options, digest, submitter, at, wall] = fields as [number, string, string, string, string, Value, Value | null, TaskOptions, string, string, number, number];
  return { kind: 'accepted', id, program, language, function: name, args, ...optional('kwargs', kwargs), options, digest, submitter, at, wall };
}

const receiptOrNull = (fields: unknown) => (fields === null ? null : receiptFrom(fields));

function recordFrom(fields: Fields): unknown {
  const [kind, id] = fields;
  switch (kind) {
    case kinds.accepted:
      return acceptedFrom(fields);
    case kinds.restated: {
      const [seq, attempts, receipt, losses, failures, avoid, notBefore, assignedAt, isAssigned, at, wall] = fields.slice(acceptedWidth);
      const story = { seq, attempts: attemptsFrom(attempts), receipt: receiptOrNull(receipt) };
      return { kind: 'restated', id, accepted: acceptedFrom(fields), ...story, losses, failures, avoid, notBefore, assignedAt, isAssigned, at, wall };
    }
    case kinds.retold: {
      const [attempts, receipt, queuedMs, ended, at, wall] = fields.slice(acceptedWidth);
      return { kind: 'retold', id, accepted: acceptedFrom(fields), attempts: attemptsFrom(attempts), receipt: receiptOrNull(receipt), queuedMs, ended: recordFrom(ended as Fields), at, wall };
    }
    case kinds.pruned: {
      const [, since, tasks, at, wall] = fields;
      return { kind: 'pruned', since, tasks: prunedTasksFrom(tasks), at, wall };
    }
    case kinds.assigned: {
      const [, , attempt, key, peer, receipt, at, wall] = fields;
      return { kind: 'assigned', id, attempt, key, peer, receipt: receiptFrom(receipt), at, wall };
    }
    case kinds.requeued: {
      const [, , why, reason, at, wall] = fields;
      return { kind: 'requeued', id, why, reason, at, wall };
    }
    case kinds.ended: {
      const [, , state, peer, attempt, result, error, runMs, at, wall, stdout, stderr] = fields;
      const kept = { ...optional('stdout', stdout === null ? null : keptFrom(stdout)), ...optional('stderr', stderr === null ? null : keptFrom(stderr)) };
      return { kind: 'ended', id, state, peer, attempt, ...optional('result', result), ...optional('error', error as Problem | null), runMs, at, wall, ...kept };
    }
    default:
      throw new TypeError(`a record of kind ${String(kind)}`);
  }
}

export function encodeStory({ accepted, attempts, receipt, queuedMs, ended }: Story): Buffer {
  const lent = toBytes([
    fieldsOf(accepted),
    attemptsFields(attempts),
    receipt === null ? null : receiptFields(receipt),
    queuedMs,
    fieldsOf(ended),
  ]);
  return Buffer.from(lent);
}

export function decodeStory(bytes: Uint8Array): Story {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [accepted, flat, receipt, queuedMs, ended] = reader.read(buffer, 0, buffer.length) as [Fields, unknown[], unknown, number, Fields];
  return {
    accepted: recordSchema.parse(recordFrom(accepted)) as RecordOf<'accepted'>,
    attempts: attemptsFrom(flat),
    receipt: receiptOrNull(receipt),
    queuedMs,
    ended: recordSchema.parse(recordFrom(ended)) as RecordOf<'ended'>,
  };
}
