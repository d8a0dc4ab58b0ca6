/** What every long-running process of potluck does alike: end on a signal, and not go on after a bug. */
import { faulty, interrupted } from '../errors.ts';

/** A decider or shell threw: the state can no longer be trusted. What was promised is on disk; a restart finds it. */
export function broken(error: unknown): never {
  console.error(error instanceof Error ? error.stack : error);
  console.error('potluck: this is a fault in potluck itself; the process stops, nothing accepted is lost');
  process.exit(faulty);
}

/** Resolves at the first SIGINT, SIGTERM or end of the parent; a second signal ends the process at once. */
export function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    let told = false;
    const stop = () => {
      if (told) process.exit(interrupted);
      told = true;
      resolve();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  });
}
