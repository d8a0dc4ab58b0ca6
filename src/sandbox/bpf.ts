/**
 * An assembler for the few instructions of classic BPF that a filter of system calls needs. Jumps name
 * labels; it counts the distances.
 *
 * Invariant: every jump goes forward and at most 255 instructions, as the format demands; else assembling
 * throws.
 */

/** Loads a 32-bit word of the data at an offset. */
const LOAD = 0x20;
const RETURN = 0x06;
const TESTS = { equal: 0x15, atLeast: 0x35, anyBit: 0x45 } as const;
const DISTANCE_MAX = 255;
const INSTRUCTION_BYTES = 8;

export type Test = keyof typeof TESTS;

export type Line =
  | { op: 'label'; name: string }
  | { op: 'load'; offset: number }
  | { op: 'return'; value: number }
  /** Where the test does not hold the next line follows. */
  | { op: 'jump'; test: Test; value: number; to: string }
  /** Where the test holds the next line follows. */
  | { op: 'unless'; test: Test; value: number; to: string };

export const label = (name: string): Line => ({ op: 'label', name });
export const load = (offset: number): Line => ({ op: 'load', offset });
export const giveBack = (value: number): Line => ({ op: 'return', value });
export const jump = (test: Test, value: number, to: string): Line => ({ op: 'jump', test, value, to });
export const unless = (test: Test, value: number, to: string): Line => ({ op: 'unless', test, value, to });

/**
 * As the kernel takes it: 8 bytes an instruction, in this machine's byte order.
 * @throws RangeError for a label that is missing, behind, or too far away
 */
export function assemble(lines: readonly Line[]): Uint8Array {
  const labels = new Map<string, number>();
  let count = 0;
  for (const line of lines) {
    if (line.op === 'label') labels.set(line.name, count);
    else count += 1;
  }
  const bytes = new DataView(new ArrayBuffer(count * INSTRUCTION_BYTES));
  let at = 0;
  for (const line of lines) {
    if (line.op === 'label') continue;
    write(bytes, at, line, labels);
    at += 1;
  }
  return new Uint8Array(bytes.buffer);
}

function write(bytes: DataView, at: number, line: Exclude<Line, { op: 'label' }>, labels: ReadonlyMap<string, number>): void {
  const put = (code: number, ifTrue: number, ifFalse: number, value: number): void => {
    const from = at * INSTRUCTION_BYTES;
    bytes.setUint16(from, code, LITTLE_ENDIAN);
    bytes.setUint8(from + 2, ifTrue);
    bytes.setUint8(from + 3, ifFalse);
    bytes.setUint32(from + 4, value, LITTLE_ENDIAN);
  };
  if (line.op === 'load') put(LOAD, 0, 0, line.offset);
  else if (line.op === 'return') put(RETURN, 0, 0, line.value);
  else {
    const distance = (labels.get(line.to) ?? -1) - at - 1;
    if (distance < 0 || distance > DISTANCE_MAX) throw new RangeError(`label ${line.to} cannot be reached from instruction ${at}`);
    put(TESTS[line.test], line.op === 'jump' ? distance : 0, line.op === 'jump' ? 0 : distance, line.value);
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
