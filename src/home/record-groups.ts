/**
 * Which records share one record of the log: those of one flush, but no more than it can hold.
 */
import type { HomeRecord, Kept, RecordOf } from './records.ts';
import type { Value } from '../wire/messages.ts';

const recordsMax = 64;
/** The log's bound is 16 MiB; a single record of ours has some 2 MiB at the most. */
const bytesMax = 4 * 1024 * 1024;

/** Cuts what one flush takes into groups, in order. */
export function groupsOf(records: readonly HomeRecord[]): (readonly HomeRecord[])[] {
  const groups: (readonly HomeRecord[])[] = [];
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < records.length; at += 1) {
    const size = roughBytes(records[at]!);
    if (at > from && (at - from === recordsMax || bytes + size > bytesMax)) {
      groups.push(records.slice(from, at));
      from = at;
      bytes = 0;
    }
    bytes += size;
  }
  if (from < records.length) groups.push(records.slice(from));
  return groups;
}

const fixedBytes = 300;
const attemptBytes = 200;

function roughBytes(record: HomeRecord): number {
  switch (record.kind) {
    case 'accepted':
      return acceptedBytes(record);
    case 'ended':
      return endedBytes(record);
    case 'restated':
      return acceptedBytes(record.accepted) + attemptsBytes(record.attempts);
    case 'retold':
      return acceptedBytes(record.accepted) + attemptsBytes(record.attempts) + endedBytes(record.ended);
    case 'pruned':
      return record.tasks.length * fixedBytes;
    case 'requeued':
      return fixedBytes + 3 * record.reason.length;
    case 'assigned':
      return 2 * fixedBytes;
  }
}

const valueBytes = (value: Value | undefined): number => (value instanceof Uint8Array ? value.length : 0);
const keptBytes = (kept: Kept | undefined): number => (kept === undefined ? 0 : kept.head.length + kept.tail.length);
const textBytes = (text: string | undefined | null): number => 3 * (text?.length ?? 0);

const acceptedBytes = ({ args, kwargs }: RecordOf<'accepted'>): number => fixedBytes + valueBytes(args) + valueBytes(kwargs);

const attemptsBytes = (attempts: RecordOf<'restated'>['attempts']): number => attempts.reduce((sum, { reason }) => sum + attemptBytes + textBytes(reason), 0);

const endedBytes = ({ result, error, stdout, stderr }: RecordOf<'ended'>): number =>
  fixedBytes + valueBytes(result) + keptBytes(stdout) + keptBytes(stderr) + textBytes(error?.message) + textBytes(error?.traceback) + textBytes(error?.hint);
