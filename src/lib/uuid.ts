/**
 * UUIDs of version 7 (RFC 9562): they sort by the time they were made. The 12 bits after the
 * milliseconds count within one of them, so that ids made one after another also sort in that order.
 */
import { randomFillSync } from 'node:crypto';

const bitsOfCounter = 12;
const counterMax = (1 << bitsOfCounter) - 1;

/** Random bytes are drawn in bulk: a system call per id would be a third of the cost of a small submission. */
const stock = new Uint8Array(8 * 512);
let stockAt = stock.length;
let lastMs = 0;
let counter = 0;
/** The part of an id that tells `timeOf`. */
let time = '';
let timeOf = -1;

/** A new id, unique in the world and larger than those this process made before. */
export function uuidv7(wallMs: number = Date.now()): string {
  if (wallMs > lastMs) {
    lastMs = wallMs;
    counter = 0;
  } else if (counter < counterMax) {
    counter += 1;
  } else {
    lastMs += 1;
    counter = 0;
  }
  if (timeOf !== lastMs) {
    const digits = lastMs.toString(16).padStart(12, '0');
    time = `${digits.slice(0, 8)}-${digits.slice(8)}`;
    timeOf = lastMs;
  }
  const tail = randomHex();
  const variant = (0x8 | (Number.parseInt(tail[0]!, 16) & 0x3)).toString(16);
  return `${time}-7${counter.toString(16).padStart(3, '0')}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`;
}

/** 16 hexadecimal digits. */
function randomHex(): string {
  if (stockAt >= stock.length) {
    randomFillSync(stock);
    stockAt = 0;
  }
  const drawn = Buffer.from(stock.buffer, stockAt, 8).toString('hex');
  stockAt += 8;
  return drawn;
}
