/**
 * A child that does not outlive its parent, not even one that was killed.
 *
 * The parent holds one end of a pipe and never writes to it; when the parent is gone, however that
 * came, the system closes that end and the child reads the end of the pipe.
 */
import { Socket } from 'node:net';

/** Names, in a child's environment, the descriptor whose end means that the parent is gone. */
export const PARENT_FD = 'POTLUCK_PARENT_FD';

/** Nobody is left to read results: what runs is not waited for, but the store may be closed in order. */
const ORDERLY_MS = 1_000;
const AT_ONCE_MS = 3_000;

/**
 * If this process was started by `potluck up`: stops it, like two SIGTERMs a second apart and then
 * SIGKILL, when its parent is gone. Otherwise does nothing. Call it once, first.
 */
export function exitWithParent(environment: NodeJS.ProcessEnv = process.env): void {
  const fd = Number(environment[PARENT_FD]);
  delete environment[PARENT_FD];
  if (!Number.isInteger(fd) || fd < 3) return;
  const pipe = new Socket({ fd, readable: true, writable: false });
  pipe.on('error', () => undefined); // a broken pipe is its end, and 'close' follows
  pipe.on('close', stop);
  pipe.resume();
  pipe.unref();
}

function stop(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGTERM'), ORDERLY_MS).unref();
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), AT_ONCE_MS).unref();
}
