/**
 * What one client is told of the output that it follows: as much as its link takes.
 *
 * Owns: how far each follower has read. Neighbours: home-state.ts says that there is more to read and
 * from where; stream-ends.ts serves it. Nothing is queued here but places: who falls behind finds a gap.
 *
 * Invariants
 * 1. Each stream is told in order; what was skipped shows as a gap between offsets.
 * 2. A link that holds limits.linkBacklogBytes gets nothing more before it has drained, but the last words
 *    of a task that ends: those come before its outcome, and if even they are skipped, so many are told.
 */
import { limits } from '../limits.ts';
import type { MessageOf } from '../wire/messages.ts';
import type { OutputNews } from './home-events.ts';

/** Ends of this many MiB may wait on a link: a task's last words are what people look for. */
const LAST_WORDS_BACKLOG = 4 * limits.linkBacklogBytes;

/** What is needed of the client's connection. */
export interface FeedLink {
  readonly backlogBytes: number;
  send(message: MessageOf<'output'>): void;
}

interface Reader {
  readonly news: OutputNews;
  /** Bytes of the stream that were told or skipped. */
  at: number;
}

export class OutputFeed {
  readonly #link: FeedLink;
  readonly #readers = new Map<string, Reader[]>();
  readonly #behind = new Set<Reader>();

  constructor(link: FeedLink) {
    this.#link = link;
  }

  /** There is more to read. */
  tell(news: OutputNews): void {
    const readers = this.#readers.get(news.id) ?? [];
    this.#readers.set(news.id, readers);
    const at = readers.findIndex((reader) => reader.news.stream === news.stream);
    let reader = readers[at];
    if (reader !== undefined && reader.news.source !== news.source) {
      this.#lastWords(reader);
      readers.splice(at, 1);
      reader = undefined;
    }
    if (reader === undefined) readers.push((reader = { news, at: 0 }));
    if (news.again) reader.at = 0;
    this.#read(reader);
  }

  /** The link takes more again. */
  drained(): void {
    for (const reader of this.#behind) {
      if (this.#link.backlogBytes >= limits.linkBacklogBytes) return;
      this.#behind.delete(reader);
      this.#read(reader);
    }
  }

  /** Says what is left to say of a task: its outcome comes next. */
  end(id: string): void {
    for (const reader of this.#readers.get(id) ?? []) this.#lastWords(reader);
    this.#readers.delete(id);
  }

  forget(id: string): void {
    for (const reader of this.#readers.get(id) ?? []) this.#behind.delete(reader);
    this.#readers.delete(id);
  }

  #read(reader: Reader): void {
    for (const { offset, data } of reader.news.source.from(reader.at)) {
      for (let at = 0; at < data.length; at += limits.inlineBytesMax) {
        if (this.#link.backlogBytes >= limits.linkBacklogBytes) {
          this.#behind.add(reader);
          return;
        }
        this.#say(reader, offset + at, data.subarray(at, at + limits.inlineBytesMax));
      }
    }
  }

  #lastWords(reader: Reader): void {
    const { source } = reader.news;
    if (!this.#behind.delete(reader)) return this.#read(reader);
    for (const { offset, data } of source.from(reader.at)) {
      const last = data.subarray(Math.max(0, data.length - limits.outputTailBytes));
      if (this.#link.backlogBytes < LAST_WORDS_BACKLOG) this.#say(reader, offset + data.length - last.length, last);
    }
    if (reader.at < source.size) this.#say(reader, source.size, new Uint8Array(0));
  }

  #say(reader: Reader, offset: number, data: Uint8Array): void {
    const { id, attempt, peer, stream } = reader.news;
    this.#link.send({ kind: 'output', id, attempt, peer, stream, offset, data });
    reader.at = offset + data.length;
  }
}
