/**
 * The bytes that a runner needs and keeps: programs, large arguments under way, large results not yet stored.
 *
 * Invariant: programs that no attempt needs are bounded by limits.programCacheBytes; the rest lives as long
 * as its attempt.
 */
import { createHash } from 'node:crypto';
import { ByteCache } from '../lib/byte-cache.ts';
import { limits } from '../limits.ts';
import type { Connection, MessageOf, Value } from '../wire/index.ts';

interface Inputs {
  args: Uint8Array;
  kwargs: Uint8Array | null;
}

export class Contents {
  readonly #programs: ByteCache;
  readonly #inputs = new Map<string, Inputs>();
  readonly #results = new Map<string, { bytes: Uint8Array; uses: number }>();

  /** @param isNeeded whether an attempt that was taken needs this program */
  constructor(isNeeded: (program: string) => boolean) {
    this.#programs = new ByteCache(limits.programCacheBytes, isNeeded);
  }

  /** Everything that the attempt needs, if it is here. */
  inputsOf(attempt: MessageOf<'attempt'>): (Inputs & { source: Uint8Array }) | undefined {
    const source = this.#programs.get(attempt.program);
    const inputs = this.#inputs.get(attempt.key) ?? inlineInputs(attempt);
    if (source === undefined || inputs === undefined) return undefined;
    this.#programs.touch(attempt.program);
    return { source, ...inputs };
  }

  /** Gets what is missing from the attempt's home. Rejects when the home lacks it or is gone. */
  async fetch(attempt: MessageOf<'attempt'>, home: Connection): Promise<void> {
    const value = (wanted: Value) => (wanted instanceof Uint8Array ? wanted : home.fetch(wanted.hash, limits.valueBytesMax));
    const [source, args, kwargs] = await Promise.all([
      this.#programs.get(attempt.program) ?? home.fetch(attempt.program, limits.programBytesMax),
      value(attempt.args),
      attempt.kwargs === undefined ? null : value(attempt.kwargs),
    ]);
    this.#programs.add(attempt.program, source);
    if (inlineInputs(attempt) === undefined) this.#inputs.set(attempt.key, { args, kwargs });
  }

  forgetInputs(key: string): void {
    this.#inputs.delete(key);
  }

  /** The result as it travels: small ones in the message, large ones by content, kept here until stored. */
  keepResult(bytes: Uint8Array): Value {
    if (bytes.length <= limits.inlineBytesMax) return bytes;
    const hash = createHash('sha256').update(bytes).digest('hex');
    const kept = this.#results.get(hash) ?? { bytes, uses: 0 };
    kept.uses += 1;
    this.#results.set(hash, kept);
    return { hash, size: bytes.length };
  }

  result(hash: string): Uint8Array | undefined {
    return this.#results.get(hash)?.bytes;
  }

  forgetResult(hash: string): void {
    const kept = this.#results.get(hash);
    if (kept === undefined) return;
    kept.uses -= 1;
    if (kept.uses === 0) this.#results.delete(hash);
  }
}

function inlineInputs({ args, kwargs }: MessageOf<'attempt'>): Inputs | undefined {
  if (!(args instanceof Uint8Array)) return undefined;
  if (kwargs === undefined) return { args, kwargs: null };
  return kwargs instanceof Uint8Array ? { args, kwargs } : undefined;
}
