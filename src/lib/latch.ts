/**
 * A value that comes once. The promise is made only when somebody asks for it (of a hundred
 * thousand most are never asked), and its rejection never counts as unhandled: who does not ask
 * does not want to know.
 */
export class Latch<T> {
  #settled: { value: T } | { error: unknown } | undefined;
  #promise: Promise<T> | undefined;
  #resolve: ((value: T) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  get settled(): boolean {
    return this.#settled !== undefined;
  }

  /** The first of `set` and `fail` counts. */
  set(value: T): void {
    if (this.settled) return;
    this.#settled = { value };
    this.#resolve?.(value);
  }

  fail(error: unknown): void {
    if (this.settled) return;
    this.#settled = { error };
    this.#reject?.(error);
  }

  promise(): Promise<T> {
    this.#promise ??= this.#make();
    return this.#promise;
  }

  #make(): Promise<T> {
    const promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    promise.catch(() => undefined);
    if (this.#settled !== undefined) {
      if ('value' in this.#settled) this.#resolve!(this.#settled.value);
      else this.#reject!(this.#settled.error);
    }
    return promise;
  }
}
