/**
 * The few file operations that the store stands on, so that its real code also
 * runs on a simulated disk.
 *
 * Neighbours: real-files.ts is the adapter for the machine's disk. The log and
 * the blobs know files only through this interface.
 *
 * What every adapter promises:
 * 1. What `write` wrote may be lost, in any part, until `sync` of the same file
 *    has resolved after it.
 * 2. A created, renamed or removed name may be forgotten until `syncDirectory`
 *    of its folder has resolved.
 * 3. A rejected `sync` leaves the file's unsynced bytes unknown for good: a later
 *    successful `sync` says nothing about them.
 */
export interface Files {
  /** Opens for reading and writing; creates an empty file if there is none. */
  open(path: string): Promise<OpenFile>;
  /** File and folder names inside `directory`, in no order. Fails if it is missing. */
  list(directory: string): Promise<string[]>;
  /** Size in bytes, or undefined if there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** Replaces `to` if it exists. Atomic. */
  rename(from: string, to: string): Promise<void>;
  /** Fails if the file is missing. */
  remove(path: string): Promise<void>;
  /** Creates a folder and its parents, private to the user; fine if it exists. */
  makeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
}

export interface OpenFile {
  size(): Promise<number>;
  /** Exactly `length` bytes from offset `at`; fewer only where the file ends. */
  read(at: number, length: number): Promise<Buffer>;
  /** Writes all of `bytes` at offset `at`, or rejects having written any part. */
  write(at: number, bytes: Uint8Array): Promise<void>;
  truncate(size: number): Promise<void>;
  /** Resolves once all written bytes and the size are on disk. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
