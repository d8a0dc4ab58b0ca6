// @ts-check
/**
 * Whole frames from the host, whole writes to any descriptor. A frame is a 4-byte
 * big-endian length, one byte of kind, and the rest (see frames.ts).
 */
import { closeSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

export const CONTROL_FD = 3;
const pause = new Int32Array(new SharedArrayBuffer(4));

const CLOSED_ON_EXEC = 0o2000000;

/**
 * Closes what came with the start and is none of ours. What Node opened itself is closed on exec.
 * @param {number} lastKnown
 */
export function closeUnknown(lastKnown) {
  if (process.platform !== 'linux') return;
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd <= lastKnown) continue;
    try {
      const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))?.[1];
      if (flags !== undefined && (Number.parseInt(flags, 8) & CLOSED_ON_EXEC) === 0) closeSync(fd);
    } catch {
      // it was the one by which this list was read
    }
  }
}

/** @param {number} ms */
export function sleep(ms) {
  Atomics.wait(pause, 0, 0, ms);
}

/**
 * @param {number} fd
 * @param {Uint8Array} bytes
 * @returns {boolean} false when a task closed the descriptor
 */
export function writeWhole(fd, bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EAGAIN') return false;
      sleep(1);
    }
  }
  return true;
}

/**
 * @param {(frame: Buffer) => void} onFrame
 * @param {() => void} onEnd the host is gone, or a task closed the channel
 */
export function listen(onFrame, onEnd) {
  /** @type {Buffer[]} */
  let arrived = [];
  let arrivedBytes = 0;
  let wantedBytes = 4;
  const control = new Socket({ fd: CONTROL_FD, readable: true, writable: false });
  control.on('data', (chunk) => {
    arrived.push(chunk);
    arrivedBytes += chunk.length;
    while (arrivedBytes >= wantedBytes) {
      const bytes = arrived.length === 1 && arrived[0] !== undefined ? arrived[0] : Buffer.concat(arrived);
      const end = 4 + bytes.readUInt32BE(0);
      arrived = [bytes];
      wantedBytes = end;
      if (bytes.length < end) return;
      arrived = [bytes.subarray(end)];
      arrivedBytes = bytes.length - end;
      wantedBytes = 4;
      onFrame(bytes.subarray(4, end));
    }
  });
  control.on('close', onEnd);
  control.on('error', onEnd);
}
