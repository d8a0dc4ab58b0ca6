/**
 * A value that comes once. The promise is made only when somebody asks for it (of a hundred
 * thousand most are never asked), and its rejection never counts as unhandled: who does not ask
 * does not want to know.
 */
export class Latch<T> {
  #state: 'open' | 'set' | 'failed' = 'open';
  /** The value, or the error. */
  #settledTo: unknown;
  #promise: Promise<T> | undefined;
  #resolve: ((value: T) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  get settled(): boolean {
    return this.#state !== 'open';
  }

  /** The first of `set` and `fail` counts. */
  set(value: T): void {
    if (this.settled) return;
    this.#state = 'set';
    this.#settledTo = value;
    this.#resolve?.(value);
  }

  fail(error: unknown): void {
    if (this.settled) return;
    this.#state = 'failed';
    this.#settledTo = error;
    // Only now, because most promises are kept and a reaction costs as much as they do.
    this.#promise?.catch(() => undefined);
    this.#reject?.(error);
  }

  promise(): Promise<T> {
    this.#promise ??= this.#make();
    return this.#promise;
  }

  #make(): Promise<T> {
    if (this.#state === 'set') return Promise.resolve(this.#settledTo as T);
    if (this.#state === 'failed') {
      const failed = Promise.reject(this.#settledTo);
      failed.catch(() => undefined);
      return failed;
    }
    return new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }
}
