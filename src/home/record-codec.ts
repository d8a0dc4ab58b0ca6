/**
 * Records and stories as bytes: MessagePack arrays, one position per field.
 *
 * Written for every task several times, so without names of fields. Invariant: a position never changes
 * its meaning; a new field goes to the end, and a reader takes a missing one for its default.
 */
import { Reader, Writer } from '../wire/msgpack.ts';
import type { Problem, Receipt, TaskOptions, Value } from '../wire/messages.ts';
import { type AttemptStory, type HomeRecord, type Kept, recordSchema, type RecordOf, type Story } from './records.ts';

const kinds = { accepted: 1, assigned: 2, requeued: 3, ended: 4 } as const;

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
const keptFields = (kept: Kept | undefined) => (kept === undefined ? null : [kept.head, kept.tail, kept.dropped]);

function fieldsOf(record: HomeRecord): unknown[] {
  switch (record.kind) {
    case 'accepted': {
      const { id, program, language, args, kwargs, options, digest, submitter, at, wall } = record;
      return [kinds.accepted, id, program, language, record.function, args, orNull(kwargs), options, digest, submitter, at, wall];
    }
    case 'assigned':
      return [kinds.assigned, record.id, record.attempt, record.key, record.peer, receiptFields(record.receipt), record.at, record.wall];
    case 'requeued':
      return [kinds.requeued, record.id, record.why, record.reason, record.at, record.wall];
    case 'ended': {
      const { id, state, peer, attempt, result, error, runMs, at, wall, stdout, stderr } = record;
      return [kinds.ended, id, state, peer, attempt, orNull(result), orNull(error), runMs, at, wall, keptFields(stdout), keptFields(stderr)];
    }
  }
}

/** The bytes are lent until the next call: the log copies them. */
export const encodeRecord = (record: HomeRecord): Buffer => toBytes(fieldsOf(record));

type Fields = readonly unknown[];

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

/** Throws when the bytes are not a record of this version: the journal's own checks passed, so it is a fault of ours. */
export function decodeRecord(bytes: Uint8Array): HomeRecord {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return recordSchema.parse(recordFrom(reader.read(buffer, 0, buffer.length) as Fields));
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
