/** Errors of the operating system, as Node throws them. */

/** Its code, such as ENOENT; empty for any other error. */
export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

/** For `catch`: `value` in place of a file or folder that is not there; every other error goes on. */
export const ifMissing = <T>(value: T) => (error: unknown): T => {
  if (codeOf(error) === 'ENOENT') return value;
  throw error;
};
