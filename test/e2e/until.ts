/** Waiting for what can only be asked for again and again: with a deadline, and an error that says what did not come. */
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_MS = 20;

/**
 * Asks until the answer is neither undefined nor false, and gives it.
 * @throws Error with `what`, and the last answer's error if it threw one
 */
export async function until<T>(what: string, ask: () => T | Promise<T>, withinMs = 15_000): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + withinMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`, { cause });
    await sleep(LOOK_MS);
  }
}
