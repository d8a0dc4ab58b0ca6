/**
 * Records and stories as bytes: positions instead of names, because they are written for every task.
 *
 * All records of one flush form groups, one record of the log each: [number of the first, count], then
 * per record its kind and its fields, where a field equal to that of the last record of the same kind in the
 * group takes one byte. Invariant: a position never changes its meaning; a new field goes to the end, with
 * a new kind number, so that a reader knows how many there are.
 */
import { Reader, Writer } from '../wire/msgpack.ts';
import type { Problem, Receipt, TaskOptions, Value } from '../wire/messages.ts';
import { type AttemptStory, type HomeRecord, type Kept, recordSchema, type RecordOf, type Story } from './records.ts';

const kinds = { accepted: 1, assigned: 2, requeued: 3, ended: 4 } as const;
/** Fields of each kind, the kind itself included. */
const widths = [undefined, 12, 8, 6, 12] as const;

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

function fieldsOf(record: HomeRecord): unknown[] {
  switch (record.kind) {
    case 'accepted': {
      const { id, program, language, args, kwargs, options, digest, submitter, at, wall } = record;
      return [kinds.accepted, id, program, language, record.function, args, orNull(kwargs), options, digest, submitter, at, wall];
    }
    case 'assigned':
      return [kinds.assigned, record.id, record.attempt, record.key, record.peer, receiptFieldsOf(record.receipt), record.at, record.wall];
    case 'requeued':
      return [kinds.requeued, record.id, record.why, record.reason, record.at, record.wall];
    case 'ended': {
      const { id, state, peer, attempt, result, error, runMs, at, wall, stdout, stderr } = record;
      return [kinds.ended, id, state, peer, attempt, orNull(result), orNull(error), runMs, at, wall, keptFields(stdout), keptFields(stderr)];
    }
  }
}

/** The bytes are lent until the next call: the log copies them. `firstSeq`: number of the first record. */
export function encodeGroup(records: readonly HomeRecord[], firstSeq: number): Buffer {
  writer.length = 0;
  writer.number(firstSeq);
  writer.number(records.length);
  const before: Fields[] = [];
  for (const record of records) {
    const fields = fieldsOf(record);
    const kind = fields[0] as number;
    const last = before[kind];
    writer.byte(kind);
    for (let at = 1; at < fields.length; at += 1) {
      const value = fields[at];
      if (last !== undefined && value === last[at] && value !== null) writer.same();
      else writer.value(value);
    }
    before[kind] = fields;
  }
  return writer.bytes.subarray(0, writer.length);
}

/** Calls back each record of a group with its number. Throws when the bytes are no group of this version. */
export function decodeGroup(bytes: Uint8Array, each: (record: HomeRecord, seq: number) => void): void {
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
    each(recordSchema.parse(recordFrom(fields)), firstSeq + at);
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

function recordFrom(fields: Fields): unknown {
  const [kind, id] = fields;
  switch (kind) {
    case kinds.accepted: {
      const [, , program, language, name, args, kwargs, options, digest, submitter, at, wall] = fields as [number, string, string, string, string, Value, Value | null, TaskOptions, string, string, number, number];
      return { kind: 'accepted', id, program, language, function: name, args, ...optional('kwargs', kwargs), options, digest, submitter, at, wall };
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
    attempts.flatMap(({ attempt, key, peer, state, reason, at, wall }) => [attempt, key, peer, state, reason, at, wall]),
    receipt === null ? null : receiptFields(receipt),
    queuedMs,
    fieldsOf(ended),
  ]);
  return Buffer.from(lent);
}

const attemptWidth = 7;

export function decodeStory(bytes: Uint8Array): Story {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [accepted, flat, receipt, queuedMs, ended] = reader.read(buffer, 0, buffer.length) as [Fields, unknown[], unknown, number, Fields];
  const attempts: AttemptStory[] = [];
  for (let from = 0; from < flat.length; from += attemptWidth) {
    const [attempt, key, peer, state, reason, at, wall] = flat.slice(from, from + attemptWidth) as [number, string, string, AttemptStory['state'], string | null, number, number];
    attempts.push({ attempt, key, peer, state, reason, at, wall });
  }
  return {
    accepted: recordSchema.parse(recordFrom(accepted)) as RecordOf<'accepted'>,
    attempts,
    receipt: receipt === null ? null : receiptFrom(receipt),
    queuedMs,
    ended: recordSchema.parse(recordFrom(ended)) as RecordOf<'ended'>,
  };
}
